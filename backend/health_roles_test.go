package backend

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/health"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// A root token that was replaced by a smaller one no longer serves every role: check names those that it does not.
func TestCheckNamesTheRolesThatCanNotBeGranted(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/watch", map[string]any{"read_resources": "tasks,dashboards"})
	m.write("roles/early", map[string]any{"read_buckets": "later", "verify": false})
	m.write("static-roles/kept", map[string]any{"read_resources": "dashboards"})
	m.write("roles/personal", map[string]any{"read_buckets": "{{identity.entity.name}}"})
	require.Empty(t, m.problems(), "the root token's authorization is not known")
	m.write("config", map[string]any{"authorization_id": server.RootID()})
	require.Equal(t, []string{`role "early": read_buckets[0]: no bucket "later" in org "acme"`}, m.problems())
	m.write("roles/early", map[string]any{"read_buckets": "metrics"})
	require.Empty(t, m.problems(), "an operator token holds everything")

	org, user := server.OrgID(), server.UserID()
	id, small := server.AddToken(org, user, append(influxtest.MintingPermissions(org, user),
		influxtest.InOrg("read", "buckets", org), influxtest.InOrg("write", "buckets", org), influxtest.ByID("read", "orgs", org),
		influxtest.InOrg("read", "authorizations", org), influxtest.ByID("read", "users", user), influxtest.InOrg("read", "tasks", org))...)
	m.write("config", map[string]any{"token": small, "authorization_id": id})
	server.ResetRequests()
	const lacks = "the root token does not hold read:dashboards in org acme; see docs/root-token.md"
	require.Equal(t, []string{`role "watch": read_resources[1]: ` + lacks, `static role "kept": read_resources[0]: ` + lacks}, m.problems())
	made := 0
	for _, r := range server.Requests() {
		if r.Method == "POST" {
			made++
		}
	}
	require.Equal(t, 1, made, "one token is made to try the connection, and none for the roles")
}

func (m *testMount) problems() []string {
	m.t.Helper()
	var all []string
	switch problems := m.read("check").Data["problems"].(type) {
	case []string:
		all = problems
	case []any:
		for _, problem := range problems {
			all = append(all, fmt.Sprint(problem))
		}
	}
	return all
}

// A monitor sees how many tokens each role has, once those are counted that existed before, and when each static role's
// token is rotated. None of it costs a read of a role.
func TestCheckListsRoles(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "1h"})
	m.write("static-roles/by-hand", staticFields(nil))
	m.write("roles/idle", map[string]any{"read_buckets": "metrics"})
	m.write("roles/gone", map[string]any{"read_buckets": "metrics"})
	first, _, gone := m.mint("app"), m.mint("app"), m.mint("gone")
	m.ok(logical.DeleteOperation, "roles/gone", nil)
	require.Empty(t, m.examine(server, "").data["roles"], "not counted yet")

	m.tidy(nil)
	counts := func() map[string]int {
		live := map[string]int{}
		for name, role := range m.listed(server, "roles") {
			live[name] = seconds(t, role["live_tokens"])
		}
		return live
	}
	require.Equal(t, map[string]int{"app": 2, "gone": 1, "idle": 0}, counts())
	require.NoError(t, first.revoke(t.Context()))
	require.NoError(t, gone.revoke(t.Context()))
	require.Equal(t, map[string]int{"app": 1, "idle": 0}, counts())
	m.clock.advance(6 * time.Minute)
	require.Equal(t, map[string]int{"app": 0, "idle": 0}, counts(), "the lease was not renewed")

	static := m.listed(server, "static_roles")
	require.Equal(t, m.read("static-roles/kept").Data["next_vault_rotation"], static["kept"]["next_vault_rotation"])
	require.NotEmpty(t, static["kept"]["next_vault_rotation"])
	require.Equal(t, "", static["by-hand"]["next_vault_rotation"])
	m.ok(logical.DeleteOperation, "static-roles/by-hand", nil)
	require.Len(t, m.listed(server, "static_roles"), 1)

	role := m.storedStatic("kept")
	for i := range health.MaxNames {
		require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage.Storage, fmt.Sprint("other", i), role))
	}
	m.reload()
	require.Len(t, m.listed(server, "static_roles"), health.MaxNames)
}

// listed is a list in what check answers, by name; it is sorted.
func (m *testMount) listed(server *influxtest.Server, field string) map[string]map[string]any {
	m.t.Helper()
	byName, last := map[string]map[string]any{}, ""
	for _, entry := range m.examine(server, "").data[field].([]any) {
		fields := entry.(map[string]any)
		require.Less(m.t, last, fields["name"])
		last = fields["name"].(string)
		byName[last] = fields
	}
	return byName
}
