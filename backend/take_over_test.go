package backend

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// inBackground revokes as Vault does when a lease has run out: with a deadline.
func (l *leased) inBackground() error {
	ctx, cancel := context.WithTimeout(l.m.t.Context(), 90*time.Second)
	defer cancel()
	return l.revoke(ctx)
}

func TestTakeOverAtTheThirdFailedAttempt(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	require.ErrorContains(t, l.inBackground(), "not deleted yet")
	require.ErrorContains(t, l.inBackground(), "not deleted yet")
	require.NoError(t, l.inBackground(), "Vault may forget the lease")

	require.Equal(t, []string{l.id}, m.pendingIDs(), "we do not")
	require.Contains(t, live(server), l.id)
	require.Contains(t, m.log.String(), "taken over")
	_, err := l.renew()
	require.ErrorContains(t, err, "can't be renewed")

	m.reload()
	require.NoError(t, m.tick())
	require.Equal(t, []string{l.id}, m.pendingIDs())
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Empty(t, live(server))
}

func TestTakeOverTwoMinutesAfterTheFirstFailure(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	require.Error(t, l.inBackground())
	m.reload()                                    // the attempts were counted in memory; the time is in storage
	m.clock.advance(takeOverAge - 30*time.Second) // the clock runs on meanwhile
	require.Error(t, l.inBackground())
	m.reload()
	m.clock.advance(30 * time.Second)
	require.NoError(t, l.inBackground())
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, live(server))
}

// A lease is taken over where Vault asks in the background, the mount lives on, and the deletion is in storage; in all
// other cases the truth is answered, however long it lasts.
func TestTakeOverIsNotForAllRevocations(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(m *testMount)
		revoke  func(l *leased) error
		says    string
		after   func(t *testing.T, m *testMount, l *leased)
	}{
		"whoever waits": {
			prepare: func(*testMount) {},
			revoke:  func(l *leased) error { return l.revoke(l.m.t.Context()) },
			says:    "not deleted yet",
			after: func(t *testing.T, _ *testMount, l *leased) {
				require.NoError(t, l.inBackground(), "only what runs in the background is taken over")
				require.ErrorContains(t, l.revoke(t.Context()), "not deleted yet")
			},
		},
		"a mount that is disabled": {
			prepare: func(m *testMount) { m.system.TaintedVal = true },
			revoke:  (*leased).inBackground,
			says:    "not deleted yet",
			after: func(t *testing.T, m *testMount, l *leased) {
				m.system.TaintedVal = false // a move ends, and the mount lives on
				require.NoError(t, l.inBackground())
			},
		},
		"what is not in storage": {
			prepare: func(m *testMount) { m.storage.failOn("put", "pending/") },
			revoke:  (*leased).inBackground,
			says:    "could not be written down",
			after: func(t *testing.T, m *testMount, l *leased) {
				require.Empty(t, m.pendingIDs())
				m.storage.failing(nil)
				require.Error(t, l.revoke(t.Context()))
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			l := m.mint("app")
			server.Refuse(http.MethodDelete, authorizations)
			c.prepare(m)
			for range 2 * takeOverAttempts {
				require.ErrorContains(t, c.revoke(l), c.says)
				m.clock.advance(takeOverAge)
			}
			c.after(t, m, l)
			server.Intercept(nil)
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs())
			tidyUp(t, server, l)
		})
	}
}

// Vault tries a revocation six times, twice as long apart each time, and then calls the lease irrevocable.
var vaultsAttempts = []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second}

func TestNoOutageMakesALeaseIrrevocable(t *testing.T) {
	t.Parallel()
	for _, answered := range []int{0, 1, 2, 3, 5, 6} {
		t.Run(fmt.Sprintf("back after attempt %d", answered), func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			var stuck []*leased
			for range 30 {
				stuck = append(stuck, m.mint("app"))
			}
			server.Refuse("", "/")
			for attempt, wait := range vaultsAttempts {
				for ; wait >= time.Minute; wait -= time.Minute {
					m.clock.advance(time.Minute)
					require.NoError(t, m.tick())
				}
				m.clock.advance(wait)
				if attempt == answered {
					server.Intercept(nil)
				}
				var failed []*leased
				for _, l := range stuck {
					if l.inBackground() != nil {
						failed = append(failed, l)
					}
				}
				stuck = failed
			}
			require.Empty(t, stuck)
			server.Intercept(nil)
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs())
			m.tidied() // the first run may be due, and has a token of its own for a moment
			require.Empty(t, live(server))
		})
	}
}
