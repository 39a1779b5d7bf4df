package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Cluster is several Vaults with one storage, raft; one of them is active, the others stand by.
type Cluster struct {
	Nodes []*Vault
	*balancer
}

// StartCluster starts a cluster of so many nodes and waits until each has a vote, so that any one of three may go.
func (l *Lab) StartCluster(ctx context.Context, size int, options VaultOptions) (*Cluster, error) {
	c, err := l.newCluster(ctx, size, options)
	if err != nil {
		return nil, err
	}
	first := c.Nodes[0]
	if err := first.Start(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(l.auditStarted(ctx, first), c.admitAtOnce(ctx)); err != nil {
		return nil, err
	}
	for _, node := range c.Nodes[1:] {
		node.unsealKey, node.rootToken = first.unsealKey, first.rootToken
		if err := node.Start(ctx); err != nil {
			return nil, err
		}
	}
	c.balancer = newBalancer(c.Nodes)
	return c, Await(ctx, vaultStart, "the nodes' votes", c.allVote)
}

func (l *Lab) newCluster(ctx context.Context, size int, options VaultOptions) (*Cluster, error) {
	plugins, err := l.subdirectory("plugins")
	if err != nil {
		return nil, err
	}
	var addresses, leaders []string
	for range size {
		address, err := FreeAddress()
		if err != nil {
			return nil, err
		}
		addresses, leaders = append(addresses, address), append(leaders, "http://"+address)
	}
	c := &Cluster{}
	for i, address := range addresses {
		options.node = node{name: fmt.Sprintf("node-%d", i), leaders: leaders, pluginDirectory: plugins}
		if i == 0 { // somebody must begin: alone
			options.node.leaders = nil
		}
		vault, err := l.newVault(ctx, address, options)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, vault)
	}
	return c, nil
}

// settings are the node's, of storage raft.
func (n node) settings(data string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "  path = %q\n  node_id = %q\n", data, n.name)
	for _, leader := range n.leaders {
		fmt.Fprintf(&s, "  retry_join {\n    leader_api_addr = %q\n  }\n", leader)
	}
	return s.String()
}

// admitAtOnce gives new nodes their votes without the usual wait.
func (c *Cluster) admitAtOnce(ctx context.Context) error {
	_, err := c.Nodes[0].Client().Logical().WriteWithContext(ctx, "sys/storage/raft/autopilot/configuration",
		map[string]any{"server_stabilization_time": "1s"})
	return err
}

func (c *Cluster) allVote(ctx context.Context) error {
	answer, err := c.Nodes[0].Client().Sys().RaftAutopilotStateWithContext(ctx)
	if err == nil && len(answer.Voters) < len(c.Nodes) {
		err = fmt.Errorf("%d of %d nodes have one", len(answer.Voters), len(c.Nodes))
	}
	return err
}

// Leader is the active node. In an election there is none.
func (c *Cluster) Leader(ctx context.Context) (*Vault, error) {
	for _, node := range c.Nodes {
		health, err := node.Client().Sys().HealthWithContext(ctx)
		if err == nil && health.Initialized && !health.Sealed && !health.Standby {
			return node, nil
		}
	}
	return nil, errors.New("no node is active")
}

// AwaitSuccessor waits until another node than the old leader is active and every node in turn serves.
func (c *Cluster) AwaitSuccessor(ctx context.Context, old *Vault) error {
	return Await(ctx, vaultStart, "another leader that all nodes know", func(ctx context.Context) error {
		leader, err := c.Leader(ctx)
		if err != nil {
			return err
		}
		if leader == old {
			return fmt.Errorf("%s is active still", filepath.Base(old.dir))
		}
		for _, node := range c.inTurn() {
			if err := node.serves(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

// Client is a new client with the root token whose requests go to one node after another, whichever is active.
// It does not retry.
func (c *Cluster) Client() *api.Client { return c.Nodes[0].clientThrough(balancedAddress, c.balancer) }
