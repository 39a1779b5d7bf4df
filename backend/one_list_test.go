package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// One list after a start is enough for tidy, for the count of live tokens and for unanswered mints. The count alone asks for
// none where no role has a cap.
func TestOneListAfterAStart(t *testing.T) {
	for name, c := range map[string]struct {
		capped, unanswered bool
		atOnce             int
	}{
		"nothing waits for it": {false, false, 0},
		"a cap":                {true, false, 1},
		"an unanswered mint":   {false, true, 1},
		"both":                 {true, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			m.mint("app")
			if c.unanswered {
				m.unanswered(server, loseAnswer)
			}
			if c.capped {
				m.write("roles/app", map[string]any{"read_buckets": "metrics", "max_leases": 1})
			}
			expired := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
			m.reload()
			m.clock.advance(nonceAge)
			server.ResetRequests()

			require.NoError(t, m.tick())
			require.Equal(t, c.atOnce, lists(server))
			if c.capped {
				status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
				require.Equal(t, http.StatusTooManyRequests, status)
			}
			for range 10 {
				m.minutes(1)
				m.tidied()
			}
			require.Equal(t, 1, lists(server))
			require.Empty(t, m.pendingIDs())
			require.False(t, exists(server, expired))
			require.Len(t, live(server), 1)
			require.Equal(t, 1, m.liveCount())
		})
	}
}

// A role that is given a cap after the start has its tokens counted with the next tick after its first mint.
func TestALaterCapIsCountedToo(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	m.reload()
	server.ResetRequests()
	require.NoError(t, m.tick())
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "max_leases": 2})
	m.mint("app")
	require.NoError(t, m.tick())
	require.Equal(t, 1, lists(server))
	status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, http.StatusTooManyRequests, status)
}
