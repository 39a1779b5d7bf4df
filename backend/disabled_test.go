package backend

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// leaving is a mount that is being disabled, with leases and an unanswered mint that is old enough.
func leaving(t *testing.T, fault func(*influxtest.Server)) (m *testMount, server *influxtest.Server, leases [2]*leased) {
	t.Helper()
	m = newMount(t)
	server = m.warm()
	m.write("config", map[string]any{"request_timeout": "3s"})
	leases = [2]*leased{m.mint("app"), m.mint("app")}
	m.unanswered(server, fault)
	m.clock.advance(nonceAge)
	m.system.TaintedVal = true
	server.ResetRequests()
	return m, server, leases
}

// An unanswered mint that InfluxDB refuses to tell about, or can't within one call's time, is logged with the mount's UUID
// and holds no disable back; and it is not asked for by each revocation anew.
func TestWhatInfluxDBDoesNotTellHoldsNoDisableBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(m *testMount, server *influxtest.Server){
		"the list hangs": func(_ *testMount, server *influxtest.Server) { t.Cleanup(server.Stall(http.MethodGet, authorizations)) },
		"the list fails": func(_ *testMount, server *influxtest.Server) {
			server.Fail(http.MethodGet, authorizations, 500, "", "")
		},
		"the list is blind": func(m *testMount, server *influxtest.Server) { m.storedToken(blindToken(server)) },
		"no probe": func(_ *testMount, server *influxtest.Server) {
			server.Fail(http.MethodPost, authorizations, 502, "", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m, server, leases := leaving(t, refusePost)
			nonce := m.pendingIDs()[0]
			fault(m, server)
			require.NoError(t, leases[0].revoke(t.Context()))
			asked := lists(server)
			require.NoError(t, leases[1].revoke(t.Context()))
			require.NoError(t, m.tick())
			require.Equal(t, asked, lists(server), "it is given up")
			require.Empty(t, live(server))
			require.Equal(t, []string{nonce}, m.pendingIDs())
			require.Contains(t, m.log.String(), "run tidy mount_uuid="+testUUID)

			// A mount that was moved goes on.
			server.Intercept(nil)
			m.storedToken(server.RootToken())
			m.system.TaintedVal = false
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs())
		})
	}
}

// InfluxDB that is down will tell, and another one at its address does not.
func TestInfluxDBDownHoldsADisableBack(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]faulttest.Interceptor{
		"down":    faulttest.Refused,
		"another": influxtest.Instead(influxtest.New(t)),
		"a proxy": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(http.StatusBadGateway) },
	} {
		t.Run(name, func(t *testing.T) {
			m, server, leases := leaving(t, loseAnswer)
			require.NoError(t, leases[1].revoke(t.Context()))
			require.Empty(t, m.pendingIDs())
			m.system.TaintedVal = false
			m.unanswered(server, loseAnswer)
			m.clock.advance(nonceAge)
			m.system.TaintedVal = true
			server.Intercept(fault)
			require.Error(t, leases[0].revoke(t.Context()))
			require.Error(t, m.tick())
			server.Intercept(nil)
			m.minutesTainted(2)
			require.NoError(t, leases[0].revoke(t.Context()))
			require.Empty(t, m.pendingIDs())
			require.Empty(t, live(server))
		})
	}
}

// minutesTainted lets time pass on a mount that is being disabled, whose ticks tell what is left.
func (m *testMount) minutesTainted(n int) {
	m.t.Helper()
	for range n {
		m.clock.advance(deadlineGrace)
		_ = m.tick()
	}
}

// The default organization that was deleted proves that nothing is there, where the InfluxDB is seen to be the one: nothing is left
// pending, tidy goes on, and no disable is held back.
func TestOrganizationThatIsGoneHoldsNothingUp(t *testing.T) {
	t.Parallel()
	for name, tainted := range map[string]bool{"disabled": true, "in use": false} {
		for where, byName := range map[string]bool{"default by name": true, "default by ID": false} {
			t.Run(name+"/"+where, func(t *testing.T) {
				m := newMount(t)
				server := influxtest.New(t)
				gone, beta := server.AddOrg("gone"), server.AddOrg("beta")
				bucket := server.AddBucket(beta, "alerts")
				org := map[string]any{"org": "gone"}
				if !byName {
					org = map[string]any{"org": "", "org_id": gone}
				}
				m.configure(server, org)
				m.write("roles/app", map[string]any{"read_buckets": "*"})
				m.write("roles/beta", map[string]any{"org_id": beta, "read_buckets": "id:" + bucket})
				l := m.mint("beta")
				for _, role := range []string{"app", "beta"} {
					server.LoseAnswer(http.MethodPost, authorizations)
					m.refused(logical.ReadOperation, "creds/"+role, nil)
					server.Intercept(nil)
				}
				expired := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
				server.DeleteOrg(gone)
				m.clock.advance(nonceAge)
				m.system.TaintedVal = tainted
				if !tainted {
					m.tidies()
					require.False(t, exists(server, expired))
				}
				require.NoError(t, m.tick())
				require.Empty(t, m.pendingIDs())
				require.NoError(t, l.revoke(t.Context()))
				for _, token := range live(server) {
					require.NotEqual(t, beta, token.OrgID)
				}
			})
		}
	}
}

// A deletion on a connection that is not there can't be done by anybody.
func TestDeletionWithoutAConnectionHoldsNoDisableBack(t *testing.T) {
	for name, breakIt := range map[string]func(m *testMount, id string){
		"unreadable": func(m *testMount, id string) { m.broken("connection/"+id, "{") },
		"gone":       func(m *testMount, id string) { require.NoError(m.t, m.storage.Delete(m.t.Context(), "connection/"+id)) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			l, _ := pendingDeletion(t, m)
			id := m.stored().ID
			m.ok(logical.DeleteOperation, "config", nil)
			m.connected()
			other := m.mint("app")
			breakIt(m, id)
			m.reload()
			m.system.TaintedVal = true
			require.NoError(t, other.revoke(t.Context()))
			require.NoError(t, m.tick())
			require.Equal(t, []string{l.id}, m.pendingIDs())
			require.Contains(t, m.log.String(), "run tidy mount_uuid="+testUUID)
		})
	}
}

// A mount that ends while tokens of its leases live says so, and names its UUID: OpenBao drops the leases of a namespace
// that is deleted without revoking them. One that is reloaded has nothing to say.
func TestMountThatEndsWithLivingTokensSaysSo(t *testing.T) {
	t.Parallel()
	const says = "the mount ends while tokens of its leases live"
	for name, tainted := range map[string]bool{"disabled": true, "reloaded": false} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.connected()
			m.mint("app")
			m.system.TaintedVal = tainted
			require.NoError(t, m.tick())
			m.backend.Cleanup(t.Context())
			require.Equal(t, tainted, strings.Contains(m.log.String(), says))
			if tainted {
				require.Contains(t, m.log.String(), "mount_uuid="+testUUID+" on another mount after the last deadline")
			}
		})
	}
	t.Run("all revoked", func(t *testing.T) {
		m := newMount(t)
		m.connected()
		l := m.mint("app")
		m.system.TaintedVal = true
		require.NoError(t, m.tick())
		require.NoError(t, l.revoke(t.Context()))
		m.backend.Cleanup(t.Context())
		require.NotContains(t, m.log.String(), says)
	})
}
