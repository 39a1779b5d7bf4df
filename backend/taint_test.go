package backend

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// underWay begins mints that InfluxDB does not answer before release is called. Each answer is Vault's afterwards.
func (m *testMount) underWay(server *influxtest.Server, count int) (release func(), answered func() []*leased) {
	m.t.Helper()
	release = server.Stall(http.MethodPost, authorizations)
	responses := make(chan *logical.Response, count)
	server.ResetRequests()
	for range count {
		go func() {
			resp, _ := m.send(context.Background(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
			responses <- resp
		}()
	}
	m.until(func() bool {
		posts := slices.DeleteFunc(server.Requests(), func(r influxtest.Request) bool { return r.Method != http.MethodPost })
		return len(posts) == count
	})
	return release, func() (leases []*leased) {
		for range count {
			if resp := <-responses; resp != nil && resp.Secret != nil {
				leases = append(leases, m.leased(resp))
			}
		}
		return leases
	}
}

// quiescing waits until whoever has seen the taint has told the mints under way.
func (m *testMount) quiescing() {
	m.t.Helper()
	m.until(func() bool { return slices.Contains(m.asked.asked(), "tainted") })
	m.until(func() bool {
		m.clock.advance(2 * time.Second) // or it is no time to ask yet
		return !m.backend.minter.SuspectsTaint()
	})
}

// A mount is disabled or moved while tokens are being made: none is handed out, and none is left.
func TestMintsUnderWayWhenAMountIsDisabled(t *testing.T) {
	t.Parallel()
	for name, sees := range map[string]func(m *testMount, l *leased) error{
		"a tick sees it":             func(m *testMount, _ *leased) error { return m.tick() },
		"a revocation is the first":  func(m *testMount, l *leased) error { return l.revoke(m.t.Context()) },
		"a revocation in background": func(_ *testMount, l *leased) error { return l.inBackground() },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			first := m.mint("app")
			release, answered := m.underWay(server, 4)
			m.asked.tainted.Store(true)
			m.asked.asked()
			done := make(chan error)
			go func() { done <- sees(m, first) }()
			m.quiescing()
			select {
			case err := <-done:
				t.Fatal("Vault goes on before the mints have ended:", err)
			default:
			}
			release()
			require.NoError(t, <-done)
			require.Empty(t, answered())
			server.Intercept(nil)
			require.Error(t, m.try(logical.ReadOperation, "creds/app", nil), "a straggler")
			require.NoError(t, first.revoke(t.Context()))
			require.Empty(t, live(server))
			require.Empty(t, m.pendingIDs())
		})
	}
}

// What InfluxDB makes so late that Vault does not wait for it is deleted all the same.
func TestAMintThatEndsAfterTheWait(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	release, answered := m.underWay(server, 2)
	m.asked.tainted.Store(true)
	m.asked.asked()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := m.send(ctx, &logical.Request{Operation: logical.RollbackOperation})
		done <- err
	}()
	m.quiescing()
	cancel()                       // Vault does not wait any longer
	if err := <-done; err != nil { // whether Vault gave up before or behind the wait
		t.Log(err)
	}
	m.vault.Cleanup(t.Context())
	m.asked.tainted.Store(false) // as a call that fails reads
	release()
	require.Empty(t, answered())
	m.until(func() bool { return len(live(server)) == 0 })
}

// A mount that was moved goes on in the same process: its mints are handed out again, also before the next tick.
func TestAMountThatWasMovedMintsAgain(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	release, answered := m.underWay(server, 1)
	m.asked.tainted.Store(true)
	m.asked.asked()
	done := make(chan error)
	go func() { done <- m.tick() }()
	m.quiescing()
	m.asked.tainted.Store(false)
	release()
	require.NoError(t, <-done)
	leases := answered()
	require.Len(t, leases, 1, "Vault says that the move is done")
	server.Intercept(nil)
	m.asked.asked()
	leases = append(leases, m.mint("app"))
	require.Contains(t, m.asked.asked(), "tainted")
	require.NoError(t, m.tick())
	m.asked.asked()
	leases = append(leases, m.mint("app"))
	require.NotContains(t, m.asked.asked(), "tainted", "without a taint a mint asks nothing")
	tidyUp(t, server, leases...)
}

// A revocation asks Vault only where mints are under way, and seldom: it is one of thousands.
func TestRevocationsSeldomAskVault(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.clock.stop(m.clock.now())
	leases := []*leased{m.mint("app"), m.mint("app"), m.mint("app"), m.mint("app")}
	asked := func() (count int) {
		for _, question := range m.asked.asked() {
			if question == "tainted" {
				count++
			}
		}
		return count
	}
	asked()
	require.NoError(t, leases[0].revoke(t.Context()))
	require.Zero(t, asked())
	release, answered := m.underWay(server, 1)
	require.NoError(t, leases[1].revoke(t.Context()))
	require.NoError(t, leases[2].revoke(t.Context()))
	require.Equal(t, 1, asked())
	m.clock.stop(m.clock.now().Add(time.Second))
	require.NoError(t, leases[3].revoke(t.Context()))
	require.Equal(t, 1, asked())
	release()
	tidyUp(t, server, answered()...)
}

// Clients mint as fast as they can while a mount is disabled, as Vault does it: it is tainted, ticked, the leases that are
// registered are revoked, and it ends.
func TestDisableUnderLoad(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	var (
		mu         sync.Mutex
		registered []*leased
		tainted    bool
		clients    sync.WaitGroup
	)
	for range 24 {
		clients.Go(func() {
			for {
				mu.Lock()
				closed := tainted // Vault's router lets nobody in any more
				mu.Unlock()
				if closed {
					return
				}
				resp, err := m.send(context.Background(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
				if err == nil && resp != nil && resp.Secret != nil {
					mu.Lock()
					registered = append(registered, m.leased(resp))
					mu.Unlock()
				}
			}
		})
	}
	m.until(func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(registered) > 100
	})
	m.asked.tainted.Store(true)
	mu.Lock()
	tainted = true
	mu.Unlock()
	require.NoError(t, m.tick())
	made := live(server) // a token that is handed out and is none of these was made too late
	clients.Wait()
	for _, l := range registered {
		require.Contains(t, made, l.id)
		require.NoError(t, l.revoke(t.Context()))
	}
	m.vault.Cleanup(t.Context())
	require.Empty(t, live(server))
}
