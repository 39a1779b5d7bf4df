package tidy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// Options say what a scan looks for.
type Options struct {
	// MountUUID is the mount whose expired lease tokens are deleted; empty deletes none.
	MountUUID string
	// DryRun counts what would be deleted, and deletes nothing.
	DryRun bool
	// Unknown are the creations of unknown outcome to reconcile, by nonce.
	Unknown map[string]store.Pending
}

// Counts are what a scan has seen and done so far.
type Counts struct {
	Scanned, Matched, Deleted, Failed int64
	// Left are the mount's lease tokens that have not expired.
	Left int64
}

// Scan streams the list of all tokens of one InfluxDB once. It deletes what creations of unknown outcome have created,
// by their nonces, and the lease tokens of a mount that are past their deadline, and counts the live ones where they are
// not counted. Nothing else is ever deleted: no token made by hand, no other mount's, no static or root token, and nothing
// that is merely unknown. The counts are there also with an error.
func (t *Tidier) Scan(ctx context.Context, s logical.Storage, c *connection.Connection, o Options) (Counts, error) {
	var p progress
	_, err := t.scan(ctx, s, c, o, &p)
	return p.counts(), err
}

// progress is the counts of a scan that is under way.
type progress struct{ scanned, matched, deleted, failed, left atomic.Int64 }

func (p *progress) counts() Counts {
	return Counts{p.scanned.Load(), p.matched.Load(), p.deleted.Load(), p.failed.Load(), p.left.Load()}
}

// restart begins the counts of one list: a scan that failed may be made again. What was deleted stays so.
func (p *progress) restart() {
	p.scanned.Store(0)
	p.failed.Store(0)
	p.left.Store(0)
}

// scan reads storage before it changes InfluxDB, because a process that outlived its Vault has none; and its clock
// before it asks for the list. What it finds it deletes, also when the list is incomplete; what it does not find proves
// something only where the list is complete. It returns what the list says of static tokens, nil unless it was read to its
// end.
func (t *Tidier) scan(ctx context.Context, s logical.Storage, c *connection.Connection, o Options, p *progress) (*static.Seen, error) {
	if err := t.statics.Load(ctx, s); err != nil {
		return nil, err
	}
	l := &pass{
		Tidier: t, s: s, c: c, o: o, p: p, nonces: map[string]store.Pending{}, present: map[string]bool{},
		seen: static.Seen{Missing: t.statics.TokensOn(c.ID), Stamps: map[string]token.Stamp{}},
	}
	maps.Copy(l.nonces, o.Unknown)
	if err := l.addUnreadable(ctx); err != nil {
		return nil, err
	}
	usual, err := token.DefaultLocation(ctx, c)
	if err != nil && !problem.HasField(err) {
		return nil, err
	}
	at := locations(o.Unknown, usual, err == nil) // a default that is gone is nowhere
	p.restart()
	if l.current {
		l.count = t.counter.StartCount()
	}
	err = l.list(ctx, at)
	l.count.End(err == nil)
	if l.current {
		t.pause.Done(err, t.mount.Now())
	}
	if err != nil {
		return nil, err
	}
	p.matched.Store(int64(len(l.found)))
	l.seen.Complete = l.Proven && l.Complete[usual]
	if !o.DryRun {
		if err := errors.Join(l.deleteAll(ctx), l.removeNotCreated(ctx)); err != nil {
			return &l.seen, err
		}
	}
	return &l.seen, l.doubts(usual, at)
}

// addUnreadable notes whether the scan is of the current connection, and has such a one look for the nonces of pending entries that can't be read, too: where
// the token may be is not known.
func (l *pass) addUnreadable(ctx context.Context) error {
	config, err := store.Config.Get(ctx, l.s)
	if err != nil && !store.IsUnreadable(err) {
		return err
	}
	l.current = config != nil && config.ID == l.c.ID
	if l.current {
		for _, nonce := range l.unreadableNonces() {
			l.nonces[nonce] = store.Pending{Nonce: nonce}
		}
	}
	return nil
}

