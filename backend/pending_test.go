package backend

import (
	"net/http"
	"slices"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/mount"
)

// pendingDeletion is a mount with a failed revocation behind it; InfluxDB still refuses deletions.
func pendingDeletion(t *testing.T, m *testMount) (*leased, *influxtest.Server) {
	t.Helper()
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	require.Error(t, l.revoke(t.Context()))
	require.Equal(t, []string{l.id}, m.pendingIDs())
	return l, server
}

func TestPendingSurvivesARestart(t *testing.T) {
	m := newMount(t)
	l, server := pendingDeletion(t, m)
	m.reload()
	require.NoError(t, m.tick(), "a failed drain is logged, and the tick goes on")
	require.Equal(t, []string{l.id}, m.pendingIDs())
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
}

func TestPendingIsTriedWhereLeasesLive(t *testing.T) {
	for name, state := range map[string]consts.ReplicationState{
		"performance standby": consts.ReplicationPerformanceStandby,
		"DR secondary":        consts.ReplicationDRSecondary,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			l, server := pendingDeletion(t, m)
			server.Intercept(nil)
			m.system.ReplicationStateVal = state
			require.NoError(t, m.tick())
			require.Equal(t, []string{l.id}, m.pendingIDs())
			m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs(), "a performance secondary has leases of its own")
		})
	}
}

// A mount that is being disabled does not end while a deletion is pending.
func TestPendingHoldsADisableBack(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	_, server := pendingDeletion(t, m)
	server.Intercept(nil)
	other := m.mint("app")
	server.Intercept(refuseDeletionOf(m.pendingIDs()[0]))
	m.system.TaintedVal = true
	require.ErrorContains(t, m.tick(), "1 deletions are still pending", "while tainted the tick waits and tells")

	// Another lease can be revoked, but the pending one can't: Vault must not think that all is done.
	require.ErrorContains(t, other.revoke(t.Context()), "still pending")

	server.Intercept(nil)
	require.NoError(t, other.revoke(t.Context()))
	require.Empty(t, m.pendingIDs())
}

// refuseDeletionOf drops the connection of one deletion.
func refuseDeletionOf(id string) faulttest.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodDelete && r.URL.Path == authorizations+"/"+id {
			faulttest.Refused(w, r, next)
		}
		next.ServeHTTP(w, r)
	}
}

// Storage is read before InfluxDB is changed: what another node has done is left alone.
func TestPendingThatAnotherNodeFinishedIsLeftAlone(t *testing.T) {
	m := newMount(t)
	l, server := pendingDeletion(t, m)
	require.NoError(t, m.storage.Delete(t.Context(), "pending/"+l.id))
	server.ResetRequests()
	require.NoError(t, m.tick())
	require.Empty(t, deletions(server))
	require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
}

// Where no deletion can be done, few are tried in a minute.
func TestDrainFailsFast(t *testing.T) {
	for name, c := range map[string]struct{ fail, mend func(*influxtest.Server) }{
		"InfluxDB is down": {
			func(s *influxtest.Server) { s.Refuse(http.MethodDelete, authorizations) },
			func(s *influxtest.Server) { s.Intercept(nil) },
		},
		"the root token is not valid": {
			func(s *influxtest.Server) { s.SetTokenActive(s.RootID(), false) },
			func(s *influxtest.Server) { s.SetTokenActive(s.RootID(), true) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			leases := make([]*leased, 40)
			for i := range leases {
				leases[i] = m.mint("app")
			}
			c.fail(server)
			for _, l := range leases {
				require.Error(t, l.revoke(t.Context()))
			}
			server.ResetRequests()
			require.NoError(t, m.tick())
			require.LessOrEqual(t, len(deletions(server)), deletionsAtOnce)
			require.Contains(t, m.log.String(), "pending deletions wait")
			require.Len(t, m.pendingIDs(), 40)
			c.mend(server)
			require.NoError(t, m.tick())
			require.Empty(t, live(server))
			require.Empty(t, m.pendingIDs())
		})
	}
}

func deletions(server *influxtest.Server) []influxtest.Request {
	return slices.DeleteFunc(server.Requests(), func(r influxtest.Request) bool { return r.Method != http.MethodDelete })
}

// The tick returns at once, whatever InfluxDB does: a slow one stalls Vault's seal and step-down.
func TestTickDoesNotWaitForInfluxDB(t *testing.T) {
	m := newMount(t)
	_, server := pendingDeletion(t, m)
	m.editConfig(func(config map[string]any) {
		config["request_timeout"], config["revision"] = mount.MaxRequestTimeout, "slow"
	})
	release := server.Stall("", "/")
	defer release()
	_, err := m.send(t.Context(), &logical.Request{Operation: logical.RollbackOperation})
	require.NoError(t, err)
	require.False(t, m.idle(), "the drain waits for InfluxDB, and the tick does not")
}
