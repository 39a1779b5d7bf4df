package revoke

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/store"
)

// queue mirrors the pending deletions in storage, so that asking costs nothing. Storage is what counts: it is written
// first, and read again before anything is changed in InfluxDB.
type queue struct {
	loading background.Once
	mu      sync.Mutex
	byKey   map[string]*item
}

// item is one pending deletion, and what is known of its attempts since the start.
type item struct {
	store.Pending
	attempts  int
	lastError string
}

// Load reads the pending deletions from storage, once after a start. Others wait meanwhile: hundreds of revocations that
// each read a long list would take Vault's storage for themselves.
func (r *Revoker) Load(ctx context.Context, s logical.Storage) error {
	return r.queue.loading.Do(ctx, func() error {
		keys, err := store.PendingDeletions.List(ctx, s)
		if err != nil {
			return err
		}
		for _, key := range keys {
			entry, err := store.PendingDeletions.Get(ctx, s, key)
			if err != nil {
				return err
			}
			if entry != nil {
				r.queue.add(*entry)
			}
		}
		return nil
	})
}

// Enqueue writes a deletion down, to be retried each minute until InfluxDB confirms it.
func (r *Revoker) Enqueue(ctx context.Context, s logical.Storage, entry store.Pending) error {
	if r.queue.has(entry.Key()) {
		return nil
	}
	if err := store.PendingDeletions.Put(ctx, s, entry.Key(), &entry); err != nil {
		// A write that failed may have been done all the same: then it is retried as well.
		if stored, readErr := store.PendingDeletions.Get(ctx, s, entry.Key()); readErr != nil || stored == nil {
			return err
		}
	}
	r.queue.add(entry)
	return nil
}

// Remove removes a deletion that is done or given up; one that is not pending is no error.
func (r *Revoker) Remove(ctx context.Context, s logical.Storage, key string) error {
	if !r.queue.has(key) {
		return nil
	}
	if err := store.PendingDeletions.Delete(ctx, s, key); err != nil {
		return err
	}
	r.queue.remove(key)
	return nil
}

// IsPending reports whether a deletion is pending.
func (r *Revoker) IsPending(key string) bool { return r.queue.has(key) }

// All returns all pending deletions, in no order; those with a Nonce are mints of unknown outcome.
func (r *Revoker) All() []store.Pending { return r.queue.all() }

// CountOn counts what is pending on one connection.
func (r *Revoker) CountOn(connection string) int {
	count := 0
	for _, entry := range r.queue.all() {
		if entry.Connection == connection {
			count++
		}
	}
	return count
}

// Empty reports whether nothing is pending.
func (r *Revoker) Empty() bool { return r.queue.empty() }

// OldestError returns why the oldest of the deletions that failed since the start failed last; "" when none did.
func (r *Revoker) OldestError() string { return r.queue.oldestError() }

func (q *queue) add(entry store.Pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.byKey == nil {
		q.byKey = map[string]*item{}
	}
	if q.byKey[entry.Key()] == nil {
		q.byKey[entry.Key()] = &item{Pending: entry}
	}
}

func (q *queue) remove(key string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.byKey, key)
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

func (q *queue) oldestError() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var oldest *item
	for _, i := range q.byKey {
		if i.lastError != "" && (oldest == nil || i.Since.Before(oldest.Since)) {
			oldest = i
		}
	}
	if oldest == nil {
		return ""
	}
	return oldest.lastError
}

func (q *queue) has(key string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.byKey[key] != nil
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.byKey) == 0
}

func (q *queue) all() []store.Pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]store.Pending, 0, len(q.byKey))
	for _, i := range q.byKey {
		all = append(all, i.Pending)
	}
	return all
}
