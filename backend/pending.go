package backend

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// pendingDeletions mirrors what storage holds under pending/, so that asking costs nothing. Storage is what
// counts: it is written first, and read again before anything is changed in InfluxDB.
type pendingDeletions struct {
	mu      sync.Mutex
	loaded  bool
	byKey   map[string]*owed
	loading turns
}

// owed is one pending deletion, and what was seen of it since the start.
type owed struct {
	store.Pending
	attempts  int
	lastError string
}

// load reads the list once after a start. Whoever comes meanwhile waits: hundreds of revocations that each read a
// long list would take Vault's storage for themselves.
func (p *pendingDeletions) load(ctx context.Context, s logical.Storage) error {
	if p.isLoaded() {
		return nil
	}
	release, err := p.loading.take(ctx, store.PendingPrefix)
	if err != nil {
		return err
	}
	defer release()
	if p.isLoaded() {
		return nil
	}
	keys, err := store.ListPending(ctx, s)
	if err != nil {
		return err
	}
	for _, key := range keys {
		entry, err := store.GetPending(ctx, s, key)
		if err != nil {
			return err
		}
		if entry != nil {
			p.add(*entry)
		}
	}
	p.mu.Lock()
	p.loaded = true
	p.mu.Unlock()
	return nil
}

func (p *pendingDeletions) isLoaded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loaded
}

func (p *pendingDeletions) add(entry store.Pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey == nil {
		p.byKey = map[string]*owed{}
	}
	if p.byKey[entry.Key()] == nil {
		p.byKey[entry.Key()] = &owed{Pending: entry}
	}
}

func (p *pendingDeletions) remove(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byKey, key)
}

// failed counts a failed attempt, and answers how many there were since the start and when the first was.
func (p *pendingDeletions) failed(key string, err error) (attempts int, since time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.byKey[key]
	if o == nil {
		return 0, time.Time{}
	}
	o.attempts++
	o.lastError = err.Error()
	return o.attempts, o.Since
}

// complaint is what InfluxDB said last of the oldest deletion that failed since the start; "" when none did.
func (p *pendingDeletions) complaint() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var oldest *owed
	for _, o := range p.byKey {
		if o.lastError != "" && (oldest == nil || o.Since.Before(oldest.Since)) {
			oldest = o
		}
	}
	if oldest == nil {
		return ""
	}
	return oldest.lastError
}

// has reports whether a deletion is pending.
func (p *pendingDeletions) has(key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byKey[key] != nil
}

// any reports whether anything is pending.
func (p *pendingDeletions) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byKey) > 0
}

// on counts what is pending on one connection.
func (p *pendingDeletions) on(connection string) int {
	count := 0
	for _, entry := range p.all() {
		if entry.Connection == connection {
			count++
		}
	}
	return count
}

func (p *pendingDeletions) all() []store.Pending {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]store.Pending, 0, len(p.byKey))
	for _, o := range p.byKey {
		all = append(all, o.Pending)
	}
	return all
}

// owe writes a failed deletion down. The minute tick tries it again until InfluxDB confirms it.
func (b *backend) owe(ctx context.Context, s logical.Storage, entry store.Pending) error {
	if b.pending.has(entry.Key()) {
		return nil
	}
	if err := store.PutPending(ctx, s, &entry); err != nil {
		// A write that failed may have been done all the same: then the tick has to know of it.
		if stored, readErr := store.GetPending(ctx, s, entry.Key()); readErr != nil || stored == nil {
			return err
		}
	}
	b.pending.add(entry)
	return nil
}

// settle strikes a deletion off.
func (b *backend) settle(ctx context.Context, s logical.Storage, key string) error {
	if !b.pending.has(key) {
		return nil
	}
	if err := store.DeletePending(ctx, s, key); err != nil {
		return err
	}
	b.pending.remove(key)
	return nil
}
