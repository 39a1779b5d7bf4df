package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// duringMint has something happen while InfluxDB makes a token: before its answer comes, at each mint or at the first.
func duringMint(server *influxtest.Server, times int, happens func()) {
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost && r.URL.Path == authorizations && times > 0 {
			times--
			happens()
		}
		next.ServeHTTP(w, r)
	})
}

// Whatever becomes of a role while its token is made, the token has what the role says when it is handed out.
func TestARoleThatIsChangedWhileItsTokenIsMade(t *testing.T) {
	for name, c := range map[string]struct {
		change func(m *testMount)
		grants []string
		says   string
	}{
		"narrowed": {
			change: func(m *testMount) { m.write("roles/app", map[string]any{"read_buckets": "metrics", "verify": false}) },
			grants: []string{"read"},
		},
		"patched": {
			change: func(m *testMount) {
				m.ok(logical.PatchOperation, "roles/app", map[string]any{"write_buckets": "", "verify": false})
			},
			grants: []string{"read"},
		},
		"shorter": {
			change: func(m *testMount) {
				m.ok(logical.PatchOperation, "roles/app", map[string]any{"max_ttl": "10m", "verify": false})
			},
			grants: []string{"read", "write"},
		},
		"deleted": {
			change: func(m *testMount) { m.ok(logical.DeleteOperation, "roles/app", nil) },
			says:   `role "app" does not exist`,
		},
		"full": {
			change: func(m *testMount) {
				m.ok(logical.PatchOperation, "roles/app", map[string]any{"max_leases": 1, "verify": false})
			},
			says: "max_leases",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			other := m.mint("app")
			duringMint(server, 1, func() { c.change(m) })
			server.ResetRequests()
			resp, err := m.request(logical.ReadOperation, "creds/app", nil)
			require.Len(t, deletions(server), 1, "the token with the old rights is deleted")
			if c.says != "" {
				_, text := refusal(t, resp, err)
				require.Contains(t, text, c.says)
				tidyUp(t, server, other)
				return
			}
			require.NoError(t, err)
			l := m.leased(resp)
			var actions []string
			for _, p := range live(server)[l.id].Permissions {
				actions = append(actions, p.Action)
			}
			require.ElementsMatch(t, c.grants, actions)
			tidyUp(t, server, other, l)
		})
	}
}

func TestARoleThatIsChangedAtEachMint(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	ttl := 100
	duringMint(server, 100, func() {
		ttl++
		m.ok(logical.PatchOperation, "roles/app", map[string]any{"ttl": ttl, "verify": false})
	})
	status, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, 400, status)
	require.Contains(t, text, "the role was changed meanwhile")
	require.Equal(t, 102, ttl, "made anew once")
	require.Empty(t, live(server))
	require.Empty(t, m.pendingIDs())
}

// A role that is written as it was, or dropped from memory, is the same.
func TestARoleThatIsWrittenAsItWas(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	duringMint(server, 1, func() {
		m.ok(logical.PatchOperation, "roles/app", map[string]any{"ttl": "5m", "verify": false})
		m.vault.InvalidateKey(t.Context(), "role/app")
	})
	server.ResetRequests()
	l := m.mint("app")
	require.Empty(t, deletions(server))
	tidyUp(t, server, l)
}

// What the role is now can't be read: then nobody knows whether the token is what it grants.
func TestARoleThatCantBeReadAgain(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	require.Len(t, live(server), 1)
	duringMint(server, 1, func() {
		m.vault.InvalidateKey(t.Context(), "role/app")
		m.storage.failOn("get", "role/")
	})
	require.Error(t, m.try(logical.ReadOperation, "creds/app", nil))
	require.Len(t, live(server), 1)
	m.storage.failing(nil)

	// Nor could the token be deleted: it is pending.
	ids := map[string]bool{}
	for id := range live(server) {
		ids[id] = true
	}
	duringMint(server, 1, func() {
		m.ok(logical.DeleteOperation, "roles/app", nil)
		server.Refuse(http.MethodDelete, authorizations)
	})
	require.ErrorContains(t, m.try(logical.ReadOperation, "creds/app", nil), "does not exist")
	require.Len(t, m.pendingIDs(), 1)
	require.NotContains(t, ids, m.pendingIDs()[0])
}
