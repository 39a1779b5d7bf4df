package backend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"vault-plugin-secrets-influxdb/backend/static"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestStaticRoleFieldsReadBackAsWritten(t *testing.T) {
	m := newMount(t)
	m.connected()
	m.write("static-roles/kept", map[string]any{
		"read_buckets": []string{"metrics", "metrics"}, "write_resources": "telegrafs", "org": "acme", "description": "for {{.Role}}",
		"rotation_schedule": "0 3 * * SUN", "rotation_window": "2h", "grace_period": "90m",
	})
	role := overJSON(t, m.read("static-roles/kept").Data)
	for field, want := range map[string]any{
		"read_buckets": []any{"metrics", "metrics"}, "write_buckets": []any{}, "write_resources": []any{"telegrafs"}, "org": "acme",
		"description": "for {{.Role}}", "rotation_schedule": "0 3 * * SUN", "rotation_window": 7200.0, "rotation_period": 0.0,
		"grace_period": 5400.0, "token_type": "custom", "last_error": "", "previous_ends": "",
	} {
		require.Equal(t, want, role[field], field)
	}
	require.NotEmpty(t, role["last_vault_rotation"])
	require.NotEmpty(t, role["next_vault_rotation"])
	require.NotEmpty(t, role["authorization_id"])
	for _, absent := range []string{"ttl", "max_ttl", "max_leases", "token", "verify"} {
		require.NotContains(t, role, absent)
	}
	require.True(t, strings.HasPrefix(m.readStatic("kept")["description"].(string), "for kept [vault:"))
}

func TestStaticRoleRefusesWhatIsWrong(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for _, c := range []struct {
		fields map[string]any
		says   string
	}{
		{map[string]any{}, `static role "kept" would grant nothing: a write replaces the whole role; to change one field use vault patch influxdb/static-roles/kept rotation_period=24h`},
		{staticFields(map[string]any{"ttl": "1h"}), "ttl: unknown field"},
		{staticFields(map[string]any{"rotation_period": "1h", "grace_period": "61m"}), "grace_period: 3660s is longer than rotation_period, 3600s"},
		{staticFields(map[string]any{"grace_period": "-1m"}), "grace_period: must be a duration"},
		{map[string]any{"read_buckets": "metrcs"}, `read_buckets[0]: no bucket "metrcs" in org "acme"`},
		{map[string]any{"read_buckets": "metrcs", "verify": false}, `read_buckets[0]: no bucket "metrcs"`},
		{map[string]any{"read_buckets": "app-{{identity.entity.name}}"}, "read_buckets: holds an identity template; a static role has one token for all callers"},
		{staticFields(map[string]any{"description": "for {{identity.entity.name}}"}), "description: holds an identity template"},
		{staticFields(map[string]any{"user": "{{identity.entity.name}}"}), "user: holds an identity template"},
		{map[string]any{"token_type": "all-access"}, "token_type all-access can read and make other tokens"},
	} {
		require.Contains(t, m.rejected(logical.UpdateOperation, "static-roles/kept", c.fields), c.says, "%v", c.fields)
		require.Empty(t, staticTokens(server))
	}
	status, text := m.refused(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_period": "1h"})
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, text, `static role "kept" does not exist; write it first`)
	m.rejected(logical.UpdateOperation, "static-roles/a..b", staticFields(nil))
	m.rejected(logical.UpdateOperation, "rotate-role/kept", map[string]any{"grace_period": "x"})
}

// What is wrong comes in one answer.
func TestStaticRoleSaysAllThatIsWrong(t *testing.T) {
	m := newMount(t)
	m.connected()
	text := m.rejected(logical.UpdateOperation, "static-roles/kept", map[string]any{
		"read_buckets": "no,nor", "rotation_period": "1s", "grace_period": "2h", "write_resources": "tasks",
	})
	for _, says := range []string{"read_buckets[0]: ", "read_buckets[1]: ", "rotation_period: must be", "grace_period: 7200s is longer", "tasks"} {
		require.Contains(t, text, says)
	}
}

func TestStaticRoleNeedsAConnection(t *testing.T) {
	m := newMount(t)
	require.Contains(t, m.rejected(logical.UpdateOperation, "static-roles/kept", staticFields(nil)), "influxdb is not configured: write url, token and org to influxdb/config first")
	server := m.connected()
	server.Refuse("", "/")
	status, _ := m.refused(logical.UpdateOperation, "static-roles/kept", staticFields(nil))
	require.Equal(t, http.StatusBadGateway, status)
	require.Empty(t, m.keys("static-role/"))
	require.Contains(t, m.rejected(logical.ReadOperation, "static-creds/kept", nil), "does not exist")
}

