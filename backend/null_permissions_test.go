package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// Terraform's jsonencode writes a null variable as null: a permission without a name grants every bucket.
func TestANullKeyOfAPermissionIsRefused(t *testing.T) {
	m := newMount(t)
	m.connected()
	for key, says := range map[string]string{
		"name":  "permissions[0].resource.name: null; leave the key out for all buckets",
		"id":    "permissions[0].resource.id: null",
		"orgID": "permissions[0].resource.orgID: null",
		"org":   "permissions[0].resource.org: null",
	} {
		permissions := `[{"action":"read","resource":{"type":"buckets","` + key + `":null}}]`
		require.Contains(t, m.rejected(logical.UpdateOperation, "roles/null", map[string]any{"permissions": permissions}), says)
		require.Contains(t, m.rejected(logical.UpdateOperation, "creds/app", map[string]any{"permissions": permissions}), says)
	}
}

// An earlier version stored such a role. It grants more than was meant, so it mints nothing and says the field; one with a
// null organization goes on.
func TestAStoredRoleWithANullName(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	stored := func(resource map[string]any) {
		require.NoError(t, store.Roles.Put(t.Context(), m.storage, "null", &store.Role{TokenType: "custom",
			Permissions: []map[string]any{{"action": "read", "resource": resource}}}))
		m.vault.InvalidateKey(t.Context(), "role/null")
	}
	stored(map[string]any{"type": "buckets", "name": nil})
	status, text := m.refused(logical.ReadOperation, "creds/null", nil)
	require.Equal(t, 400, status)
	require.Contains(t, text, "permissions[0].resource.name: null")
	require.Empty(t, live(server))
	require.Contains(t, m.examine(server, "null").problems[0], "permissions[0].resource.name: null")

	stored(map[string]any{"type": "buckets", "name": "metrics", "orgID": nil})
	tidyUp(t, server, m.mint("null"))
}
