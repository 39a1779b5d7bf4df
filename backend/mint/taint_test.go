package mint

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
)

// taintable is a Vault that disables or moves the mount.
type taintable struct {
	logical.SystemView
	tainted atomic.Bool
	asked   atomic.Int64
}

func (v *taintable) Tainted() bool {
	v.asked.Add(1)
	return v.tainted.Load()
}

func newTaintable(t *testing.T) (*scene, *taintable) {
	s := newScene(t)
	vault := &taintable{SystemView: s.mount.System}
	s.mount.System = vault
	s.put(t, "app", store.Role{ReadBuckets: []string{"metrics"}})
	return s, vault
}

// returned reports whether a function has returned, and waits for that a little.
func returned(done <-chan struct{}, within time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(within):
		return false
	}
}

// quiesced runs Quiesce, and returns what is closed when it has returned.
func quiesced(ctx context.Context, m *Minter) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Quiesce(ctx)
	}()
	return done
}

func TestQuiesceWaitsForTheMintsUnderWay(t *testing.T) {
	s, vault := newTaintable(t)
	require.True(t, returned(quiesced(t.Context(), s.Minter), time.Minute), "none was ever made")
	s.Resume()

	// Both mints are under way when the mount is tainted; each is told when it ends.
	release := s.server.Stall(http.MethodPost, "/api/v2/authorizations")
	vault.tainted.Store(true)
	results := make(chan error)
	for range 2 {
		go func() {
			_, err := s.Lease(context.Background(), s.storage, s.request("app"))
			results <- err
		}()
	}
	require.Eventually(t, func() bool { s.gate.mu.Lock(); defer s.gate.mu.Unlock(); return s.gate.underWay == 2 }, time.Minute, time.Millisecond)
	require.True(t, s.SuspectsTaint())
	require.False(t, s.SuspectsTaint(), "asked a moment ago")
	s.later.Add(int64(taintInterval))
	require.True(t, s.SuspectsTaint())
	done := quiesced(t.Context(), s.Minter)
	require.False(t, returned(done, 50*time.Millisecond))
	s.later.Add(int64(taintInterval))
	require.False(t, s.SuspectsTaint(), "the mints are told")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.True(t, returned(quiesced(gone, s.Minter), time.Minute), "Vault waits no longer")
	release()
	require.ErrorIs(t, <-results, errTainted)
	require.ErrorIs(t, <-results, errTainted)
	require.True(t, returned(done, time.Minute))
	require.Len(t, s.server.Tokens(), 1)

	_, err := s.Lease(t.Context(), s.storage, s.request("app"))
	require.ErrorIs(t, err, errTainted, "nothing is minted any more")
}

// A mount that was moved goes on; until a tick has seen that, mints ask.
func TestAMintAsksOnlyAfterATaint(t *testing.T) {
	s, vault := newTaintable(t)
	mint := func() int64 {
		vault.asked.Store(0)
		_, err := s.Lease(t.Context(), s.storage, s.request("app"))
		require.NoError(t, err)
		return vault.asked.Load()
	}
	require.Zero(t, mint())
	s.later.Add(int64(time.Second)) // what was answered last is registered
	require.True(t, returned(quiesced(t.Context(), s.Minter), time.Minute))
	require.EqualValues(t, 2, mint(), "when it begins and when it ends")
	s.Resume()
	require.Zero(t, mint())
	s.Close()
	require.Zero(t, mint(), "a reload ends nothing that Vault still waits for")
	s.later.Add(int64(time.Second))
	s.Quiesce(t.Context())
	_, err := s.Lease(t.Context(), s.storage, s.request("app"))
	require.ErrorIs(t, err, errTainted, "Vault may not be there to be asked")
}

// What was answered last is registered by Vault before Quiesce returns: it revokes what is registered, and nothing else.
func TestQuiesceWaitsForTheLastRegistration(t *testing.T) {
	s, _ := newTaintable(t)
	_, err := s.Lease(t.Context(), s.storage, s.request("app"))
	require.NoError(t, err)
	start := time.Now()
	s.Quiesce(t.Context()) // the mount's clock stands still
	require.GreaterOrEqual(t, time.Since(start), mount.Registration)
}
