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
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
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

// Report is the result of a scan.
type Report struct {
	Counts
	// Seen is what the list says of static tokens; nil unless it was read to its end.
	Seen *static.Seen
}

// Scan streams the list of all tokens of one InfluxDB once. It deletes what creations of unknown outcome have created,
// by their nonces, and the lease tokens of a mount that are past their deadline. Nothing else is ever deleted: no token
// made by hand, no other mount's, no static or root token, and nothing that is merely unknown. The report is there also
// with an error.
func (t *Tidier) Scan(ctx context.Context, s logical.Storage, c *connection.Connection, o Options) (*Report, error) {
	var p progress
	seen, err := t.scan(ctx, s, c, o, &p)
	return &Report{p.counts(), seen}, err
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
// something only where the list is complete.
func (t *Tidier) scan(ctx context.Context, s logical.Storage, c *connection.Connection, o Options, p *progress) (*static.Seen, error) {
	if err := t.statics.Load(ctx, s); err != nil {
		return nil, err
	}
	l := &listing{
		nonces: maps.Clone(o.Unknown), present: map[string]bool{},
		statics: static.Seen{Missing: t.statics.TokensOn(c.ID), Stamps: map[string]token.Stamp{}},
	}
	if err := t.addUnreadable(ctx, s, c, l); err != nil {
		return nil, err
	}
	usual, err := token.DefaultLocation(ctx, c)
	if err != nil && !problem.HasField(err) {
		return nil, err
	}
	at := locations(o.Unknown, usual, err == nil) // a default that is gone is nowhere
	p.restart()
	if err := t.list(ctx, c, o, p, l, at); err != nil {
		return nil, err
	}
	p.matched.Store(int64(len(l.found)))
	l.statics.Complete = l.Proven && l.Complete[usual]
	if !o.DryRun {
		if err := errors.Join(t.deleteAll(ctx, s, c, p, l), t.removeNotCreated(ctx, s, o, l)); err != nil {
			return &l.statics, err
		}
	}
	return &l.statics, l.doubts(c, o, usual, at)
}

// addUnreadable has a scan of the current connection look for the nonces of pending entries that can't be read, too: where
// the token may be is not known.
func (t *Tidier) addUnreadable(ctx context.Context, s logical.Storage, c *connection.Connection, l *listing) error {
	config, err := store.Config.Get(ctx, s)
	if err != nil && !store.IsUnreadable(err) {
		return err
	}
	if config == nil || config.ID != c.ID {
		return nil
	}
	for _, nonce := range t.unreadableNonces() {
		if l.nonces == nil {
			l.nonces = map[string]store.Pending{}
		}
		l.nonces[nonce] = store.Pending{Nonce: nonce}
	}
	return nil
}

// list asks for the list, and notes what is in it. On a mount that is being disabled it waits no longer than for another
// call: Vault waits, too.
func (t *Tidier) list(ctx context.Context, c *connection.Connection, o Options, p *progress, l *listing, at []token.Location) error {
	if t.mount.Tainted() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.RequestTimeout)*time.Second)
		defer cancel()
	}
	l.asked = t.mount.Now()
	return t.issuer.ListVerified(ctx, c, at, &l.Listing, func(a *influx.Authorization) {
		p.scanned.Add(1)
		t.look(a, c, o, p, l)
	})
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

