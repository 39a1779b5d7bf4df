package revoke

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Concurrency is how many deletions are under way at once.
const Concurrency = 8

// RetryAll tries every pending deletion of a known authorization once. The error says how many are left. Where InfluxDB is
// out of reach the rest of that connection waits for the next time. Mints of unknown outcome are left alone.
func (r *Revoker) RetryAll(ctx context.Context, s logical.Storage) error {
	if err := r.Load(ctx, s); err != nil {
		return err
	}
	isDeletion := func(i *item) bool { return i.Nonce == "" }
	deletions := r.where(isDeletion)
	broken := map[string]*Breaker{}
	for _, entry := range deletions {
		broken[entry.Connection] = &Breaker{}
	}
	var (
		group   errgroup.Group
		skipped atomic.Int64
	)
	group.SetLimit(Concurrency)
	for _, entry := range deletions {
		group.Go(func() (err error) {
			defer background.Recover(r.mount.Log, &err)
			breaker := broken[entry.Connection]
			switch {
			case ctx.Err() != nil:
			case breaker.Open():
				skipped.Add(1)
			default:
				r.retry(ctx, s, entry, breaker)
			}
			return nil
		})
	}
	_ = group.Wait()
	r.breakers.Store(&broken)
	if n := skipped.Load(); n > 0 {
		r.mount.Log.Warn("pending deletions wait for the next minute: their InfluxDB is out of reach, or does not accept what it is asked with", "count", n)
	}
	if left := len(r.where(isDeletion)); left > 0 {
		return fmt.Errorf("%d deletions are still pending", left)
	}
	return nil
}

func (r *Revoker) retry(ctx context.Context, s logical.Storage, entry store.Pending, breaker *Breaker) {
	if err := r.revokeStored(ctx, s, entry.Key()); err != nil {
		breaker.Record(err)
		r.mount.Log.Warn("a pending deletion failed again", "authorization_id", entry.AuthorizationID, "role", entry.Role, "error", err)
	}
}

// revokeStored reads storage before it changes InfluxDB: a process that outlived its Vault has none to read.
func (r *Revoker) revokeStored(ctx context.Context, s logical.Storage, key string) error {
	stored, err := store.PendingDeletions.Get(ctx, s, key)
	if err != nil {
		return err
	}
	if stored == nil { // another node, or another run, was first
		r.drop(key)
		return nil
	}
	return r.Revoke(ctx, s, *stored)
}

// Unreachable reports whether the last RetryAll found that the InfluxDB of a connection is out of reach, or does not
// accept the root token: then nothing else succeeds there in the same minute.
func (r *Revoker) Unreachable(connection string) bool {
	last := r.breakers.Load()
	return last != nil && (*last)[connection] != nil && (*last)[connection].Open()
}

// enoughFailures open a breaker.
const enoughFailures = 2 * Concurrency

// Breaker is a circuit breaker: it opens when an InfluxDB is out of reach, where each further deletion would take its
// whole time-out for nothing. One token that InfluxDB fails on does not hold the others up. Its zero value is ready.
type Breaker struct{ failures atomic.Int64 }

// Record counts a failed deletion. Without an answer, with a root token that is not valid, and where another InfluxDB
// answers, none of the others can be done.
func (b *Breaker) Record(err error) {
	var failed *influx.Error
	unanswered := errors.As(err, &failed) && failed.Status == 0
	switch {
	case unanswered, connection.Rejected(err), connection.IsForeign(err), influx.Is(err, influx.InactiveUser):
		b.failures.Store(enoughFailures)
	case influx.Is(err, influx.Unavailable):
		b.failures.Add(1)
	}
}

// Open reports whether further deletions need not be tried.
func (b *Breaker) Open() bool { return b.failures.Load() >= enoughFailures }
