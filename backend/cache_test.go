package backend

import (
	"context"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/consts"
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

// What static-creds answers is in memory, and what it answers is never older than the last write.
func TestStaticReadsSeeEachWrite(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		server := m.statically(map[string]any{"grace_period": 0})
		first := m.readStatic("kept")["token"]
		m.write("rotate-role/kept", nil)
		second := m.readStatic("kept")["token"].(string)
		require.NotEqual(t, first, second)
		require.Equal(t, http.StatusNoContent, writes(t, server, second))
		m.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_period": "24h"})
		require.EqualValues(t, 86400, m.readStatic("kept")["rotation_period"])
		m.write("config", map[string]any{"external_url": "https://influx.example"})
		require.Equal(t, "https://influx.example", m.readStatic("kept")["url"])

		m.storage.failing(func(op, key string) bool { return op == "put" && key == "static-role/kept" })
		m.refused(logical.UpdateOperation, "rotate-role/kept", nil)
		m.storage.failing(nil)
		require.Equal(t, second, m.readStatic("kept")["token"], "what was not stored is not answered")

		m.ok(logical.DeleteOperation, "static-roles/kept", nil)
		_, text := m.refused(logical.ReadOperation, "static-creds/kept", nil)
		require.Contains(t, text, `static role "kept" does not exist`)
	})
}

// A standby serves static-creds. It learns of a write by Vault's word, and of one whose word was lost within a minute.
func TestStaticReadsAtAStandbySeeWhatTheActiveNodeHasWritten(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		m.statically(nil)
		m.system.ReplicationStateVal = consts.ReplicationPerformanceStandby
		m.cacheSystemView()
		read := func() any { return m.readStatic("kept")["token"] }
		role := m.storedStatic("kept")
		rotated := func(token string) {
			role.Current.Token = token
			require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage.Storage, "kept", role))
		}
		require.Equal(t, role.Current.Token, read())
		rotated("second")
		m.vault.InvalidateKey(t.Context(), "static-role/kept")
		require.Equal(t, "second", read())

		rotated("third")
		require.Equal(t, "second", read(), "it is in memory")
		require.NoError(t, m.tick())
		require.Equal(t, "third", read())

		require.NoError(t, store.StaticRoles.Delete(t.Context(), m.storage.Storage, "kept"))
		m.vault.InvalidateKey(t.Context(), "static-role/kept")
		m.refused(logical.ReadOperation, "static-creds/kept", nil)
	})
}

// A process that was being reloaded may have stored a rotation after the next one has read the role.
func TestTheFirstTickReadsStaticRolesAfresh(t *testing.T) {
	m := newMount(t)
	m.statically(nil)
	m.crash()
	m.readStatic("kept")
	role := m.storedStatic("kept")
	role.Current.Token = "stored by the one before"
	require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage.Storage, "kept", role))
	require.NoError(t, m.loadStatics(t.Context()))
	require.Equal(t, role.Current.Token, m.readStatic("kept")["token"])
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
