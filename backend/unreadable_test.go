package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// broken stores an entry that can't be read, as a half restore leaves one.
func (m *testMount) broken(key, value string) {
	m.t.Helper()
	require.NoError(m.t, m.storage.Storage.Put(m.t.Context(), &logical.StorageEntry{Key: key, Value: []byte(value)}))
}

// unreadables are the forms of an entry that can't be read.
var unreadables = map[string]string{
	"cut off": `{"version":1,"id":"x`, "empty": "", "another kind": `["x"]`, "newer": `{"version":99}`,
}

// Whatever entry can't be read: the mount mints, renews, revokes, retries, rotates, is configured, tidies and is checked.
// check names the entry and the command that removes it; then nothing of it is left.
func TestUnreadableEntrySpoilsOnlyItself(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"pending/0123456789abcdef", "pending/nonce-0123456789abcdef", "role/broken", "static-role/broken",
		"connection/9e1a4b6c-0f2d-4a7e-8c35-000000000000", "intention/static/kept", "intention/root",
	} {
		for name, value := range unreadables {
			if !atLength() && name != "newer" {
				continue
			}
			t.Run(key+"/"+name, func(t *testing.T) {
				m := newMount(t)
				server := m.statically(nil, influxtest.HashedTokens(false))
				m.write("config", map[string]any{"tidy_interval": 0})
				m.write("static-roles/other", staticFields(map[string]any{"rotation_period": "1h"}))
				first := m.readStatic("other")["authorization_id"]
				held, failed := m.mint("app"), m.mint("app")
				m.broken(key, value)
				m.reload()
				server.Refuse(http.MethodDelete, authorizations)
				require.Error(t, failed.revoke(t.Context()))
				server.Intercept(nil)

				m.clock.advance(time.Minute)
				require.NoError(t, m.tick())
				require.NotContains(t, m.pendingIDs(), failed.id, "it is retried")
				_, err := held.renew()
				require.NoError(t, err)
				require.NoError(t, m.mint("app").revoke(t.Context()))
				require.NoError(t, held.revoke(t.Context()))
				m.write("config", map[string]any{"external_url": "http://influx.example"})
				m.write("roles/more", map[string]any{"read_buckets": "metrics"})
				m.clock.advance(time.Hour)
				require.NoError(t, m.tick())
				require.NotEqual(t, first, m.readStatic("other")["authorization_id"], "it is rotated")
				m.tidies()
				m.rotates(key)

				problems := m.problems()
				require.Len(t, problems, 1)
				require.Contains(t, problems[0], "read "+key+" from storage: ")
				require.Contains(t, problems[0], "vault delete influxdb/entries/"+key)
				m.clock.advance(time.Minute)
				require.NoError(t, m.tick())
				require.Equal(t, 1, strings.Count(m.log.String(), "read "+key+" from storage"), "it is logged once")

				m.ok(logical.DeleteOperation, "entries/"+key, nil)
				require.NotContains(t, m.keys(""), key)
				require.NoError(t, m.tick())
				require.Empty(t, m.problems())
				m.rotates("")
				require.Empty(t, m.pendingIDs())
			})
		}
	}
}

// rotates rotates each token by hand, but the one whose intention can't be read.
func (m *testMount) rotates(broken string) {
	m.t.Helper()
	for path, intention := range map[string]string{
		"rotate-role/kept": "intention/static/kept", "rotate-role/other": "intention/static/other", "config/rotate-root": "intention/root",
	} {
		if intention == broken {
			require.ErrorContains(m.t, m.try(logical.UpdateOperation, path, nil), "read "+intention+" from storage")
			continue
		}
		m.write(path, nil)
	}
}

// The key of a pending entry that can't be read says what is to be deleted: it is, on the current connection, if it is ours.
func TestUnreadablePendingEntryIsStillTried(t *testing.T) {
	for name, value := range unreadables {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			byID, byNonce := m.mint("app"), m.mint("app")
			stamp, _ := readStamp(byNonce.data["description"].(string))
			foreign := handMade(t, server, m.outlived(otherUUID, kindLease).String(), "active")
			bare := handMade(t, server, "made by hand", "active")
			for _, key := range []string{byID.id, "nonce-" + stamp.Nonce, foreign, bare} {
				m.broken("pending/"+key, value)
			}
			m.reload()
			_, err := byID.renew()
			require.ErrorContains(t, err, "was revoked or deleted")
			require.EqualValues(t, 4, m.read("check").Data["pending_deletions"])

			server.Refuse("", "/")
			require.NoError(t, m.tick())
			require.Len(t, m.pendingIDs(), 4)
			server.Intercept(nil)
			require.NoError(t, m.tick())
			require.ElementsMatch(t, []string{foreign, bare}, m.pendingIDs())
			require.False(t, exists(server, byID.id))
			require.False(t, exists(server, byNonce.id))
			require.True(t, exists(server, foreign), "another mount's")
			require.True(t, exists(server, bare))

			m.system.TaintedVal = true
			require.NoError(t, m.tick(), "what can't be looked for holds no disable back")
		})
	}
}

// A deletion of the same token that fails writes the entry anew, and one that succeeds removes it.
func TestUnreadablePendingEntryIsReplaced(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	m.broken("pending/"+l.id, "{")
	m.reload()
	server.Refuse(http.MethodDelete, authorizations)
	require.Error(t, l.revoke(t.Context()))
	require.NotContains(t, strings.Join(m.problems(), " "), "entries/")
	server.Intercept(nil)
	require.NoError(t, l.revoke(t.Context()))
	require.Empty(t, m.pendingIDs())
}

