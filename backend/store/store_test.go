package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// newStorage is storage as Vault gives it to a mount: a view that refuses keys with two dots.
func newStorage() logical.Storage {
	return logical.NewStorageView(&logical.InmemStorage{}, "logical/test/")
}

// verbs are all functions of the package by what they say when they fail, with a name in the key.
func verbs(name string) map[string]func(context.Context, logical.Storage) error {
	return map[string]func(context.Context, logical.Storage) error{
		"read config from storage": func(ctx context.Context, s logical.Storage) error { _, err := store.Config.Get(ctx, s); return err },
		"write config to storage": func(ctx context.Context, s logical.Storage) error {
			return store.Config.Put(ctx, s, &store.Connection{})
		},
		"delete config from storage": func(ctx context.Context, s logical.Storage) error { return store.Config.Delete(ctx, s) },
		"read connection/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.FormerConnections.Get(ctx, s, name)
			return err
		},
		"write connection/" + name + " to storage": func(ctx context.Context, s logical.Storage) error {
			return store.FormerConnections.Put(ctx, s, name, &store.Connection{ID: name})
		},
		"delete connection/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			return store.FormerConnections.Delete(ctx, s, name)
		},
		"list connection/ in storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.FormerConnections.List(ctx, s)
			return err
		},
		"read role/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.Roles.Get(ctx, s, name)
			return err
		},
		"write role/" + name + " to storage": func(ctx context.Context, s logical.Storage) error {
			return store.Roles.Put(ctx, s, name, &store.Role{})
		},
		"delete role/" + name + " from storage": func(ctx context.Context, s logical.Storage) error { return store.Roles.Delete(ctx, s, name) },
		"list role/ in storage":                 func(ctx context.Context, s logical.Storage) error { _, err := store.Roles.List(ctx, s); return err },
		"read static-role/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.StaticRoles.Get(ctx, s, name)
			return err
		},
		"write static-role/" + name + " to storage": func(ctx context.Context, s logical.Storage) error {
			return store.StaticRoles.Put(ctx, s, name, &store.StaticRole{})
		},
		"delete static-role/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			return store.StaticRoles.Delete(ctx, s, name)
		},
		"list static-role/ in storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.StaticRoles.List(ctx, s)
			return err
		},
		"read intention/static/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.StaticIntentions.Get(ctx, s, name)
			return err
		},
		"write intention/static/" + name + " to storage": func(ctx context.Context, s logical.Storage) error {
			return store.StaticIntentions.Put(ctx, s, name, &store.StaticIntention{})
		},
		"delete intention/static/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			return store.StaticIntentions.Delete(ctx, s, name)
		},
		"list intention/static/ in storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.StaticIntentions.List(ctx, s)
			return err
		},
		"read pending/" + name + " from storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.PendingDeletions.Get(ctx, s, name)
			return err
		},
		"write pending/" + name + " to storage": func(ctx context.Context, s logical.Storage) error {
			return store.PendingDeletions.Put(ctx, s, name, &store.Pending{AuthorizationID: name})
		},
		"delete pending/" + name + " from storage": func(ctx context.Context, s logical.Storage) error { return store.PendingDeletions.Delete(ctx, s, name) },
		"list pending/ in storage": func(ctx context.Context, s logical.Storage) error {
			_, err := store.PendingDeletions.List(ctx, s)
			return err
		},
	}
}

var errBroken = errors.New("storage is out of order")

// broken is storage that fails everything.
type broken struct{}

func (broken) List(context.Context, string) ([]string, error)             { return nil, errBroken }
func (broken) Get(context.Context, string) (*logical.StorageEntry, error) { return nil, errBroken }
func (broken) Put(context.Context, *logical.StorageEntry) error           { return errBroken }
func (broken) Delete(context.Context, string) error                       { return errBroken }

func TestFailuresOfStorageNameTheKey(t *testing.T) {
	for says, verb := range verbs("app") {
		t.Run(says, func(t *testing.T) {
			err := verb(t.Context(), broken{})
			require.ErrorIs(t, err, errBroken)
			require.EqualError(t, err, says+": storage is out of order")
			require.NoError(t, verb(t.Context(), newStorage()))
		})
	}
}

// Vault refuses two dots in a key. That is an error which names it; nothing comes to lie elsewhere.
func TestKeysThatLeaveTheMount(t *testing.T) {
	for _, name := range []string{"..", "../config", "../../other-mount/role/app", "a..b", "a/../b"} {
		under := &logical.InmemStorage{}
		s := logical.NewStorageView(under, "logical/test/")
		for says, verb := range verbs(name) {
			if !strings.Contains(says, name) {
				continue
			}
			err := verb(t.Context(), s)
			require.ErrorIs(t, err, logical.ErrRelativePath)
			require.EqualError(t, err, says+": relative paths not supported")
		}
		keys, err := logical.CollectKeys(t.Context(), under)
		require.NoError(t, err)
		require.Empty(t, keys)
	}
}

