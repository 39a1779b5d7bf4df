package backend

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
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
