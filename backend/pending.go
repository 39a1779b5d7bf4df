package backend

import (
	"context"
	"fmt"
	"sync"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// pendingDeletions mirrors what storage holds under pending/, so that asking costs nothing. Storage is what
// counts: it is written first, and read again before anything is changed in InfluxDB.
type pendingDeletions struct {
	mu     sync.Mutex
	loaded bool
	byID   map[string]*owed
}

// owed is one pending deletion, and what was seen of it since the start.
type owed struct {
	store.Pending
	attempts  int
	lastError string
}

// load reads the list once after a start.
func (p *pendingDeletions) load(ctx context.Context, s logical.Storage) error {
	p.mu.Lock()
	loaded := p.loaded
	p.mu.Unlock()
	if loaded {
		return nil
	}
	ids, err := store.ListPending(ctx, s)
	if err != nil {
		return err
	}
	for _, id := range ids {
		entry, err := store.GetPending(ctx, s, id)
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

func (p *pendingDeletions) add(entry store.Pending) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byID == nil {
		p.byID = map[string]*owed{}
	}
	if p.byID[entry.AuthorizationID] == nil {
		p.byID[entry.AuthorizationID] = &owed{Pending: entry}
	}
}

func (p *pendingDeletions) remove(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byID, id)
}

func (p *pendingDeletions) failed(id string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.byID[id]; o != nil {
		o.attempts++
		o.lastError = err.Error()
	}
}

// has reports whether a deletion is pending.
func (p *pendingDeletions) has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byID[id] != nil
}

// any reports whether anything is pending.
func (p *pendingDeletions) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.byID) > 0
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
	all := make([]store.Pending, 0, len(p.byID))
	for _, o := range p.byID {
		all = append(all, o.Pending)
	}
	return all
}

// owe writes a failed deletion down. The minute tick tries it again until InfluxDB confirms it.
func (b *backend) owe(ctx context.Context, s logical.Storage, entry store.Pending) error {
	if b.pending.has(entry.AuthorizationID) {
		return nil
	}
	if err := store.PutPending(ctx, s, &entry); err != nil {
		return err
	}
	b.pending.add(entry)
	return nil
}

// settle strikes a deletion off.
func (b *backend) settle(ctx context.Context, s logical.Storage, id string) error {
	if !b.pending.has(id) {
		return nil
	}
	if err := store.DeletePending(ctx, s, id); err != nil {
		return err
	}
	b.pending.remove(id)
	return nil
}

// drainWidth bounds how many deletions are under way at once in a drain.
const drainWidth = 8

// drain tries every pending deletion once, and says how many are left. Where InfluxDB is out of reach the
// rest of that connection waits for the next time.
func (b *backend) drain(ctx context.Context, s logical.Storage) error {
	if err := b.pending.load(ctx, s); err != nil {
		return err
	}
	var (
		group errgroup.Group
		down  sync.Map
	)
	group.SetLimit(drainWidth)
	for _, entry := range b.pending.all() {
		group.Go(func() (err error) {
			defer b.recovered(&err)
			if _, unreachable := down.Load(entry.Connection); unreachable || ctx.Err() != nil {
				return nil
			}
			if err := b.drainOne(ctx, s, entry); err != nil {
				b.pending.failed(entry.AuthorizationID, err)
				if influx.Is(err, influx.Unavailable) {
					down.Store(entry.Connection, true)
				}
				b.log.Warn("a pending deletion failed again", "authorization_id", entry.AuthorizationID, "role", entry.Role, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait()
	if left := len(b.pending.all()); left > 0 {
		return fmt.Errorf("%d deletions are still pending", left)
	}
	return nil
}

// drainOne reads storage before it changes InfluxDB: a process that outlived its Vault has none to read.
func (b *backend) drainOne(ctx context.Context, s logical.Storage, entry store.Pending) error {
	stored, err := store.GetPending(ctx, s, entry.AuthorizationID)
	if err != nil {
		return err
	}
	if stored == nil { // another node, or another drain, was first
		b.pending.remove(entry.AuthorizationID)
		return nil
	}
	return b.retire(ctx, s, *stored)
}
