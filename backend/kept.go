package backend

import (
	"context"
	"strings"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// How many entries of a kind are kept: those used last.
const (
	keptRoles       = 10000
	keptConnections = 100
)

// kept holds entries of storage in memory, decoded, so that a mint reads nothing. Nobody may change one.
//
// An entry is dropped once it was written here, or Vault says that another node has written it. Until that write
// is answered a reader may see the old one, as it could when it read storage itself.
type kept[T any] struct {
	mu      sync.Mutex
	entries *simplelru.LRU[string, *T]
	// drops counts what was dropped. What was read from storage before the last drop may be from before that
	// write: it is answered, and not kept.
	drops int
}

func newKept[T any](most int) *kept[T] {
	entries, _ := simplelru.NewLRU[string, *T](most, nil) // its one error is a size below 1
	return &kept[T]{entries: entries}
}

// get answers an entry from memory, or reads it. That there is none is not kept.
func (k *kept[T]) get(key string, read func() (*T, error)) (*T, error) {
	k.mu.Lock()
	entry, ok := k.entries.Get(key)
	drops := k.drops
	k.mu.Unlock()
	if ok {
		return entry, nil
	}
	entry, err := read()
	if err != nil || entry == nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.drops == drops {
		k.entries.Add(key, entry)
	}
	return entry, nil
}

func (k *kept[T]) drop(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.drops++
	k.entries.Remove(key)
}

// forget makes the next read of an entry one of storage.
func (b *backend) forget(key string) {
	switch {
	case key == store.ConfigKey, strings.HasPrefix(key, store.ConnectionPrefix):
		b.connections.drop(key)
	case strings.HasPrefix(key, store.RolePrefix):
		b.roles.drop(key)
	}
}

// watched is a request's storage. What is written through it is dropped from what is kept, also when the write
// failed: it may have been done.
type watched struct {
	logical.Storage
	written func(key string)
}

func (w watched) Put(ctx context.Context, entry *logical.StorageEntry) error {
	defer w.written(entry.Key)
	return w.Storage.Put(ctx, entry)
}

func (w watched) Delete(ctx context.Context, key string) error {
	defer w.written(key)
	return w.Storage.Delete(ctx, key)
}

// role is the role of a mint or a renewal; nil when there is none.
func (b *backend) role(ctx context.Context, s logical.Storage, name string) (*store.Role, error) {
	return b.roles.get(store.RolePrefix+name, func() (*store.Role, error) { return store.GetRole(ctx, s, name) })
}

// config is the connection that mints; nil when there is none.
func (b *backend) config(ctx context.Context, s logical.Storage) (*store.Connection, error) {
	return b.connections.get(store.ConfigKey, func() (*store.Connection, error) { return store.GetConfig(ctx, s) })
}

// retired is a connection that mints no more; nil when there is none.
func (b *backend) retired(ctx context.Context, s logical.Storage, id string) (*store.Connection, error) {
	return b.connections.get(store.ConnectionPrefix+id, func() (*store.Connection, error) { return store.GetRetired(ctx, s, id) })
}