// A change of what the token depends on makes a new one, with the same overlap; a change of all else makes none.
func TestStaticRoleChanges(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "24h"})
	first := m.readStatic("kept")
	for _, change := range []map[string]any{
		{"rotation_period": "12h"}, {"grace_period": "5m"}, {"description": "other"}, {"rotation_schedule": "0 3 * * *"}, {"verify": false},
	} {
		m.ok(logical.PatchOperation, "static-roles/kept", change)
		require.Equal(t, first["token"], m.readStatic("kept")["token"], "%v", change)
	}
	require.Equal(t, "other", m.read("static-roles/kept").Data["description"])
	require.Len(t, staticTokens(server), 1)

	m.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"write_buckets": ""})
	second := m.readStatic("kept")
	require.NotEqual(t, first["token"], second["token"])
	require.Equal(t, http.StatusForbidden, writes(t, server, second["token"].(string)))
	require.Equal(t, http.StatusNoContent, writes(t, server, first["token"].(string)), "within its grace")
	require.Len(t, staticTokens(server), 2)

	m.write("static-roles/kept", map[string]any{"write_buckets": "metrics"})
	require.Len(t, staticTokens(server), 2)
	require.Equal(t, http.StatusUnauthorized, writes(t, server, first["token"].(string)))
	role := m.read("static-roles/kept").Data
	require.Empty(t, role["rotation_schedule"], "a write replaces the whole role")
	require.Empty(t, role["description"])
}

// A change that can't be made leaves the role and its token as they were.
func TestStaticRoleChangeThatFails(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "24h"})
	before, stored := m.readStatic("kept"), m.snapshot()
	server.Refuse("POST", authorizations)
	status, _ := m.refused(logical.PatchOperation, "static-roles/kept", map[string]any{"write_buckets": ""})
	require.Equal(t, http.StatusBadGateway, status)
	server.Intercept(nil)
	after := m.snapshot()
	require.Equal(t, stored["static-role/kept"], after["static-role/kept"])
	require.Equal(t, before["token"], m.readStatic("kept")["token"])
	m.clock.advance(nonceAge)
	require.NoError(t, m.tick())
	require.Len(t, staticTokens(server), 1)
	require.Empty(t, m.pendingIDs())
}

// A grace that is cleared is the default again, and not none.
func TestStaticRoleGraceIsCleared(t *testing.T) {
	m := newMount(t)
	m.statically(map[string]any{"grace_period": 0})
	require.Equal(t, 0, seconds(t, m.read("static-roles/kept").Data["grace_period"]))
	for _, cleared := range []any{nil, ""} {
		m.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"grace_period": "5m"})
		m.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"grace_period": cleared})
		require.Equal(t, static.DefaultGracePeriod, seconds(t, m.read("static-roles/kept").Data["grace_period"]))
	}
	m.write("static-roles/kept", staticFields(map[string]any{"rotation_period": "10m", "grace_period": ""}))
	require.Equal(t, 600, seconds(t, m.read("static-roles/kept").Data["grace_period"]))
}

// A plan that is changed begins anew; one that stays as it is goes on, however often it is written.
func TestStaticRolePlanChanges(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.statically(map[string]any{"rotation_period": "24h"})
	next := m.read("static-roles/kept").Data["next_vault_rotation"]
	m.minutes(60)
	m.write("static-roles/kept", staticFields(map[string]any{"rotation_period": "24h"}))
	require.Equal(t, next, m.read("static-roles/kept").Data["next_vault_rotation"])
	m.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_period": "1h"})
	require.Equal(t, 3600, seconds(t, m.read("static-roles/kept").Data["grace_period"]))
	m.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_period": "10m"})
	require.Equal(t, 600, seconds(t, m.read("static-roles/kept").Data["grace_period"]), "at most the period")
	require.LessOrEqual(t, seconds(t, m.readStatic("kept")["ttl"]), 600)
	m.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_period": 0})
	require.Equal(t, readAgain, seconds(t, m.readStatic("kept")["ttl"]))
}

// Static and other roles have names of their own.
func TestStaticRolesBesideRoles(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for i := range 3 {
		m.write(fmt.Sprintf("static-roles/app%d", i), staticFields(nil))
	}
	m.write("static-roles/app", staticFields(nil))
	held := m.mint("app")
	require.Len(t, live(server), 5)
	m.ok(logical.DeleteOperation, "roles/app", nil)
	require.NotEmpty(t, m.readStatic("app")["token"])
	m.write("tidy", map[string]any{})
	require.Equal(t, tidyDone, m.tidied()["state"])
	require.Len(t, live(server), 5, "tidy leaves static tokens alone")
	for id := range staticTokens(server) {
		require.Contains(t, m.rejected(logical.DeleteOperation, "tokens/"+id, nil), "to replace it at once run vault write -f influxdb/rotate-role/app")
	}
	m.clock.advance(100 * 365 * 24 * 3600e9)
	m.write("tidy", map[string]any{})
	require.Equal(t, tidyDone, m.tidied()["state"])
	require.Len(t, staticTokens(server), 4)
	require.NotContains(t, live(server), held.id)
}
