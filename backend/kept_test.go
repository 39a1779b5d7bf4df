package backend

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

func TestKeptEntriesAreReadOnce(t *testing.T) {
	k := newKept[store.Role](2)
	reads := 0
	read := func(name string) *store.Role {
		role, err := k.get(name, func() (*store.Role, error) {
			reads++
			return &store.Role{Org: name}, nil
		})
		require.NoError(t, err)
		require.Equal(t, name, role.Org)
		return role
	}
	require.Same(t, read("a"), read("a"))
	require.Equal(t, 1, reads)
	k.drop("a")
	read("a")
	require.Equal(t, 2, reads, "dropped")

	read("b")
	read("a")
	read("c")
	read("a")
	require.Equal(t, 4, reads)
	read("b")
	require.Equal(t, 5, reads, "there was no room for three: the one used last but two went")
}

func TestNeitherFailuresNorAbsencesAreKept(t *testing.T) {
	k := newKept[store.Role](2)
	_, err := k.get("a", func() (*store.Role, error) { return nil, errStorage })
	require.ErrorIs(t, err, errStorage)
	role, err := k.get("a", func() (*store.Role, error) { return nil, nil })
	require.NoError(t, err)
	require.Nil(t, role)
	role, err = k.get("a", func() (*store.Role, error) { return &store.Role{}, nil })
	require.NoError(t, err)
	require.NotNil(t, role)
}

// A read that began before a write, and ends after it, may have seen the old entry.
func TestWhatWasReadBeforeAWriteIsNotKept(t *testing.T) {
	k := newKept[store.Role](2)
	role, err := k.get("a", func() (*store.Role, error) {
		k.drop("a") // the write, and its end
		return &store.Role{Org: "old"}, nil
	})
	require.NoError(t, err)
	require.Equal(t, "old", role.Org)
	role, err = k.get("a", func() (*store.Role, error) { return &store.Role{Org: "new"}, nil })
	require.NoError(t, err)
	require.Equal(t, "new", role.Org)
}

// A write whose outcome is not known may have been done.
func TestAFailedWriteIsForgotten(t *testing.T) {
	var forgotten []string
	storage := newFaultyStorage()
	s := watched{storage, func(key string) { forgotten = append(forgotten, key) }}
	storage.failing(func(op, _ string) bool { return op != "get" })
	require.Error(t, s.Put(t.Context(), &logical.StorageEntry{Key: "config"}))
	require.Error(t, s.Delete(t.Context(), "role/app"))
	require.Equal(t, []string{"config", "role/app"}, forgotten)
}

func TestMintSeesEachWriteOfItsRoleAndConnection(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
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
	everyHost(t, func(t *testing.T, m *mount) {
		m.connected()
		m.mint("app")
		role, err := store.GetRole(t.Context(), m.storage, "app")
		require.NoError(t, err)
		role.Description = "by another node"
		require.NoError(t, store.PutRole(t.Context(), m.storage, "app", role))
		m.vault.InvalidateKey(t.Context(), "role/app")
		require.Contains(t, m.mint("app").data["description"], "by another node")

		require.NoError(t, store.DeleteConfig(context.Background(), m.storage))
		m.vault.InvalidateKey(t.Context(), "config")
		_, text := m.refused(logical.ReadOperation, "creds/app", nil)
		require.Contains(t, text, "not configured")
	})
}

// Revocations of a connection that mints no more see that it was abandoned, or forgotten, at once.
func TestRevocationSeesEachWriteOfItsConnection(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
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
