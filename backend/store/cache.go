package store

import (
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/hashicorp/vault/sdk/logical"
)

// Cache holds decoded entries, those used last, so that a mint reads nothing. Nobody may change one.
//
// An entry is invalidated once it was written here, or Vault says that another node has written it. Until that write is
// answered a reader may see the old one, as it could when it read storage itself.
type Cache[T any] struct {
	mu      sync.Mutex
	entries *simplelru.LRU[string, *T]
	// generation counts the invalidations. What was read from storage before the last one may be from before that write:
	// it is answered, and not cached.
	generation int
}

// NewCache returns a cache of at most size entries.
func NewCache[T any](size int) *Cache[T] {
	entries, _ := simplelru.NewLRU[string, *T](size, nil) // its one error is a size below 1
	return &Cache[T]{entries: entries}
}

// Get answers an entry from memory, or reads it. That there is none, nil, is not cached.
func (c *Cache[T]) Get(key string, read func() (*T, error)) (*T, error) {
	c.mu.Lock()
	e, ok := c.entries.Get(key)
	generation := c.generation
	c.mu.Unlock()
	if ok {
		return e, nil
	}
	e, err := read()
	if err != nil || e == nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation == generation {
		c.entries.Add(key, e)
	}
	return e, nil
}

// Invalidate has the next Get of a key read storage.
func (c *Cache[T]) Invalidate(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.entries.Remove(key)
}

// Clear has the next Get of every key read storage.
func (c *Cache[T]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.entries.Purge()
}

// InvalidatingStorage is a request's storage. OnWrite is called with each key that is written through it, also when the
// write failed: it may have been done.
type InvalidatingStorage struct {
	logical.Storage
	OnWrite func(key string)
}

// Put writes an entry.
func (s InvalidatingStorage) Put(ctx context.Context, e *logical.StorageEntry) error {
	defer s.OnWrite(e.Key)
	return s.Storage.Put(ctx, e)
}

// Delete deletes an entry.
func (s InvalidatingStorage) Delete(ctx context.Context, key string) error {
	defer s.OnWrite(key)
	return s.Storage.Delete(ctx, key)
}
