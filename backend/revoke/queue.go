package revoke

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
)

// queue mirrors the pending deletions in storage, so that asking costs nothing. Storage is what counts: it is written
// first, and read again before anything is changed in InfluxDB.
type queue struct {
	loading background.Once
	mu      sync.Mutex
	byKey   map[string]*item
	// unread are those that could not be read, by key: each counts as pending.
	unread map[string]error
}

// item is one pending deletion, and what is known of its attempts since the start.
type item struct {
	store.Pending
	attempts  int
	lastError string
}

// Load reads the pending deletions from storage, once after a start. Others wait meanwhile: hundreds of revocations that
// each read a long list would take Vault's storage for themselves. One that can't be read holds no other up.
func (q *queue) Load(ctx context.Context, s logical.Storage) error {
	return q.loading.Do(ctx, func() error {
		keys, err := store.PendingDeletions.List(ctx, s)
		q.readAll(ctx, s, keys)
		return err
	})
}

// Reload reads again what could not be read: a read that failed may succeed.
func (q *queue) Reload(ctx context.Context, s logical.Storage) {
	q.readAll(ctx, s, slices.Collect(maps.Keys(q.Unread())))
}

func (q *queue) readAll(ctx context.Context, s logical.Storage, keys []string) {
	for _, key := range keys {
		entry, err := store.PendingDeletions.Get(ctx, s, key)
		switch {
		case err != nil:
			q.markUnread(key, err)
		case entry == nil:
			q.Forget(key)
		default:
			q.add(*entry)
		}
	}
}

// Unread returns why entries could not be read, by their keys: what they are is not known, and each counts as pending.
func (q *queue) Unread() map[string]error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return maps.Clone(q.unread)
}

// Enqueue writes a deletion down, to be retried each minute until InfluxDB confirms it. It does so also when the caller
// has gone.
func (q *queue) Enqueue(ctx context.Context, s logical.Storage, entry store.Pending) error {
	if q.has(entry.Key()) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.WriteTimeout)
	defer cancel()
	if err := store.PendingDeletions.Put(ctx, s, entry.Key(), &entry); err != nil {
		// A write that failed may have been done all the same: then it is retried as well.
		if stored, readErr := store.PendingDeletions.Get(ctx, s, entry.Key()); readErr != nil || stored == nil {
			return err
		}
	}
	q.add(entry)
	return nil
}

// Remove removes a deletion that is done or given up; one that is not pending is no error.
func (q *queue) Remove(ctx context.Context, s logical.Storage, key string) error {
	if !q.IsPending(key) {
		return nil
	}
	if err := store.PendingDeletions.Delete(ctx, s, key); err != nil {
		return err
	}
	q.Forget(key)
	return nil
}

// IsPending reports whether a deletion is pending.
func (q *queue) IsPending(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.byKey[key] != nil || q.unread[key] != nil
}

func (q *queue) has(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.byKey[key] != nil
}

// All returns all pending deletions, in no order; those with a Nonce are mints of unknown outcome.
func (q *queue) All() []store.Pending {
	return q.where(func(*item) bool { return true })
}

// CountOn counts what is pending on one connection. What could not be read yet may be.
func (q *queue) CountOn(connection string) int {
	count := len(q.where(func(i *item) bool { return i.Connection == connection }))
	for _, err := range q.Unread() {
		if !store.IsUnreadable(err) {
			count++
		}
	}
	return count
}

// Empty reports whether nothing is pending.
func (q *queue) Empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.byKey) == 0 && len(q.unread) == 0
}

// OldestError returns why the oldest of the deletions that failed since the start failed last; "" when none did.
func (q *queue) OldestError() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	oldest := &item{}
	for _, i := range q.byKey {
		if i.lastError != "" && (oldest.lastError == "" || i.Since.Before(oldest.Since)) {
			oldest = i
		}
	}
	return oldest.lastError
}

// where returns the pending deletions that are chosen.
func (q *queue) where(chosen func(*item) bool) []store.Pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	var entries []store.Pending
	for _, i := range q.byKey {
		if chosen(i) {
			entries = append(entries, i.Pending)
		}
	}
	return entries
}

func (q *queue) add(entry store.Pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byKey == nil {
		q.byKey = map[string]*item{}
	}
	delete(q.unread, entry.Key())
	if q.byKey[entry.Key()] == nil {
		q.byKey[entry.Key()] = &item{Pending: entry}
	}
}

func (q *queue) markUnread(key string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unread == nil {
		q.unread = map[string]error{}
	}
	q.unread[key] = err
}

// Forget drops an entry that is not in storage any more.
func (q *queue) Forget(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.byKey, key)
	delete(q.unread, key)
}

// boundSince lets what began by a clock that was ahead begin now, and stores it so: it must age.
func (q *queue) boundSince(ctx context.Context, s logical.Storage, now time.Time) {
	for _, entry := range q.where(func(i *item) bool { return store.NotAhead(i.Since, now) != i.Since }) {
		entry.Since = now.UTC()
		if store.PendingDeletions.Put(ctx, s, entry.Key(), &entry) != nil {
			return // the next minute tries again
		}
		q.mu.Lock()
		if i := q.byKey[entry.Key()]; i != nil {
			i.Since = entry.Since
		}
		q.mu.Unlock()
	}
}

// recordFailure counts a failed attempt, and returns how many there were since the start and when the first was.
func (q *queue) recordFailure(key string, err error) (attempts int, since time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.byKey[key]
	if i == nil {
		return 0, time.Time{}
	}
	i.attempts++
	i.lastError = err.Error()
	return i.attempts, i.Since
}