// listing is what one list of all tokens says.
type listing struct {
	token.Listing
	// asked is when it was asked for.
	asked time.Time
	// nonces are those to look for.
	nonces map[string]store.Pending
	// found are the tokens to delete.
	found []orphan
	// present are the nonces that were seen.
	present map[string]bool
	// statics is what was seen of static tokens so far.
	statics static.Seen
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

func (l *listing) skewed() bool { return l.Answered.Sub(l.Date).Abs() > maxSkew }

// expired reports whether a deadline has passed, by our clock and by InfluxDB's.
func (l *listing) expired(deadline time.Time) bool {
	end := deadline.Add(mount.TidyMargin)
	return !l.skewed() && end.Before(l.asked) && end.Before(l.Date)
}

// doubts is why a list that was read to its end does not say all that it was asked for.
func (l *listing) doubts(c *connection.Connection, o Options, usual token.Location, at []token.Location) error {
	for _, location := range at {
		if !l.Complete[location] {
			return token.Incomplete(c, location)
		}
	}
	switch {
	case o.MountUUID == "":
		return nil
	case !l.Proven:
		usual.OrgID = cmp.Or(usual.OrgID, "<org>")
		return token.Incomplete(c, usual)
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

// look notes what one token in the list says.
func (t *Tidier) look(a *influx.Authorization, c *connection.Connection, o Options, p *progress, l *listing) {
	delete(l.statics.Missing, a.ID)
	l.statics.ValuesHidden = l.statics.ValuesHidden || a.Token == ""
	stamp, owned := t.issuer.Owned(a)
	if _, sought := l.nonces[stamp.Nonce]; owned && sought && stamp.Nonce != c.RootNonce {
		l.present[stamp.Nonce] = true
		l.found = append(l.found, orphan{a.ID, stamp})
		return
	}
	if owned && stamp.Kind == token.Static {
		l.statics.Stamps[a.ID] = stamp
	}
	stamp, stamped := token.ParseStamp(a.Description)
	switch {
	case !stamped || o.MountUUID == "" || stamp.Mount != o.MountUUID || stamp.Kind != token.Lease:
	case l.expired(stamp.Deadline):
		l.found = append(l.found, orphan{a.ID, stamp})
	default:
		p.left.Add(1)
	}
}

// deleteAll deletes what a scan has found, a few at a time.
func (t *Tidier) deleteAll(ctx context.Context, s logical.Storage, c *connection.Connection, p *progress, l *listing) error {
	if _, err := store.Config.Get(ctx, s); err != nil && !store.IsUnreadable(err) { // the list may have taken minutes
		return err
	}
	var group errgroup.Group
	group.SetLimit(revoke.Concurrency)
	var breaker revoke.Breaker
	for _, f := range l.found {
		group.Go(func() (err error) {
			defer background.Recover(t.mount.Log, &err)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case breaker.Open():
				p.failed.Add(1)
				return nil // an error is noted already
			}
			err = t.deleteOrphan(ctx, s, c, p, l, f)
			breaker.Record(err)
			return err
		})
	}
	return group.Wait()
}

// deleteOrphan deletes one token, and removes the unknown outcome that led to it.
func (t *Tidier) deleteOrphan(ctx context.Context, s logical.Storage, c *connection.Connection, p *progress, l *listing, f orphan) error {
	entry, sought := l.nonces[f.stamp.Nonce]
	if sought { // whatever comes of the deletion, nobody has it
		t.counter.Remove(f.stamp.Role, f.id)
		// A process that was reloaded in the middle of a rotation may have stored it last.
		current, err := t.statics.IsCurrent(ctx, s, f.stamp)
		switch {
		case err != nil:
			return err
		case current:
			return t.revoker.Remove(ctx, s, entry.Key())
		}
	}
	if err := c.Delete(ctx, f.id); err != nil {
		p.failed.Add(1)
		return fmt.Errorf("authorization %s of role %s is not deleted yet: %w", f.id, f.stamp.Role, err)
	}
	p.deleted.Add(1)
	t.counter.Remove(f.stamp.Role, f.id)
	t.mount.Log.Info("a token that nobody holds a lease for was deleted", "authorization_id", f.id, "role", f.stamp.Role, "deadline", problem.RFC3339(f.stamp.Deadline))
	if !sought {
		return nil
	}
	return t.revoker.Remove(ctx, s, entry.Key())
}

// removeNotCreated removes the unknown outcomes that are proven to have created nothing: absent from a complete list
// that was asked for long enough after the call.
func (t *Tidier) removeNotCreated(ctx context.Context, s logical.Storage, o Options, l *listing) error {
	var problems []error
	for nonce, entry := range o.Unknown {
		if !l.present[nonce] && l.Complete[locationOf(entry)] && l.asked.Sub(entry.Since) >= mount.UnknownAge {
			problems = append(problems, t.revoker.Remove(ctx, s, entry.Key()))
		}
	}
	return errors.Join(problems...)
}
