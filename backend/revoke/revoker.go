// Package revoke deletes tokens in InfluxDB. A deletion that fails is written down and retried until InfluxDB confirms
// it; so is a token that may exist although nobody has it.
package revoke

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// Revoker revokes the tokens of one mount, and holds what is pending of it.
type Revoker struct {
	queue

	mount   *mount.Mount
	pool    *connection.Pool
	counter *lease.Counter
	// breakers are those of the last RetryAll, by connection.
	breakers atomic.Pointer[map[string]*Breaker]
	// abandoned are the keys that LogAbandoned has logged since the mount was last seen to stay.
	abandoned sync.Map
	// orphans counts the tokens that were to be deleted because no lease holds them.
	orphans atomic.Int64
}

// New makes the revoker of a mount.
func New(m *mount.Mount, pool *connection.Pool, counter *lease.Counter) *Revoker {
	return &Revoker{mount: m, pool: pool, counter: counter}
}

// Revoke deletes a token that was handed out, on the connection that issued it, and removes it from what is pending.
// Where that fails it is pending afterwards, which the QueuedError says: whoever waits for an answer is never told that a
// token is gone while it may live. A zero Since means now.
func (r *Revoker) Revoke(ctx context.Context, s logical.Storage, entry store.Pending) error {
	if entry.Since.IsZero() {
		entry.Since = r.mount.Now()
	}
	c, err := r.pool.ByID(ctx, s, entry.Connection)
	if err == nil && entry.AuthorizationID == c.RootID() {
		r.mount.Log.Error("the current root token was to be deleted; it stays", "authorization_id", entry.AuthorizationID, "role", entry.Role)
		return r.Remove(ctx, s, entry.Key())
	}
	if err == nil {
		err = r.deleteWithCurrentRoot(ctx, s, c, entry.AuthorizationID)
	}
	if err != nil && c != nil && c.Former != nil && c.Former.Abandoned {
		r.mount.Log.Error("a token of an abandoned connection could not be deleted; delete it in that InfluxDB",
			"authorization_id", entry.AuthorizationID, "role", entry.Role, "url", c.URL, "error", err)
		err = nil
	}
	if err != nil {
		return r.queueFailed(ctx, s, entry, err)
	}
	r.counter.Remove(entry.Role, entry.AuthorizationID)
	return r.Remove(ctx, s, entry.Key())
}

// deleteWithCurrentRoot deletes with the stored root token. One that InfluxDB does not accept may have been replaced
// since it was read: then the new one is tried.
func (r *Revoker) deleteWithCurrentRoot(ctx context.Context, s logical.Storage, c *connection.Connection, id string) error {
	for {
		err := c.Delete(ctx, id)
		if !connection.Rejected(err) {
			return err
		}
		refreshed := r.pool.Refresh(ctx, s, c)
		if refreshed == nil {
			return err
		}
		c = refreshed
	}
}

// queueFailed writes down a deletion that failed; the error says that it is still to be done.
func (r *Revoker) queueFailed(ctx context.Context, s logical.Storage, entry store.Pending, cause error) error {
	err := fmt.Errorf("authorization %s is not deleted yet: %w", entry.AuthorizationID, cause)
	if connection.IsForeign(cause) && r.mount.Tainted() { // it can't be configured any more
		err = fmt.Errorf("%w; or, on a mount that is being disabled, have Vault forget the leases with vault lease revoke -force -prefix <mount>, which leaves their tokens where they are", err)
	}
	if writeErr := r.Enqueue(ctx, s, entry); writeErr != nil {
		return fmt.Errorf("%w; and it could not be written down for later: %w", err, writeErr)
	}
	r.counter.Forget(entry.AuthorizationID)
	attempts, since := r.recordFailure(entry.Key(), err)
	return &QueuedError{err, attempts, since}
}

// QueuedError is a deletion that failed and is written down.
type QueuedError struct {
	error
	// Attempts is how many failed since the start.
	Attempts int
	// Since is when the first one failed.
	Since time.Time
}

// Unwrap returns why the deletion failed.
func (e *QueuedError) Unwrap() error { return e.error }

// IsQueued reports whether an error is of a deletion that is written down.
func IsQueued(err error) bool {
	_, queued := errors.AsType[*QueuedError](err)
	return queued
}

