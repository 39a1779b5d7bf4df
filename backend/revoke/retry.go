package revoke

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

const (
	// maxOrphans bounds how many tokens without a lease are taken at once: where Vault is minutes late with a storm of
	// ending leases, not all of them are to be deleted twice at the same time.
	maxOrphans = 500
	// orphanBudget is how long one run goes on taking more.
	orphanBudget = 45 * time.Second
)

// Periodic writes down the tokens that no lease holds, and tries everything that is pending. It must run only when Vault
// asks for it: a process that outlived its Vault knows nothing of the renewals that the next one makes.
func (r *Revoker) Periodic(ctx context.Context, s logical.Storage) error {
	for until := time.Now().Add(orphanBudget); ; {
		taken, err := r.queueOrphans(ctx, s)
		err = errors.Join(err, r.RetryAll(ctx, s))
		if err != nil || taken < maxOrphans || r.mount.Tainted() || time.Now().After(until) {
			return err
		}
	}
}

// queueOrphans writes down, to be deleted, what this process has issued and what can have no lease any more: a caller hung
// up before Vault had registered one. Only the active node can write it down. It returns how many there were.
func (r *Revoker) queueOrphans(ctx context.Context, s logical.Storage) (int, error) {
	if err := r.Load(ctx, s); err != nil {
		return 0, err
	}
	orphans := r.counter.ClaimEnded(r.mount.Now(), mount.LeaseMargin, maxOrphans)
	defer r.counter.Unclaim(orphans)
	for _, d := range orphans {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err := r.Enqueue(ctx, s, store.Pending{AuthorizationID: d.AuthorizationID, Connection: d.Connection, Role: d.Role, Since: r.mount.Now()}); err != nil {
			return 0, err
		}
		r.counter.Remove(d.Role, d.AuthorizationID)
		r.orphans.Add(1)
		r.mount.Log.Info("a token that no lease holds is deleted: Vault has neither renewed nor revoked it", "authorization_id", d.AuthorizationID, "role", d.Role)
	}
	return len(orphans), nil
}

// Orphans returns how many tokens have been written down to be deleted, since the start, because no lease held them.
func (r *Revoker) Orphans() int64 { return r.orphans.Load() }

// Concurrency is how many deletions are under way at once.
const Concurrency = 8

// RetryAll tries every pending deletion of a known authorization once. The error says how many are left; on a mount that is
// being disabled those do not count that no InfluxDB can be asked about. Where InfluxDB is out of reach the rest of that
// connection waits for the next time. Mints of unknown outcome are left alone.
func (r *Revoker) RetryAll(ctx context.Context, s logical.Storage) error {
	if err := r.Load(ctx, s); err != nil {
		return err
	}
	r.Reload(ctx, s)
	r.boundSince(ctx, s, r.mount.Now())
	if !r.mount.Tainted() {
		r.abandoned.Clear()
	}
	isDeletion := func(i *item) bool { return i.Nonce == "" }
	deletions := r.where(isDeletion)
	broken := map[string]*Breaker{}
	for _, entry := range deletions {
		broken[entry.Connection] = &Breaker{}
	}
	var skipped, lost atomic.Int64
	_ = background.Each(r.mount.Log, Concurrency, deletions, func(entry store.Pending) error {
		breaker := broken[entry.Connection]
		switch {
		case ctx.Err() != nil:
		case breaker.Open():
			skipped.Add(1)
		case r.retry(ctx, s, entry, breaker):
			lost.Add(1)
		}
		return nil
	})
	r.breakers.Store(&broken)
	if n := skipped.Load(); n > 0 {
		r.mount.Log.Warn("pending deletions wait for the next minute: their InfluxDB is out of reach, or does not accept what it is asked with", "count", n)
	}
	if left := len(r.where(isDeletion)) - int(lost.Load()) + r.retryUnread(ctx, s); left > 0 {
		return fmt.Errorf("%d deletions are still pending", left)
	}
	return nil
}

// retry tries a deletion once. It reports whether that is given up, as it is where the mount is being disabled and the
// connection is not there: nobody could ever be asked.
func (r *Revoker) retry(ctx context.Context, s logical.Storage, entry store.Pending, breaker *Breaker) (lost bool) {
	err := r.revokeStored(ctx, s, entry.Key())
	if errors.Is(err, connection.ErrPurged) { // as when an entry was removed that could not be read
		err = errors.Join(err, r.revokeStamped(ctx, s, entry.AuthorizationID))
	}
	if err == nil || !r.IsPending(entry.Key()) {
		return false
	}
	breaker.Record(err)
	r.mount.Log.Warn("a pending deletion failed again", "authorization_id", entry.AuthorizationID, "role", entry.Role, "error", err)
	lost = r.mount.Tainted() && (store.IsUnreadable(err) || errors.Is(err, connection.ErrPurged) && !unanswered(err))
	if lost {
		r.LogAbandoned(entry)
	}
	return lost
}

// revokeStored reads storage before it changes InfluxDB: a process that outlived its Vault has none to read.
func (r *Revoker) revokeStored(ctx context.Context, s logical.Storage, key string) error {
	stored, err := store.PendingDeletions.Get(ctx, s, key)
	switch {
	case store.IsUnreadable(err):
		r.Forget(key)
		r.markUnread(key, err)
		return nil
	case err != nil:
		return err
	case stored == nil: // another node, or another run, was first
		r.Forget(key)
		return nil
	}
	return r.Revoke(ctx, s, *stored)
}

// retryUnread tries what entries that can't be read are about, and counts those that have to be tried again before anything
// is known of them.
func (r *Revoker) retryUnread(ctx context.Context, s logical.Storage) (left int) {
	var breaker Breaker
	for key, unread := range r.Unread() {
		switch {
		case !store.IsUnreadable(unread):
			left++
			continue
		case strings.HasPrefix(key, store.NoncePrefix): // tidy looks for it
			continue
		}
		r.mount.LogUnreadable(unread)
		if !breaker.Open() {
			breaker.Record(r.revokeStamped(ctx, s, key))
		}
		if breaker.Open() {
			left++
		}
	}
	return left
}

// revokeStamped deletes a token of which only the ID is known: on the current connection, because no other is known, and
// only where the token bears this mount's stamp.
func (r *Revoker) revokeStamped(ctx context.Context, s logical.Storage, id string) error {
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil {
		return err
	}
	c, err := r.pool.Open(config)
	if err != nil {
		return err
	}
	a, err := c.Client.GetAuthorization(ctx, id)
	if err != nil {
		return err
	}
	if stamp, stamped := token.ParseStamp(a.Description); stamped && stamp.Mount == r.mount.UUID {
		return r.Revoke(ctx, s, store.Pending{AuthorizationID: id, Connection: c.ID, Role: stamp.Role})
	}
	return nil
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

// Record counts a failed deletion. Without an answer, with a root token that is not valid, where another InfluxDB answers,
// and without a connection that can be read, none of the others can be done.
func (b *Breaker) Record(err error) {
	switch {
	case unanswered(err), connection.Rejected(err), connection.IsForeign(err), store.IsUnreadable(err), influx.Is(err, influx.InactiveUser):
		b.failures.Store(enoughFailures)
	case influx.Is(err, influx.Unavailable):
		b.failures.Add(1)
	}
}

func unanswered(err error) bool {
	failed, ok := errors.AsType[*influx.Error](err)
	return ok && failed.Status == 0
}

// Open reports whether further deletions need not be tried.
func (b *Breaker) Open() bool { return b.failures.Load() >= enoughFailures }
