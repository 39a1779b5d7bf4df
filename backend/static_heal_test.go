package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// tidies runs tidy to its end.
func (m *testMount) tidies() {
	m.t.Helper()
	m.write("tidy", nil)
	require.Equal(m.t, tidyDone, m.tidied()["state"])
}

// A static token that somebody deleted in InfluxDB is replaced as soon as a pass misses it.
func TestStaticTokenThatIsGoneIsReplaced(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_schedule": "0 3 1 1 *", "rotation_window": "1h"})
	m.write("static-roles/byhand", staticFields(nil))
	first, other := m.readStatic("kept"), m.readStatic("byhand")
	m.tidies()
	require.Equal(t, first["token"], m.readStatic("kept")["token"])

	server.DeleteToken(first["authorization_id"].(string))
	m.write("tidy", map[string]any{"dry_run": true})
	m.tidied()
	require.Equal(t, first["token"], m.readStatic("kept")["token"], "a dry run changes nothing")
	m.tidies()
	second := m.readStatic("kept")
	require.NotEqual(t, first["token"], second["token"])
	require.Equal(t, http.StatusNoContent, writes(t, server, second["token"].(string)))
	require.Empty(t, m.read("static-roles/kept").Data["previous_authorization_id"])
	require.Equal(t, other["token"], m.readStatic("byhand")["token"])
	require.Len(t, staticTokens(server), 2)
}

// The previous token is all that works when the current one is gone: it has its grace, whatever becomes of the other.
func TestPreviousTokenOutlivesTheOneThatIsGone(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"grace_period": 0})
	first := m.readStatic("kept")["token"].(string)
	m.write("rotate-role/kept", map[string]any{"grace_period": "1h"})
	server.DeleteToken(m.readStatic("kept")["authorization_id"].(string))
	m.tidies()
	require.Equal(t, http.StatusNoContent, writes(t, server, m.readStatic("kept")["token"].(string)))
	require.Equal(t, http.StatusNoContent, writes(t, server, first))
	require.Len(t, staticTokens(server), 2)
	m.minutes(61)
	require.Equal(t, http.StatusUnauthorized, writes(t, server, first))
	require.Len(t, staticTokens(server), 1)
}

// What can't be replaced at once is tried again each minute.
func TestStaticTokenThatIsGoneIsReplacedLater(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	first := m.readStatic("kept")
	server.DeleteToken(first["authorization_id"].(string))
	posts := 0
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			if posts++; posts > 1 { // the first proves that the list is seen
				faulttest.Refused(w, r, next)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	m.tidies()
	require.Equal(t, first["token"], m.readStatic("kept")["token"])
	require.NotEmpty(t, m.read("static-roles/kept").Data["last_error"])
	server.Intercept(nil)
	m.minutes(5)
	require.NotEqual(t, first["token"], m.readStatic("kept")["token"])
	require.Empty(t, m.read("static-roles/kept").Data["last_error"])
	require.Len(t, staticTokens(server), 1)
}

// A list that does not show a token proves nothing: the root token may not be allowed to see it.
func TestStaticTokenThatIsNotShownStays(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	first := m.readStatic("kept")
	org, user := server.OrgID(), server.UserID()
	_, small := server.AddToken(org, user, append(influxtest.MintingPermissions(org, user),
		influxtest.InOrg("read", "buckets", org), influxtest.InOrg("write", "buckets", org), influxtest.ByID("read", "orgs", org))...)
	m.write("config", map[string]any{"token": small})
	m.write("tidy", nil)
	require.Equal(t, tidyBlind, m.tidied()["state"])
	m.minutes(3)
	require.Equal(t, first["token"], m.readStatic("kept")["token"])
	require.Len(t, staticTokens(server), 1)
}

// A Vault that was restored from a snapshot holds a token that was rotated away since.
func TestStaticRoleOfARestoredSnapshotHeals(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "1h", "grace_period": 0})
	old := m.snapshot()
	m.minutes(61)
	latest := m.readStatic("kept")
	for key, value := range old {
		require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{Key: key, Value: []byte(value)}))
	}
	m.crash()
	if overGRPC {
		m.vault.InvalidateKey(t.Context(), "static-role/kept")
	}
	require.NotEqual(t, latest["token"], m.readStatic("kept")["token"])
	m.tidies()
	healed := m.readStatic("kept")
	require.Equal(t, http.StatusNoContent, writes(t, server, healed["token"].(string)))
	require.Contains(t, staticTokens(server), latest["authorization_id"], "what is not in storage is nobody's to delete")
}

// A mount that goes to another InfluxDB takes its static roles along.
func TestStaticRolesMoveToAnotherInfluxDB(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "24h", "grace_period": "10m"})
	other := influxtest.New(t)
	first := m.readStatic("kept")
	text := m.rejected(logical.UpdateOperation, "config", connectionTo(other))
	require.Contains(t, text, "where the tokens of static roles live: kept; the stored configuration is unchanged. End them first (")

	m.write("config", connectionTo(other, map[string]any{"abandon_previous": true}))
	require.Equal(t, first, atTheTimeOf(first, m.readStatic("kept")), "the token of the old InfluxDB, with its url")
	m.minutes(1)
	second := m.readStatic("kept")
	require.Equal(t, other.URL, second["url"])
	require.Equal(t, http.StatusNoContent, writes(t, other, second["token"].(string)))
	require.Equal(t, http.StatusNoContent, writes(t, server, first["token"].(string)), "within its grace")
	m.minutes(11)
	require.Equal(t, http.StatusUnauthorized, writes(t, server, first["token"].(string)))
	require.Len(t, staticTokens(other), 1)
}

// atTheTimeOf is an answer with the ttl of another.
func atTheTimeOf(other, answer map[string]any) map[string]any {
	answer["ttl"] = other["ttl"]
	return answer
}

// Without a connection a static role can still be read, and its token deleted.
func TestStaticRoleOfADeletedConnection(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "1h"})
	first := m.readStatic("kept")
	m.ok(logical.DeleteOperation, "config", nil)
	m.clock.advance(10 * 365 * 24 * time.Hour) // as long as the role is there the connection is kept
	m.minutes(2)
	require.Equal(t, first["token"], m.readStatic("kept")["token"])
	require.Equal(t, server.URL, m.readStatic("kept")["url"])
	require.Contains(t, m.read("static-roles/kept").Data["last_error"], "influxdb is not configured")
	m.ok(logical.DeleteOperation, "static-roles/kept", nil)
	require.Empty(t, staticTokens(server))
	m.hourLater()
	require.Empty(t, m.keys("connection/"))
}
