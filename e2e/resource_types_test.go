package e2e

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// whole is the permission for all of a type in an organization: InfluxDB knows the organization itself and
// users by their ID alone.
func whole(action, kind string, l landscape) lab.Permission {
	switch kind {
	case "orgs":
		return to(action, kind, l.home.ID, "")
	case "users":
		return to(action, kind, l.root.ID, "")
	}
	return to(action, kind, "", l.home.ID)
}

// isPrivileged tells which grants a role gets only when it says that they are meant.
func isPrivileged(action, kind string) bool {
	return kind == "authorizations" ||
		action == "write" && slices.Contains([]string{"users", "orgs", "tasks", "checks", "notificationRules"}, kind)
}

func TestEveryResourceTypeCanBeGranted(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		types, err := e.influx.ResourceTypes(t.Context())
		require.NoError(t, err)
		require.Len(t, types, 22, "what this server knows: %v", types)
		for _, action := range []string{"read", "write"} {
			field := action + "_resources"
			all := make([]lab.Permission, len(types))
			for i, kind := range types {
				all[i] = whole(action, kind, l)
				role := map[string]any{field: kind}
				if isPrivileged(action, kind) {
					assert.Contains(t, e.refuses(t, "roles/type", role), field+"[0]: ", kind)
					role["allow_privileged"] = true
				}
				e.role(t, "type", role)
				assert.Equal(t, all[i:i+1], e.granted(t, e.mint(t, "type")), "%s of %s", action, kind)
			}

			assert.Contains(t, e.refuses(t, "roles/all", map[string]any{field: "*"}), field+"[0]: ")
			e.role(t, "all", map[string]any{field: "*", "allow_privileged": true})
			assert.ElementsMatch(t, all, e.granted(t, e.mint(t, "all")), "%s of every type", action)
		}
	})
}
