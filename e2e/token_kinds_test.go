package e2e

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// byCLI makes a token with InfluxDB's own client, and returns it as InfluxDB keeps it.
func (e *engine) byCLI(t *testing.T, args ...string) lab.Authorization {
	t.Helper()
	id, err := shared.lab.CreateAuthorizationByCLI(t.Context(), e.influx, args...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.influx.DeleteAuthorization(context.Background(), id)) })
	return e.authorization(t, id)
}

// The documented kinds of tokens are those of `influx auth create`: ours must be the same, grant by grant.
func TestTokenKindsAreThoseOfTheCLI(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		for _, kind := range []struct {
			name string
			role map[string]any
			args []string
		}{
			{"all-access", map[string]any{"token_type": "all-access"}, []string{"--all-access", "--org", org, "--user", user}},
			{
				"all-access elsewhere",
				map[string]any{"token_type": "all-access", "org": l.other.Name, "user": l.dedicated.Name},
				[]string{"--all-access", "--org", l.other.Name, "--user", l.dedicated.Name},
			},
			{"operator", map[string]any{"token_type": "operator"}, []string{"--operator", "--org", org, "--user", user}},
			{
				"chosen buckets",
				map[string]any{"read_buckets": []string{bucket, l.alerts.Name}, "write_buckets": l.alerts.Name},
				[]string{"--org", org, "--user", user, "--read-bucket", l.metrics.ID, "--read-bucket", l.alerts.ID, "--write-bucket", l.alerts.ID},
			},
			{
				"chosen types",
				map[string]any{"read_buckets": "*", "read_resources": "telegrafs,dbrp", "write_resources": "dashboards,tasks"},
				[]string{"--org", org, "--user", user, "--read-buckets", "--read-telegrafs", "--read-dbrp", "--write-dashboards", "--write-tasks"},
			},
		} {
			t.Run(kind.name, func(t *testing.T) {
				theirs := e.byCLI(t, kind.args...)
				kind.role["allow_privileged"] = true
				e.role(t, "kind", kind.role)
				ours := e.authorization(t, e.mint(t, "kind").id)
				assert.ElementsMatch(t, theirs.Permissions, ours.Permissions)
				assert.Equal(t, theirs.OrgID, ours.OrgID)
				assert.Equal(t, theirs.UserID, ours.UserID)
			})
		}
	})
}
