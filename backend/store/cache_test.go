package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

func TestCachedEntriesAreReadOnce(t *testing.T) {
	c := store.NewCache[store.Role](2)
	reads := 0
	read := func(name string) *store.Role {
		role, err := c.Get(name, func() (*store.Role, error) {
			reads++
			return &store.Role{Org: name}, nil
		})
		require.NoError(t, err)
		require.Equal(t, name, role.Org)
		return role
	}
	require.Same(t, read("a"), read("a"))
	require.Equal(t, 1, reads)
	c.Invalidate("a")
	read("a")
	require.Equal(t, 2, reads, "invalidated")

	read("b")
	read("a")
	read("c")
	read("a")
	require.Equal(t, 4, reads)
	read("b")
	require.Equal(t, 5, reads, "there was no room for three: the one used last but two went")
	c.Clear()
	read("b")
	read("a")
	require.Equal(t, 7, reads, "nothing is left")
}

func TestNeitherFailuresNorAbsencesAreCached(t *testing.T) {
	c := store.NewCache[store.Role](2)
	_, err := c.Get("a", func() (*store.Role, error) { return nil, errBroken })
	require.ErrorIs(t, err, errBroken)
	role, err := c.Get("a", func() (*store.Role, error) { return nil, nil })
	require.NoError(t, err)
	require.Nil(t, role)
	role, err = c.Get("a", func() (*store.Role, error) { return &store.Role{}, nil })
	require.NoError(t, err)
	require.NotNil(t, role)
}

// A read that began before a write, and ends after it, may have seen the old entry.
func TestWhatWasReadBeforeAWriteIsNotCached(t *testing.T) {
	c := store.NewCache[store.Role](2)
	role, err := c.Get("a", func() (*store.Role, error) {
		c.Invalidate("a") // the write, and its end
		return &store.Role{Org: "old"}, nil
	})
	require.NoError(t, err)
	require.Equal(t, "old", role.Org)
	role, err = c.Get("a", func() (*store.Role, error) { return &store.Role{Org: "new"}, nil })
	require.NoError(t, err)
	require.Equal(t, "new", role.Org)
}

// A write whose outcome is not known may have been done.
func TestAFailedWriteInvalidates(t *testing.T) {
	var invalidated []string
	s := store.InvalidatingStorage{Storage: broken{}, OnWrite: func(key string) { invalidated = append(invalidated, key) }}
	require.Error(t, s.Put(t.Context(), &logical.StorageEntry{Key: "config"}))
	require.Error(t, s.Delete(t.Context(), "role/app"))
	require.Equal(t, []string{"config", "role/app"}, invalidated)
}

// flaky does what it is asked for and says that it failed; unread also fails reads.
type flaky struct {
	logical.Storage
	lost, unread bool
}

func (f flaky) Put(ctx context.Context, e *logical.StorageEntry) error {
	if !f.lost {
		_ = f.Storage.Put(ctx, e)
	}
	return errBroken
}

func (f flaky) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if f.unread {
		return nil, errBroken
	}
	return f.Storage.Get(ctx, key)
}

func TestPutConfirmed(t *testing.T) {
	write := func(s logical.Storage) error {
		config := store.Config.PutConfirmed(t.Context(), s, &store.Connection{Org: "acme"})
		role := store.Roles.PutConfirmed(t.Context(), s, "app", &store.Role{Org: "acme"})
		require.Equal(t, config == nil, role == nil)
		return errors.Join(config, role)
	}
	require.NoError(t, write(newStorage()))
	require.NoError(t, write(flaky{Storage: newStorage()}), "it was done all the same")
	err := write(flaky{Storage: newStorage(), lost: true})
	require.ErrorIs(t, err, errBroken)
	require.NotErrorIs(t, err, store.ErrWriteUnknown)
	require.ErrorIs(t, write(flaky{Storage: newStorage(), unread: true}), store.ErrWriteUnknown)
}
