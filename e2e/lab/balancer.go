package lab

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
)

// balancer hands requests to one node of a cluster after another: what a load balancer does, as a transport.
type balancer struct {
	transport *http.Transport

	mu    sync.Mutex
	nodes []*Vault // those that get requests
	next  int
	// handed are the requests of each node that are not answered to their end yet.
	handed map[*Vault]*sync.WaitGroup
}

func newBalancer(nodes []*Vault) *balancer {
	b := &balancer{
		transport: &http.Transport{MaxIdleConnsPerHost: 64}, // http's default of 2 is a new connection for most requests
		nodes:     slices.Clone(nodes), handed: map[*Vault]*sync.WaitGroup{},
	}
	for _, node := range nodes {
		b.handed[node] = &sync.WaitGroup{}
	}
	return b
}

// balancedAddress stands for whichever node's turn it is.
const balancedAddress = "http://cluster.invalid"

// RoundTrip sends a request to the node whose turn it is, and one that a standby has redirected where it was told.
func (b *balancer) RoundTrip(request *http.Request) (*http.Response, error) {
	if "http://"+request.URL.Host != balancedAddress {
		return b.transport.RoundTrip(request)
	}
	node, done := b.turn()
	if node == nil {
		return nil, errors.New("no node of the cluster is in turn")
	}
	defer done()
	request = request.Clone(request.Context())
	request.Host = node.Address[len("http://"):]
	request.URL.Host = request.Host
	response, err := b.transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	// To its end: a node that is drained of requests may be stopped at once.
	answer, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(answer))
	return response, err
}

func (b *balancer) turn() (*Vault, func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.nodes) == 0 {
		return nil, nil
	}
	node := b.nodes[b.next%len(b.nodes)]
	b.next++
	b.handed[node].Add(1)
	return node, b.handed[node].Done
}

func (b *balancer) inTurn() []*Vault {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.nodes)
}

// Include gives a node its turn (again).
func (b *balancer) Include(node *Vault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, node)
}

// Exclude takes a node out of turn at once.
func (b *balancer) Exclude(node *Vault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = slices.DeleteFunc(b.nodes, func(one *Vault) bool { return one == node })
}

// Drain takes a node out of turn and waits until the requests that it was handed are answered.
func (b *balancer) Drain(node *Vault) {
	b.Exclude(node)
	b.handed[node].Wait()
	b.transport.CloseIdleConnections()
}
