package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/tidy"
)

// tooFar is how far the two clocks may not be apart; it has to be less than the margin behind a deadline.
const tooFar = 4*time.Minute + 30*time.Second

// Where our clock and InfluxDB's differ by more than 4 minutes nothing is deleted by its deadline, whichever of them is
// wrong; nonces are settled, static tokens are replaced, and live tokens are counted all the same.
func TestTidyDeletesNothingByDeadlineWhereTheClocksDiffer(t *testing.T) {
	require.Less(t, tooFar, mount.TidyMargin)
	for name, ahead := range map[string]time.Duration{
		"InfluxDB is ahead": tooFar, "InfluxDB is behind": -tooFar, "InfluxDB is a year ahead": 365 * 24 * time.Hour, "InfluxDB has no battery": -50 * 365 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.statically(nil)
			first := m.readStatic("kept")["authorization_id"].(string)
			expired := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
			held := m.mint("app")
			m.unanswered(server, loseAnswer)
			m.clock.advance(nonceAge)
			server.DeleteToken(first)

			server.ShiftClock(ahead)
			for _, dry := range []bool{true, false} {
				status := m.tidy(map[string]any{"dry_run": dry})
				require.Equal(t, tidy.Skewed, status["state"])
				require.Contains(t, status["last_error"], "the clocks differ")
				matched, deleted, failed := counts(t, status)
				found := map[bool]float64{true: 0, false: 1}[dry] // what the unanswered mint has made
				require.Equal(t, []float64{found, found, 0}, []float64{matched, deleted, failed})
			}
			require.True(t, exists(server, expired))
			require.NotEqual(t, first, m.readStatic("kept")["authorization_id"], "it is replaced")
			require.Empty(t, m.pendingIDs(), "the nonce is settled")
			require.NoError(t, m.tick())
			require.Equal(t, 1, m.liveCount())
			problems := m.problems()
			require.Len(t, problems, 1)
			require.Regexp(t, `it is \d{4}-\S+Z here and \d{4}-\S+Z at InfluxDB`, problems[0])
			require.Contains(t, problems[0], problem.RFC3339(m.clock.now().Add(ahead))[:4])

			server.Intercept(nil)
			m.tidies()
			require.False(t, exists(server, expired))
			require.True(t, exists(server, held.id))
			require.Empty(t, m.problems())
		})
	}
}

// A clock that is a little behind keeps a token until it is past its deadline by that one, too.
func TestTidyDeletesWhatIsPastItsDeadlineByBothClocks(t *testing.T) {
	for name, c := range map[string]struct {
		ahead, past time.Duration
		gone        bool
	}{
		"past by both, InfluxDB behind": {-3 * time.Minute, reapGrace + 3*time.Minute + 2*time.Second, true},
		"past by ours alone":            {-3 * time.Minute, reapGrace + 2*time.Minute, false},
		"past by both, InfluxDB ahead":  {3 * time.Minute, reapGrace + 2*time.Second, true},
		"past by InfluxDB's alone":      {3 * time.Minute, reapGrace - time.Minute, false},
		"past by neither":               {0, reapGrace - time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			stamp := m.outlived(testUUID, kindLease)
			stamp.Deadline = m.clock.now().Add(-c.past)
			id := handMade(t, server, stamp.String(), "active")
			server.ShiftClock(c.ahead)
			m.tidies()
			require.Equal(t, !c.gone, exists(server, id))
		})
	}
}

// Without InfluxDB's time nothing is known of its clock.
func TestTidyWithoutADate(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	expired := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header()["Date"] = nil
		next.ServeHTTP(w, r)
	})
	require.Equal(t, tidy.Skewed, m.tidy(nil)["state"])
	require.True(t, exists(server, expired))
	require.Contains(t, m.problems()[0], "a proxy in between must let the header Date through")
}

// A clock that jumps ahead for an hour, as by a wrong time zone, ends no token of a living lease, here or on a connection
// that was left.
func TestClockAheadEndsNoLivingToken(t *testing.T) {
	for name, leave := range map[string]func(*testMount){
		"current connection": func(*testMount) {},
		"former connection":  func(m *testMount) { m.ok(logical.DeleteOperation, "config", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			l := m.mint("app")
			leave(m)
			m.reload() // what this process minted it knows by its own clock, which does not jump
			require.NoError(t, m.tick())
			start := m.clock.now()
			server.SetClock(time.Now)
			for range 3 {
				m.clock.advance(2 * time.Hour)
				require.NoError(t, m.tick())
				m.tidied()
			}
			require.True(t, exists(server, l.id))
			m.clock.set(start)
			require.NoError(t, l.revoke(t.Context()))
			require.False(t, exists(server, l.id))
		})
	}
}