// list asks for the list, and notes what is in it. On a mount that is being disabled it waits no longer than for another
// call: Vault waits, too.
func (l *pass) list(ctx context.Context, at []token.Location) error {
	if l.mount.Tainted() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(l.c.RequestTimeout)*time.Second)
		defer cancel()
	}
	l.asked = l.mount.Now()
	return l.issuer.ListVerified(ctx, l.c, at, &l.Listing, l.look)
}

// maxLocations bounds for how many locations one scan verifies that the list is complete; the nonces of others wait for
// the next scan.
const maxLocations = 16

// locations are where the list has to be complete: the usual location first, if there is one.
func locations(unknown map[string]store.Pending, usual token.Location, known bool) []token.Location {
	var at []token.Location
	if known {
		at = append(at, usual)
	}
	for _, entry := range unknown {
		if location := locationOf(entry); !slices.Contains(at, location) && len(at) < maxLocations {
			at = append(at, location)
		}
	}
	return at
}

func locationOf(entry store.Pending) token.Location {
	return token.Location{OrgID: entry.OrgID, UserID: entry.UserID}
}

// pass is one list of all tokens, and what it says.
type pass struct {
	*Tidier
	s logical.Storage
	c *connection.Connection
	o Options
	p *progress

	token.Listing
	// current says that it is the current connection's, and count is then the count of its live tokens.
	current bool
	count   *lease.Count
	// asked is when it was asked for.
	asked time.Time
	// nonces are those to look for, and present those that were seen.
	nonces  map[string]store.Pending
	present map[string]bool
	// found are the tokens to delete.
	found []orphan
	// seen is what was seen of static tokens.
	seen static.Seen
}

// maxSkew is how far our clock and InfluxDB's may differ. It is less than mount.TidyMargin, after which a token past its
// deadline is deleted.
const maxSkew = 4 * time.Minute

// SkewedError says that our clock and InfluxDB's differ by so much that one of them is wrong: which tokens are past their
// deadline is not known.
type SkewedError struct{ Ours, Theirs time.Time }

// Error names both times.
func (e *SkewedError) Error() string {
	if e.Theirs.IsZero() {
		return "InfluxDB's answer does not say what time it is there, so that no token is deleted by its deadline; a proxy in between must let the header Date through"
	}
	return fmt.Sprintf("the clocks differ: it is %s here and %s at InfluxDB, so that no token is deleted by its deadline; set the one that is wrong", problem.RFC3339(e.Ours), problem.RFC3339(e.Theirs))
}

func (l *pass) skewed() bool { return l.Answered.Sub(l.Date).Abs() > maxSkew }

// expired reports whether a deadline has passed, by our clock and by InfluxDB's.
func (l *pass) expired(deadline time.Time) bool {
	end := deadline.Add(mount.TidyMargin)
	return !l.skewed() && end.Before(l.asked) && end.Before(l.Date)
}

// doubts is why a list that was read to its end does not say all that it was asked for.
func (l *pass) doubts(usual token.Location, at []token.Location) error {
	for _, location := range at {
		if !l.Complete[location] && (location == usual || l.o.MountUUID == "") { // a run of tidy is about leases
			return token.Incomplete(l.c, location)
		}
	}
	switch {
	case l.o.MountUUID == "":
		return nil
	case !l.Proven:
		usual.OrgID = cmp.Or(usual.OrgID, "<org>")
		return token.Incomplete(l.c, usual)
	case l.skewed():
		return &SkewedError{l.Answered, l.Date}
	}
	return nil
}

// orphan is a token of ours that nobody holds a lease for.
type orphan struct {
	id    string
	stamp token.Stamp
}

