package backend

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
)

var errStorage = errors.New("storage is out of order")

// faultyStorage is Vault's storage for one mount. It counts, and fails on demand.
type faultyStorage struct {
	logical.Storage

	mu     sync.Mutex
	writes int
	fail   func(op, key string) bool
	before func(op, key string)
}

func newFaultyStorage() *faultyStorage {
	// Through a view, as in Vault: it refuses keys with two dots, and in-memory storage alone does not.
	return &faultyStorage{Storage: logical.NewStorageView(&logical.InmemStorage{}, "logical/test/")}
}

// failing makes the operations fail that fail says; nil makes storage sound again.
func (s *faultyStorage) failing(fail func(op, key string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

// during runs something ahead of each operation, with no lock held: it may wait.
func (s *faultyStorage) during(before func(op, key string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = before
}

// failOn fails one operation on keys with a prefix.
func (s *faultyStorage) failOn(op, prefix string) {
	s.failing(func(o, key string) bool { return o == op && strings.HasPrefix(key, prefix) })
}

func (s *faultyStorage) writeCount() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

func (s *faultyStorage) check(op, key string) error {
	s.mu.Lock()
	before := s.before
	s.mu.Unlock()
	if before != nil {
		before(op, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if op == "put" || op == "delete" {
		s.writes++
	}
	if s.fail != nil && s.fail(op, key) {
		return errStorage
	}
	return nil
}

func (s *faultyStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if err := s.check("get", key); err != nil {
		return nil, err
	}
	return s.Storage.Get(ctx, key)
}

func (s *faultyStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if err := s.check("put", entry.Key); err != nil {
		return err
	}
	return s.Storage.Put(ctx, entry)
}

func (s *faultyStorage) Delete(ctx context.Context, key string) error {
	if err := s.check("delete", key); err != nil {
		return err
	}
	return s.Storage.Delete(ctx, key)
}

func (s *faultyStorage) List(ctx context.Context, prefix string) ([]string, error) {
	if err := s.check("list", prefix); err != nil {
		return nil, err
	}
	return s.Storage.List(ctx, prefix)
}