// Names are kept as they are, whatever else is in them.
func TestStrangeNames(t *testing.T) {
	s := newStorage()
	names := []string{"a.b", "ünïcode 💧", "with space", "role", "config", "UPPER", "upper", "%2e%2e", "a\\b"}
	for i, name := range names {
		require.NoError(t, store.Roles.Put(t.Context(), s, name, &store.Role{TTL: i + 1}))
	}
	listed, err := store.Roles.List(t.Context(), s)
	require.NoError(t, err)
	require.ElementsMatch(t, names, listed)
	require.IsIncreasing(t, listed)
	for i, name := range names {
		r, err := store.Roles.Get(t.Context(), s, name)
		require.NoError(t, err)
		require.Equal(t, &store.Role{Header: v1, TTL: i + 1}, r)
		require.NoError(t, store.Roles.Delete(t.Context(), s, name))
	}
	listed, err = store.Roles.List(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, listed)
}

// What can't be decoded is named, and not repeated: it may hold the root token, and so may the decoder's words.
func TestUndecodableEntriesAreNotRepeated(t *testing.T) {
	const secret = "SECRET"
	gets := map[string]func(context.Context, logical.Storage) error{}
	for _, key := range []string{"config", "connection/app", "role/app", "static-role/app", "intention/static/app", "pending/app"} {
		gets[key] = verbs("app")["read "+key+" from storage"]
	}
	for key, get := range gets {
		for _, value := range []string{
			"", secret, `"SECRET"`, `["SECRET"]`, `{"token":"SECRET"`, `{"SECRET"}`, `{"version":"SECRET"}`, `{"version":1e400}`, "\x00SECRET", `{"version":1} SECRET`,
		} {
			s := newStorage()
			require.NoError(t, s.Put(t.Context(), &logical.StorageEntry{Key: key, Value: []byte(value)}))
			err := get(t.Context(), s)
			require.EqualError(t, err, "read "+key+" from storage: not an entry that this version knows", value)
			require.NoError(t, errors.Unwrap(err), "nor by a cause")
		}
	}
}

func TestWhatCantBeEncodedIsNotWritten(t *testing.T) {
	s := newStorage()
	err := store.Roles.Put(t.Context(), s, "app", &store.Role{Permissions: []map[string]any{{"action": func() {}}}})
	require.ErrorContains(t, err, "encode role/app: ")
	listed, err := store.Roles.List(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, listed)
}

// Every kind of entry lies by itself, comes back as it was written, with the version, and is gone once deleted.
func TestEntriesComeAndGo(t *testing.T) {
	s, ctx := newStorage(), t.Context()
	since := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("CET", 3600))
	require.NoError(t, store.Config.Put(ctx, s, &store.Connection{ID: "now"}))
	require.NoError(t, store.FormerConnections.Put(ctx, s, "then", &store.Connection{ID: "then"}))
	require.NoError(t, store.Roles.Put(ctx, s, "then", &store.Role{Header: store.Header{Version: 99}}))
	require.NoError(t, store.PendingDeletions.Put(ctx, s, "then", &store.Pending{AuthorizationID: "then", Since: since}))

	current, err := store.Config.Get(ctx, s)
	require.NoError(t, err)
	require.Equal(t, &store.Connection{Header: v1, ID: "now"}, current)
	former, err := store.FormerConnections.Get(ctx, s, "then")
	require.NoError(t, err)
	require.Equal(t, &store.Connection{Header: v1, ID: "then"}, former)
	r, err := store.Roles.Get(ctx, s, "then")
	require.NoError(t, err)
	require.Equal(t, &store.Role{Header: v1}, r)
	p, err := store.PendingDeletions.Get(ctx, s, "then")
	require.NoError(t, err)
	require.Equal(t, "then", p.AuthorizationID)
	require.True(t, since.Equal(p.Since))

	for _, list := range []func(context.Context, logical.Storage) ([]string, error){store.FormerConnections.List, store.Roles.List, store.PendingDeletions.List} {
		listed, err := list(ctx, s)
		require.NoError(t, err)
		require.Equal(t, []string{"then"}, listed)
	}
	for says, verb := range verbs("then") {
		if strings.HasPrefix(says, "delete ") {
			require.NoError(t, verb(ctx, s))
			require.NoError(t, verb(ctx, s), "a second time")
		}
	}
	keys, err := logical.CollectKeys(ctx, s)
	require.NoError(t, err)
	require.Empty(t, keys)
}

func TestWhatIsNotThereIsNil(t *testing.T) {
	s, ctx := newStorage(), t.Context()
	current, err := store.Config.Get(ctx, s)
	require.NoError(t, err)
	require.Nil(t, current)
	former, err := store.FormerConnections.Get(ctx, s, "x")
	require.NoError(t, err)
	require.Nil(t, former)
	r, err := store.Roles.Get(ctx, s, "x")
	require.NoError(t, err)
	require.Nil(t, r)
	p, err := store.PendingDeletions.Get(ctx, s, "x")
	require.NoError(t, err)
	require.Nil(t, p)
}
