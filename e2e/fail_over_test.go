package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// underWay is how many tokens at least are minted around each fail-over, half of them before it.
	underWay = 2000
	// mintsLimit is how long half of them may take on a machine with much else to do.
	mintsLimit = 5 * time.Minute
)

// Three nodes, one after another active, with applications at work on all of them. OpenBao's standbys run the engine too,
// and answer reads themselves.
func TestFailOver(t *testing.T) {
	t.Parallel()
	newFailOver(t).survives(t)
}

// failOver is a cluster, the traffic on it, and what the first leader left to its successors.
type failOver struct {
	cluster    *lab.Cluster
	engine     *engine
	traffic    *traffic
	elections  []election
	unfinished *unfinished
}

// election is the time in which a request may fail: from the fail-over's beginning until every node that gets requests
// serves under the new leader. Vault's own client tries again what fails so (5xx, a connection that broke). What is
// sent later has to succeed at the first try, and so has all that is sent while a standby is restarted.
type election struct {
	name       string
	begin, end time.Time
}

func newFailOver(t *testing.T) *failOver {
	t.Helper()
	influx := newInflux(t, lab.InfluxOptions{})
	cluster, err := shared.lab.StartCluster(t.Context(), 3, lab.VaultOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, node := range cluster.Nodes {
			assert.NoError(t, node.Stop())
		}
	})
	require.NoError(t, cluster.Nodes[0].Register(t.Context(), crashTestPlugin(t)))

	f := &failOver{cluster: cluster, engine: engineOnCluster(t, cluster, influx, "influxdb", influx.URL)}
	f.unfinished = newUnfinished(t, cluster, influx)
	f.traffic = startTraffic(t, f.engine)
	return f
}

// survives goes through all fail-overs on one cluster, and looks then at what is left.
func (f *failOver) survives(t *testing.T) {
	for _, way := range []struct {
		name string
		do   func(t *testing.T, leader *lab.Vault)
	}{
		{"step-down", f.stepDown},
		{"leader killed", f.killLeader},
		{"rolling restart", f.restartAll},
	} {
		t.Run(way.name, func(t *testing.T) {
			before := f.traffic.minted.Load()
			f.awaitMints(t, before+underWay/2)
			f.traffic.keep(t, 10)
			leader, err := f.cluster.Leader(t.Context())
			require.NoError(t, err)
			way.do(t, leader)
			f.traffic.keep(t, 10)
			f.awaitMints(t, max(before+underWay, f.traffic.minted.Load()+underWay/10))
			f.assertOnlyElectionsFailed(t)
		})
	}
	f.traffic.end()
	fmt.Printf("fail-over: %d mints, %d failed requests\n", f.traffic.minted.Load(), len(f.traffic.failures))
	t.Run("tokens are leases", f.traffic.assertTokensAreLeases)
	t.Run("a pending deletion is finished", f.unfinished.assertFinished)
	t.Run("max_leases counts", f.unfinished.assertCounted)
	t.Run("a static role is rotated on time, once", f.assertRotatedOnce)
}

func (f *failOver) awaitMints(t *testing.T, count int64) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), mintsLimit, "mints", func(context.Context) error {
		if minted := f.traffic.minted.Load(); minted < count {
			return fmt.Errorf("%d of %d", minted, count)
		}
		return nil
	}))
}

// elect makes another node the leader.
func (f *failOver) elect(t *testing.T, name string, old *lab.Vault, unseat func() error) {
	t.Helper()
	begin := time.Now()
	require.NoError(t, unseat())
	require.NoError(t, f.cluster.AwaitSuccessor(t.Context(), old))
	f.elections = append(f.elections, election{name, begin, time.Now()})
	fmt.Printf("fail-over: %s: every node serves again after %s\n", name, time.Since(begin).Round(10*time.Millisecond))
}

func (f *failOver) stepDown(t *testing.T, leader *lab.Vault) {
	f.elect(t, "step-down", leader, func() error { return leader.Client().Sys().StepDownWithContext(t.Context()) })
	if onOpenBao() {
		return
	}
	// Nothing is done in the background where no process is.
	require.NoError(t, lab.Await(t.Context(), lateness, "the old leader's plugin to end", func(ctx context.Context) error {
		left, err := leader.PluginPIDs(ctx)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("still there: %v", left)
		}
		return err
	}))
}

func (f *failOver) killLeader(t *testing.T, leader *lab.Vault) {
	f.elect(t, "kill", leader, func() error {
		leader.Kill()
		f.cluster.Exclude(leader)
		return nil
	})
	require.NoError(t, leader.Start(t.Context()))
	f.cluster.Include(leader)
}

// restartAll restarts the standbys first, each out of turn: of that nobody is to notice anything.
func (f *failOver) restartAll(t *testing.T, leader *lab.Vault) {
	for _, node := range f.cluster.Nodes {
		if node != leader {
			f.restart(t, node, node.Stop)
		}
	}
	f.restart(t, leader, func() error {
		f.elect(t, "restart of the leader", leader, leader.Stop)
		return nil
	})
}

func (f *failOver) restart(t *testing.T, node *lab.Vault, stop func() error) {
	t.Helper()
	f.cluster.Drain(node)
	require.NoError(t, stop())
	require.NoError(t, node.Start(t.Context()))
	f.cluster.Include(node)
}

// assertOnlyElectionsFailed asserts that every refusal falls into an election.
func (f *failOver) assertOnlyElectionsFailed(t *testing.T) {
	t.Helper()
	f.traffic.mu.Lock()
	defer f.traffic.mu.Unlock()
	for _, r := range f.traffic.failures {
		allowed := false
		for _, e := range f.elections {
			allowed = allowed || r.began.Before(e.end) && r.ended.After(e.begin)
		}
		assert.True(t, allowed, "%s failed outside of every election, at %s: %v", r.what, r.began, r.err)
	}
}