// look notes what one token in the list says. Of one that is none of ours nothing is kept, and nothing allocated.
func (l *pass) look(a *influx.Listed) {
	l.p.scanned.Add(1)
	l.seen.ValuesHidden = l.seen.ValuesHidden || a.Hidden
	delete(l.seen.Missing, string(a.ID))
	stamp, stamped := token.FindStamp(a.Description)
	if stamped && (stamp.Mount == l.mount.UUID || stamp.Mount == l.o.MountUUID) {
		l.lookAtOurs(string(a.ID), stamp)
	}
}

// lookAtOurs notes what a token says that bears the stamp of this mount, or of the one that is tidied up after.
func (l *pass) lookAtOurs(id string, stamp token.Stamp) {
	owned := stamp.Mount == l.mount.UUID
	if _, sought := l.nonces[stamp.Nonce]; owned && sought && stamp.Nonce != l.c.RootNonce {
		l.present[stamp.Nonce] = true
		l.found = append(l.found, orphan{id, stamp})
		return
	}
	if l.issuer.LiveLease(stamp, l.asked) {
		l.count.Add(stamp.Role, id, stamp.Deadline)
	}
	switch {
	case owned && stamp.Kind == token.Static:
		l.seen.Stamps[id] = stamp
	case l.o.MountUUID == "" || stamp.Mount != l.o.MountUUID || stamp.Kind != token.Lease:
	case l.expired(stamp.Deadline) && !l.counter.MayHaveLease(id, l.asked):
		l.found = append(l.found, orphan{id, stamp})
	default:
		l.p.left.Add(1)
	}
}

// deleteAll deletes what a scan has found, a few at a time.
func (l *pass) deleteAll(ctx context.Context) error {
	if _, err := store.Config.Get(ctx, l.s); err != nil && !store.IsUnreadable(err) { // the list may have taken minutes
		return err
	}
	var breaker revoke.Breaker
	return background.Each(l.mount.Log, revoke.Concurrency, l.found, func(f orphan) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case breaker.Open():
			l.p.failed.Add(1)
			return nil // an error is noted already
		}
		err := l.deleteOrphan(ctx, f)
		breaker.Record(err)
		return err
	})
}

// deleteOrphan deletes one token, and removes the unknown outcome that led to it.
func (l *pass) deleteOrphan(ctx context.Context, f orphan) error {
	entry, sought := l.nonces[f.stamp.Nonce]
	if sought { // whatever comes of the deletion, nobody has it
		l.counter.Remove(f.stamp.Role, f.id)
		// A process that was reloaded in the middle of a rotation may have stored it last.
		current, err := l.statics.IsCurrent(ctx, l.s, f.stamp)
		switch {
		case err != nil:
			return err
		case current:
			return l.revoker.Remove(ctx, l.s, entry.Key())
		}
	}
	if err := l.c.Delete(ctx, f.id); err != nil {
		l.p.failed.Add(1)
		return fmt.Errorf("authorization %s of role %s is not deleted yet: %w", f.id, f.stamp.Role, err)
	}
	l.p.deleted.Add(1)
	l.counter.Remove(f.stamp.Role, f.id)
	l.mount.Log.Info("a token that nobody holds a lease for was deleted", "authorization_id", f.id, "role", f.stamp.Role, "deadline", problem.RFC3339(f.stamp.Deadline))
	if !sought {
		return nil
	}
	return l.revoker.Remove(ctx, l.s, entry.Key())
}

// removeNotCreated removes the unknown outcomes that are proven to have created nothing: absent from a complete list
// that was asked for long enough after the call. Where InfluxDB is asked by a stamp, no list is proof.
func (l *pass) removeNotCreated(ctx context.Context) error {
	if reconciler, ok := l.c.Client.(connection.Reconciler); ok {
		return l.reconcileByStamp(ctx, l.s, l.c, reconciler, l.o.Unknown)
	}
	var problems []error
	for nonce, entry := range l.o.Unknown {
		if !l.present[nonce] && l.Complete[locationOf(entry)] && l.asked.Sub(entry.Since) >= mount.UnknownAge {
			problems = append(problems, l.revoker.Remove(ctx, l.s, entry.Key()))
		}
	}
	return errors.Join(problems...)
}
