package backend

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

func TestMintSeesEachWriteOfItsRoleAndConnection(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		server := m.connected()
		mintedFor := func(field string) any { return m.mint("app").data[field] }
		require.Equal(t, server.URL, mintedFor("url"))
		m.write("config", map[string]any{"external_url": "https://influx.example"})
		require.Equal(t, "https://influx.example", mintedFor("url"))

		m.write("roles/app", map[string]any{"read_buckets": "metrics", "description": "by write"})
		require.Contains(t, mintedFor("description"), "by write")
		m.ok(logical.PatchOperation, "roles/app", map[string]any{"description": "by patch"})
		require.Contains(t, mintedFor("description"), "by patch")
		m.ok(logical.DeleteOperation, "roles/app", nil)
		_, text := m.refused(logical.ReadOperation, "creds/app", nil)
		require.Contains(t, text, `role "app" does not exist`)

		m.ok(logical.DeleteOperation, "config", nil)
		m.write("roles/app", map[string]any{"read_buckets": "metrics"})
		_, text = m.refused(logical.ReadOperation, "creds/app", nil)
		require.Contains(t, text, "not configured")
		other := influxtest.New(t)
		m.configure(other)
		require.Equal(t, other.URL, mintedFor("url"))
	})
}

// A standby that serves reads, or a secondary, learns of a write by Vault's word.
func TestMintSeesWhatAnotherNodeHasWritten(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		m.connected()
		m.mint("app")
		role, err := store.Roles.Get(t.Context(), m.storage, "app")
		require.NoError(t, err)
		role.Description = "by another node"
		require.NoError(t, store.Roles.Put(t.Context(), m.storage, "app", role))
		m.vault.InvalidateKey(t.Context(), "role/app")
		require.Contains(t, m.mint("app").data["description"], "by another node")

		require.NoError(t, store.Config.Delete(context.Background(), m.storage))
		m.vault.InvalidateKey(t.Context(), "config")
		_, text := m.refused(logical.ReadOperation, "creds/app", nil)
		require.Contains(t, text, "not configured")
	})
}

// Revocations of a connection that mints no more see that it was abandoned, or forgotten, at once.
func TestRevocationSeesEachWriteOfItsConnection(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		server := m.connected()
		l, last := m.mint("app"), m.mint("app")
		m.ok(logical.DeleteOperation, "config", nil)
		require.NoError(t, l.revoke(t.Context()), "kept for what it minted")
		id := m.keys("connection/")[0]
		require.NoError(t, m.storage.Delete(t.Context(), id))
		m.vault.InvalidateKey(t.Context(), id)
		require.ErrorContains(t, last.revoke(t.Context()), "not in storage any more")
		require.Len(t, live(server), 1)
	})
}
