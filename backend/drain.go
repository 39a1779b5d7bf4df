package backend

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-influxdb/backend/store"
)

// drainWidth bounds how many deletions are under way at once in a drain.
const drainWidth = 8

// drain tries every pending deletion once, and says how many are left. Where InfluxDB is out of reach the
// rest of that connection waits for the next time.
func (b *backend) drain(ctx context.Context, s logical.Storage) error {
	if err := b.pending.load(ctx, s); err != nil {
		return err
	}
	d := drain{b: b, s: s, outages: map[string]*outage{}, nonces: map[string]map[string]store.Pending{}}
	all := b.pending.all()
	for _, entry := range all {
		d.outages[entry.Connection] = &outage{}
	}
	var group errgroup.Group
	group.SetLimit(drainWidth)
	for _, entry := range all {
		if entry.Nonce != "" {
			d.addNonce(entry)
			continue
		}
		group.Go(func() (err error) {
			defer b.recovered(&err)
			d.deletion(ctx, entry)
			return nil
		})
	}
	_ = group.Wait()
	if skipped := d.skipped.Load(); skipped > 0 {
		b.log.Warn("pending deletions wait for the next minute: their InfluxDB is out of reach, or does not accept what it is asked with", "count", skipped)
	}
	d.settleNonces(ctx)
	if left := len(b.pending.all()); left > 0 {
		return fmt.Errorf("%d deletions are still pending", left)
	}
	return nil
}

// drain is one run.
type drain struct {
	b *backend
	s logical.Storage
	// outages are those of the connections; skipped counts the deletions that were not tried for one.
	outages map[string]*outage
	skipped atomic.Int64
	// nonces are the unanswered mints, by connection and nonce.
	nonces map[string]map[string]store.Pending
}

func (d *drain) deletion(ctx context.Context, entry store.Pending) {
	here := d.outages[entry.Connection]
	switch {
	case ctx.Err() != nil:
		return
	case here.isSure():
		d.skipped.Add(1)
		return
	}
	err := d.readFirst(ctx, entry)
	if err == nil {
		return
	}
	here.note(err)
	d.b.log.Warn("a pending deletion failed again", "authorization_id", entry.AuthorizationID, "role", entry.Role, "error", err)
}

// readFirst reads storage before it changes InfluxDB: a process that outlived its Vault has none to read.
func (d *drain) readFirst(ctx context.Context, entry store.Pending) error {
	stored, err := store.GetPending(ctx, d.s, entry.Key())
	if err != nil {
		return err
	}
	if stored == nil { // another node, or another drain, was first
		d.b.pending.remove(entry.Key())
		return nil
	}
	return d.b.retire(ctx, d.s, *stored)
}

func (d *drain) addNonce(entry store.Pending) {
	if d.nonces[entry.Connection] == nil {
		d.nonces[entry.Connection] = map[string]store.Pending{}
	}
	d.nonces[entry.Connection][entry.Nonce] = entry
}

// settleNonces makes one pass for each connection on which an unanswered mint is old enough.
func (d *drain) settleNonces(ctx context.Context) {
	for connection, nonces := range d.nonces {
		if ctx.Err() != nil || !d.anyDue(nonces) || d.outages[connection].isSure() {
			continue
		}
		e, err := d.b.endpointOf(ctx, d.s, connection)
		if err == nil {
			if !e.blindness.ready(d.b.now()) && !d.b.System().Tainted() {
				continue
			}
			err = d.b.pass(ctx, d.s, e, &pass{nonces: nonces})
			e.sawBlindly(err, d.b.now())
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case e != nil && e.Retired != nil && e.Retired.Abandoned:
			d.giveUp(ctx, e, nonces, err)
		default:
			d.b.log.Warn("mints that InfluxDB did not answer are still unsettled", "count", len(nonces), "error", err)
		}
	}
}

// sawBlindly has the next look wait where the root token was not shown all there is: that does not change by itself,
// and a look at 100,000 tokens is dear. Other failures are tried again each minute.
func (e *endpoint) sawBlindly(err error, now time.Time) {
	var blind *errBlind
	if err == nil || errors.As(err, &blind) {
		e.blindness.ended(err, now)
	}
}

// giveUp strikes off the unanswered mints of an abandoned connection that can't be asked. Its operator has said so.
func (d *drain) giveUp(ctx context.Context, e *endpoint, nonces map[string]store.Pending, cause error) {
	for nonce, entry := range nonces {
		if d.b.now().Sub(entry.Since) < nonceAge {
			continue
		}
		err := d.b.settle(ctx, d.s, entry.Key())
		d.b.log.Error("whether an abandoned connection made a token is not known; look for the nonce in descriptions in that InfluxDB",
			"nonce", nonce, "role", entry.Role, "url", e.URL, "error", errors.Join(cause, err))
	}
}

func (d *drain) anyDue(nonces map[string]store.Pending) bool {
	for _, entry := range nonces {
		if d.b.now().Sub(entry.Since) >= nonceAge {
			return true
		}
	}
	return false
}
