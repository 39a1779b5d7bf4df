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

// Whoever waits for an answer is told the truth, however long it lasts.
func TestTakeOverIsNotForWhoeverWaits(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	for range 2 * takeOverAttempts {
		require.ErrorContains(t, l.revoke(t.Context()), "not deleted yet")
		m.clock.advance(takeOverAge)
	}
	require.NoError(t, l.inBackground(), "only what runs in the background is taken over")
	require.ErrorContains(t, l.revoke(t.Context()), "not deleted yet")
	server.Intercept(nil)
	tidyUp(t, server, l)
}

func TestTakeOverIsNotForAMountThatIsDisabled(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	m.system.TaintedVal = true
	for range 2 * takeOverAttempts {
		require.ErrorContains(t, l.inBackground(), "not deleted yet")
		m.clock.advance(takeOverAge)
	}
	// A move ends, and the mount lives on.
	m.system.TaintedVal = false
	require.NoError(t, l.inBackground())
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, live(server))
}

func TestTakeOverNeedsTheDeletionInStorage(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	m.storage.failOn("put", "pending/")
	for range 2 * takeOverAttempts {
		require.ErrorContains(t, l.inBackground(), "could not be written down")
		m.clock.advance(takeOverAge)
	}
	require.Empty(t, m.pendingIDs())
	m.storage.failing(nil)
	server.Intercept(nil)
	tidyUp(t, server, l)
}

// Vault tries a revocation six times, twice as long apart each time, and then calls the lease irrevocable.
var vaultsAttempts = []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second}

func TestNoOutageMakesALeaseIrrevocable(t *testing.T) {
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
			require.Empty(t, live(server))
		})
	}
}
