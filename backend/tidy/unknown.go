package tidy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// search is the look for what creations of unknown outcome have created. One is under way at a time: of the revocations of
// a mount that is being disabled the next one need not repeat what the last one learned.
type search struct {
	slot chan struct{}
	// stop ends the search that is under way, if it began before the mount was being disabled: it has more time.
	stop atomic.Pointer[context.CancelFunc]
	// abandoned are the keys that were given up since the mount is being disabled.
	abandoned map[string]bool
	// unreadable is when the nonces of entries that can't be read were last looked for.
	unreadable time.Time
}

// unreadableInterval is how often nonces are looked for of which nothing else is known: no list proves that they are not
// there, and one of 100,000 tokens is expensive.
const unreadableInterval = time.Hour

// ReconcileUnknown looks for what creations of unknown outcome have created: one scan for each connection on which one is
// old enough, unless its InfluxDB was just seen to be out of reach. The error says how many are left; on a mount that is
// being disabled those do not count that InfluxDB refuses to tell about, or can't. It creates nothing but probes: such a
// mount looks, too.
func (t *Tidier) ReconcileUnknown(ctx context.Context, s logical.Storage) error {
	if err := t.revoker.Load(ctx, s); err != nil {
		return err
	}
	tainted := t.mount.Tainted()
	if stop := t.search.stop.Load(); tainted && stop != nil {
		(*stop)()
	}
	select {
	case t.search.slot <- struct{}{}:
		defer func() { <-t.search.slot }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if !tainted {
		clear(t.search.abandoned)
		patient, cancel := context.WithCancel(ctx)
		defer cancel()
		t.search.stop.Store(&cancel)
		defer t.search.stop.Store(nil)
		ctx = patient
	}
	for id, unknown := range t.unknownByConnection() {
		if ctx.Err() == nil && !t.revoker.Unreachable(id) && len(t.due(unknown)) > 0 && (tainted || !t.isReconciling(id)) {
			t.reconcile(ctx, s, id, unknown)
		}
	}
	left := t.searchUnreadable(ctx, s)
	for _, unknown := range t.unknownByConnection() {
		left += len(unknown)
	}
	if left > 0 {
		return fmt.Errorf("%d deletions are still pending: of tokens that unanswered mints may have made", left)
	}
	return nil
}

// reconcile makes one scan for the unknown outcomes on one connection.
func (t *Tidier) reconcile(ctx context.Context, s logical.Storage, id string, unknown map[string]store.Pending) {
	c, err := t.pool.ByID(ctx, s, id)
	if errors.Is(err, connection.ErrPurged) { // as when an entry was removed that could not be read
		if current, currentErr := t.pool.Current(ctx, s, ""); currentErr == nil {
			c, err = current, nil
		}
	}
	if err == nil {
		if !c.Visibility.Ready(t.mount.Now()) && !t.mount.Tainted() {
			return
		}
		if reconciler, ok := c.Client.(connection.Reconciler); ok {
			err = t.reconcileByStamp(ctx, s, c, reconciler, unknown)
		} else {
			_, err = t.Scan(ctx, s, c, Options{Unknown: unknown})
			t.recordVisibility(c, err)
		}
	}
	switch {
	case err == nil || ctx.Err() != nil:
	case c != nil && c.Former != nil && c.Former.Abandoned:
		t.dropAbandoned(ctx, s, c, unknown, err)
	case t.mount.Tainted() && cannotTell(ctx, c, err):
		t.giveUp(unknown, err)
	default:
		t.mount.Log.Warn("mints that InfluxDB did not answer are still unsettled", "count", len(unknown), "error", err)
	}
}

// reconcileByStamp ends what creations of unknown outcome may have created, of those that are old enough.
func (t *Tidier) reconcileByStamp(ctx context.Context, s logical.Storage, c *connection.Connection, reconciler connection.Reconciler, unknown map[string]store.Pending) error {
	var (
		breaker  revoke.Breaker
		problems []error
	)
	for _, entry := range unknown {
		if !t.isDue(entry) || !t.revoker.IsPending(entry.Key()) {
			continue
		}
		if breaker.Open() {
			break
		}
		err := t.reconcileOne(ctx, s, c, reconciler, entry)
		breaker.Record(err)
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// reconcileOne is reconcileByStamp of one. What has become current all the same, as with a process that was reloaded in the middle of a
// rotation, stays.
func (t *Tidier) reconcileOne(ctx context.Context, s logical.Storage, c *connection.Connection, reconciler connection.Reconciler, entry store.Pending) error {
	switch stored, err := store.PendingDeletions.Get(ctx, s, entry.Key()); { // a process that outlived its Vault has no storage to read
	case err != nil:
		return err
	case stored == nil: // another was first
		t.revoker.Forget(entry.Key())
		return nil
	}
	stamp, _ := token.ParseStamp(entry.Stamp)
	current, err := t.statics.IsCurrent(ctx, s, stamp)
	if err != nil {
		return err
	}
	if !current && entry.Nonce != c.RootNonce && entry.Stamp != "" { // without one it was asked of an InfluxDB 2 that is gone
		if err := reconciler.Reconcile(ctx, entry.Stamp); err != nil {
			return fmt.Errorf("whether a token was made for role %s is not settled yet: %w", entry.Role, err)
		}
		if _, err := c.Identify(ctx); err != nil { // another InfluxDB, which may know the root token too, settles nothing of ours
			return err
		}
		t.mount.Log.Info("a mint without an answer is settled: nobody has its token", "nonce", entry.Nonce, "role", entry.Role)
	}
	return t.revoker.Remove(ctx, s, entry.Key())
}

// cannotTell reports whether nobody can be asked, or InfluxDB is there and does not tell: it refuses to, or does not answer
// in time. One that is down will tell, and so will storage that fails.
func cannotTell(ctx context.Context, c *connection.Connection, err error) bool {
	_, answered := errors.AsType[*influx.Error](err)
	switch {
	case c == nil:
		return errors.Is(err, connection.ErrPurged) || store.IsUnreadable(err)
	case connection.IsForeign(err):
		return false
	case isIncomplete(err), connection.Rejected(err), influx.Is(err, influx.InactiveUser),
		influx.Is(err, influx.MissingPermission), influx.Is(err, influx.Forbidden):
		return true
	case !answered && !problem.HasField(err):
		return false
	}
	_, down := c.Client.Ping(ctx)
	return down == nil
}

// giveUp logs the unknown outcomes that are old enough, once, and counts them no longer: the mount's end is not held back
// for them.
func (t *Tidier) giveUp(unknown map[string]store.Pending, cause error) {
	for _, entry := range unknown {
		if t.isDue(entry) {
			t.mount.Log.Warn("whether a mint made a token can't be found out", "nonce", entry.Nonce, "role", entry.Role, "error", cause)
			t.revoker.LogAbandoned(entry)
			t.search.abandoned[entry.Key()] = true
		}
	}
}

// searchUnreadable looks on the current connection for the nonces of entries that can't be read, now and then. It counts
// those that InfluxDB will be able to tell about.
func (t *Tidier) searchUnreadable(ctx context.Context, s logical.Storage) (left int) {
	nonces, now := t.unreadableNonces(), t.mount.Now()
	if len(nonces) == 0 || now.Sub(t.search.unreadable).Abs() < unreadableInterval {
		return 0
	}
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil {
		return 0
	}
	c, err := t.pool.Open(config)
	if err == nil {
		_, err = t.Scan(ctx, s, c, Options{})
	}
	if err != nil && !cannotTell(ctx, c, err) {
		return len(nonces)
	}
	t.search.unreadable = now
	return 0
}

// unreadableNonces are the nonces of pending entries that can't be read: their keys tell them.
func (t *Tidier) unreadableNonces() []string {
	var nonces []string
	for key, err := range t.revoker.Unread() {
		if nonce, found := strings.CutPrefix(key, store.NoncePrefix); found && store.IsUnreadable(err) {
			t.mount.LogUnreadable(err)
			nonces = append(nonces, nonce)
		}
	}
	return nonces
}

// unknownByConnection are the creations of unknown outcome that were not given up, by nonce, by the ID of their connection.
func (t *Tidier) unknownByConnection() map[string]map[string]store.Pending {
	byConnection := map[string]map[string]store.Pending{}
	for _, entry := range t.revoker.All() {
		if entry.Nonce == "" || t.search.abandoned[entry.Key()] {
			continue
		}
		if byConnection[entry.Connection] == nil {
			byConnection[entry.Connection] = map[string]store.Pending{}
		}
		byConnection[entry.Connection][entry.Nonce] = entry
	}
	return byConnection
}

// unknownOn are the creations of unknown outcome on one connection, by nonce.
func (t *Tidier) unknownOn(connection string) map[string]store.Pending {
	unknown := map[string]store.Pending{}
	for _, entry := range t.revoker.All() {
		if entry.Nonce != "" && entry.Connection == connection {
			unknown[entry.Nonce] = entry
		}
	}
	return unknown
}

// due are the keys of those of which a list can prove that nothing was created.
func (t *Tidier) due(unknown map[string]store.Pending) (keys []string) {
	for _, entry := range unknown {
		if t.isDue(entry) {
			keys = append(keys, entry.Key())
		}
	}
	return keys
}

func (t *Tidier) isDue(entry store.Pending) bool {
	return t.mount.Now().Sub(entry.Since) >= mount.UnknownAge
}

// recordVisibility has the next scan wait where the root token was not shown all tokens: that does not change by itself,
// and a list of 100,000 tokens is expensive. Other failures are tried again each minute.
func (t *Tidier) recordVisibility(c *connection.Connection, err error) {
	if err == nil || isIncomplete(err) {
		c.Visibility.Done(err, t.mount.Now())
	}
}

func isIncomplete(err error) bool {
	_, incomplete := errors.AsType[*token.IncompleteListError](err)
	return incomplete
}

// dropAbandoned removes the unknown outcomes of an abandoned connection that can't be asked: its operator gave up what
// may live there.
func (t *Tidier) dropAbandoned(ctx context.Context, s logical.Storage, c *connection.Connection, unknown map[string]store.Pending, cause error) {
	for nonce, entry := range unknown {
		if !t.isDue(entry) {
			continue
		}
		err := t.revoker.Remove(ctx, s, entry.Key())
		t.mount.Log.Error("whether an abandoned connection made a token is not known; look for the nonce in descriptions in that InfluxDB",
			"nonce", nonce, "role", entry.Role, "url", c.URL, "error", errors.Join(cause, err))
	}
}