// RevokeLease revokes the token of a lease that ends. nil means that Vault may forget the lease: the token is gone, or its
// deletion is retried by us from now on. It needs nothing but the lease: neither the role nor the current configuration.
func (r *Revoker) RevokeLease(ctx context.Context, s logical.Storage, d lease.Data) error {
	if err := r.Load(ctx, s); err != nil {
		return err
	}
	entry := store.Pending{AuthorizationID: d.AuthorizationID, Connection: d.Connection, Role: d.Role, Since: r.mount.Now()}
	err := r.Revoke(ctx, s, entry)
	if errors.Is(err, connection.ErrPurged) && r.mount.Now().After(d.Deadline) { // as when Vault was sealed, or the plugin did not start, for days
		r.mount.Log.Warn("a lease ends long after its time: the connection that minted its token was forgotten meanwhile", "authorization_id", d.AuthorizationID, "role", d.Role)
		r.counter.Remove(d.Role, d.AuthorizationID)
		err = r.Remove(ctx, s, entry.Key())
	}
	if err != nil && r.takesOver(ctx, entry, err) {
		return nil
	}
	return err
}

// When a revocation that Vault makes in the background is taken over from it: Vault gives up after six failed attempts in
// about ten minutes, and the lease is stuck then.
const (
	takeOverAttempts = 3
	takeOverAge      = 2 * time.Minute
)

// takesOver reports whether a failed revocation is ours to finish from now on, so that Vault may forget the lease: the
// deletion is written down and retried each minute. Only in the background: there the context has a deadline. Whoever
// waits for an answer gets the error, and so does a mount that is being disabled, because nobody would be left to finish.
func (r *Revoker) takesOver(ctx context.Context, entry store.Pending, err error) bool {
	queued, isQueued := errors.AsType[*QueuedError](err)
	if _, background := ctx.Deadline(); !background || !isQueued || r.mount.Tainted() {
		return false
	}
	if queued.Attempts < takeOverAttempts && r.mount.Now().Sub(queued.Since) < takeOverAge {
		return false
	}
	r.mount.Log.Warn("a revocation is taken over: the lease ends, and the deletion is tried each minute", "authorization_id", entry.AuthorizationID, "role", entry.Role, "error", err)
	return true
}

// Discard deletes a token that was created and is not handed out, also when the caller has gone. Where that fails it is
// pending; the error is ErrNotRecorded where it is not even that.
func (r *Revoker) Discard(ctx context.Context, s logical.Storage, c *connection.Connection, role, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.WriteTimeout)
	defer cancel()
	err := r.Revoke(ctx, s, store.Pending{AuthorizationID: id, Connection: c.ID, Role: role})
	if err == nil {
		return nil
	}
	r.mount.Log.Warn("a token that was not handed out is still to be deleted", "authorization_id", id, "role", role, "error", err)
	if IsQueued(err) {
		return nil
	}
	return ErrNotRecorded
}

// ErrNotRecorded says that a token may exist that nobody received, and that this could not be written down. One of a lease
// is deleted by tidy, once its deadline has passed; a static or root token is known by the intention that stays.
var ErrNotRecorded = errors.New("it could not be written down that such a token may exist; it is looked for by its stamp")

// RecordUnknown writes down that a token may exist, where err is a token.UnknownOutcome: a scan finds it by its nonce, or
// that it was never created. It returns err, joined with ErrNotRecorded where it could not be written down.
func (r *Revoker) RecordUnknown(ctx context.Context, s logical.Storage, c *connection.Connection, role string, err error) error {
	unknown, ok := errors.AsType[*token.UnknownOutcome](err)
	if !ok {
		return err
	}
	if writeErr := r.RecordNonce(ctx, s, c, role, unknown.Nonce, unknown.Stamp, unknown.At); writeErr != nil {
		r.mount.Log.Error("a mint without an answer could not be written down", "role", role, "nonce", unknown.Nonce, "error", writeErr)
		return errors.Join(err, ErrNotRecorded)
	}
	return err
}

// RecordNonce writes down that a token with a nonce, and with the stamp that it stands in, may have been created until now.
func (r *Revoker) RecordNonce(ctx context.Context, s logical.Storage, c *connection.Connection, role, nonce, stamp string, at token.Location) error {
	return r.Enqueue(ctx, s, store.Pending{Nonce: nonce, Stamp: stamp, OrgID: at.OrgID, UserID: at.UserID, Connection: c.ID, Role: role, Since: r.mount.Now()})
}

// LogAbandoned logs what is left pending when the mount is disabled, each once: where no lease holds the disable back, the
// log is all that is left to tell.
func (r *Revoker) LogAbandoned(entries ...store.Pending) {
	for _, entry := range entries {
		if _, repeated := r.abandoned.LoadOrStore(entry.Key(), nil); repeated {
			continue
		}
		r.mount.Log.Error("the mount is being disabled or moved while a deletion is pending; should it be gone, run tidy mount_uuid="+r.mount.UUID+" on another mount after the deadline",
			"authorization_id", entry.AuthorizationID, "nonce", entry.Nonce, "role", entry.Role, "since", problem.RFC3339(entry.Since))
	}
}