// A read that fails is none of an entry that can't be read: it counts as pending, and is made again each minute.
func TestPendingEntryWhoseReadFailsIsReadAgain(t *testing.T) {
	m := newMount(t)
	l, server := pendingDeletion(t, m)
	other := m.mint("app")
	require.Error(t, other.revoke(t.Context()))
	server.Intercept(nil)
	m.storage.failOn("get", "pending/"+l.id)
	m.reload()
	require.NoError(t, m.tick())
	require.Equal(t, []string{l.id}, m.pendingIDs(), "the other one is done")
	require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
	require.Contains(t, m.problems()[0], "1 pending deletions could not be read")
	require.NotContains(t, strings.Join(m.problems(), " "), "entries/")
	_, err := l.renew()
	require.ErrorContains(t, err, "was revoked or deleted")
	m.system.TaintedVal = true
	require.ErrorContains(t, m.tick(), "1 deletions are still pending", "it may hold a token that lives")
	m.system.TaintedVal = false

	m.storage.failing(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.False(t, exists(server, l.id))
	require.Empty(t, m.problems())
}

// So it is with static roles: the others go on, and the connection that it may use is kept.
func TestStaticRoleWhoseReadFailsIsReadAgain(t *testing.T) {
	m := newMount(t)
	m.statically(map[string]any{"rotation_period": "1h"})
	m.write("static-roles/other", staticFields(map[string]any{"rotation_period": "1h"}))
	before, other := m.readStatic("kept")["authorization_id"], m.readStatic("other")["authorization_id"]
	m.clock.advance(time.Hour)
	m.reload()
	m.storage.failOn("get", "static-role/kept")
	require.NoError(t, m.tick())
	require.NotEqual(t, other, m.readStatic("other")["authorization_id"])
	m.storage.failing(nil)
	require.NoError(t, m.tick())
	require.NotEqual(t, before, m.readStatic("kept")["authorization_id"])
}

// A rotation stops while its intention can't be read, and the end of the previous token's grace does not.
func TestUnreadableIntentionLetsThePreviousTokenEnd(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "6h", "grace_period": "1h"})
	first := m.readStatic("kept")["authorization_id"].(string)
	m.write("rotate-role/kept", nil)
	second := m.readStatic("kept")["authorization_id"].(string)
	m.broken("intention/static/kept", "{")
	m.clock.advance(7 * time.Hour)
	require.NoError(t, m.tick())
	require.False(t, exists(server, first))
	require.Equal(t, second, m.readStatic("kept")["authorization_id"])
	m.ok(logical.DeleteOperation, "entries/intention/static/kept", nil)
	require.NoError(t, m.tick())
	require.NotEqual(t, second, m.readStatic("kept")["authorization_id"])
}

// Without a configuration that can be read nothing is minted, and what a former connection minted is revoked. Once it is
// removed and written anew, what it minted is found by its stamp.
func TestUnreadableConfiguration(t *testing.T) {
	m := newMount(t)
	formerly := m.connected()
	old := m.mint("app")
	m.ok(logical.DeleteOperation, "config", nil)
	server := m.connected()
	l := m.mint("app")
	m.broken("config", "{")
	m.reload()
	require.NoError(t, old.revoke(t.Context()))
	require.Empty(t, live(formerly))
	require.Error(t, l.revoke(t.Context()))
	m.refused(logical.ReadOperation, "creds/app", nil)
	require.NoError(t, m.tick())
	require.Equal(t, []string{l.id}, m.pendingIDs())
	require.Contains(t, m.problems()[0], "vault delete influxdb/entries/config")

	m.ok(logical.DeleteOperation, "entries/config", nil)
	m.configure(server)
	require.NoError(t, m.mint("app").revoke(t.Context()))
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Empty(t, live(server))
	require.Empty(t, m.problems())
}

func TestEntriesRemovesOnlyWhatCannotBeRead(t *testing.T) {
	m := newMount(t)
	m.statically(nil)
	m.broken("unknown/x", "{")
	before := m.snapshot()
	for _, key := range []string{"config", "role/app", "static-role/kept"} {
		status, text := m.refused(logical.DeleteOperation, "entries/"+key, nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, key+" can be read")
	}
	for _, key := range []string{"role/none", "pending/none", "intention/root", "unknown/x", "role", "x"} {
		status, text := m.refused(logical.DeleteOperation, "entries/"+key, nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "there is no entry "+key)
	}
	m.storage.failOn("get", "role/")
	status, _ := m.refused(logical.DeleteOperation, "entries/role/app", nil)
	require.Equal(t, http.StatusInternalServerError, status, "a read that fails says nothing")
	m.storage.failing(nil)
	require.Equal(t, before, m.snapshot())
}

// What is pending is each cluster's own; all else is the primary's, to which Vault hands the request on.
func TestSecondariesRemoveTheirOwnEntries(t *testing.T) {
	m := newMount(t)
	m.connected()
	m.broken("pending/0123456789abcdef", "{")
	m.broken("role/broken", "{")
	m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
	_, text := m.refused(logical.DeleteOperation, "entries/role/broken", nil)
	require.Contains(t, text, logical.ErrReadOnly.Error())
	m.ok(logical.DeleteOperation, "entries/pending/0123456789abcdef", nil)
	require.Empty(t, m.pendingIDs())
}
