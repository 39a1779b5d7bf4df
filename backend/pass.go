package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-influxdb/backend/store"
)

// pass is one look at all tokens of one InfluxDB. It settles unanswered mints by their nonces and reaps lease
// tokens past their deadline. Nothing else is ever deleted: no hand-made token, no other mount's, no static or
// root token, and nothing that is merely unknown.
type pass struct {
	// reap is the UUID of the mount whose lease tokens are reaped; empty reaps none.
	reap   string
	dryRun bool
	// nonces are the unanswered mints to settle.
	nonces map[string]store.Pending

	scanned, matched, deleted, failed atomic.Int64
	// left counts the mount's lease tokens that are not to be reaped yet.
	left atomic.Int64
}

// doomed is a token that a pass has found and is to delete.
type doomed struct {
	id string
	st stamp
}

// maxPlaces bounds in how many places one pass proves that it sees; the nonces of others wait for the next.
const maxPlaces = 16

// places are where the pass has to see all there is: the usual place first.
func (p *pass) places(usual place) []place {
	places := []place{usual}
	for _, entry := range p.nonces {
		if at := (place{entry.OrgID, entry.UserID}); !slices.Contains(places, at) && len(places) < maxPlaces {
			places = append(places, at)
		}
	}
	return places
}

// pass reads storage before it changes InfluxDB, because a process that outlived its Vault has none; and its
// clock before it asks for the list. What it finds it deletes, also when it does not see everything; what it
// does not find proves something only where it sees.
func (b *backend) pass(ctx context.Context, s logical.Storage, e *endpoint, p *pass) error {
	if _, err := store.GetConfig(ctx, s); err != nil {
		return err
	}
	usual, err := usualPlace(ctx, e)
	if err != nil {
		return err
	}
	if err := b.loadStatics(ctx, s); err != nil {
		return err
	}
	missing := b.statics.tokensOn(e.ID)
	p.scanned.Store(0) // a pass that failed may be made again
	p.failed.Store(0)
	p.left.Store(0)
	asked := b.now()
	var found []doomed
	present := map[string]bool{}
	places := p.places(usual)
	sees, err := b.survey(ctx, e, places, func(a domain.Authorization) {
		p.scanned.Add(1)
		id, st, mine := stampOf(a, b.mountUUID)
		delete(missing, id)
		if _, lost := p.nonces[st.nonce]; mine && lost && st.nonce != e.RootNonce {
			present[st.nonce] = true
			found = append(found, doomed{id, st})
		} else if st, leased := p.leaseOf(a); leased && st.deadline.Add(reapGrace).Before(asked) {
			found = append(found, doomed{id, st})
		} else if leased {
			p.left.Add(1)
		}
	})
	if err != nil {
		return err
	}
	p.matched.Store(int64(len(found)))
	if !p.dryRun {
		err = errors.Join(b.destroyAll(ctx, s, e, p, found), b.settleUnmade(ctx, s, p, func(nonce string, entry store.Pending) bool {
			return !present[nonce] && sees[place{entry.OrgID, entry.UserID}] && asked.Sub(entry.Since) >= nonceAge
		}))
		b.healStatics(ctx, s, e, missing)
	}
	for _, at := range places {
		if err == nil && !sees[at] {
			err = blindAt(e, at)
		}
	}
	return err
}

// leaseOf reads the stamp of a token, if it is a lease's of the mount whose tokens are reaped.
func (p *pass) leaseOf(a domain.Authorization) (stamp, bool) {
	_, st, match := stampOf(a, p.reap)
	return st, match && st.kind == kindLease && p.reap != ""
}

// destroyAll deletes what a pass has found, a few at a time.
func (b *backend) destroyAll(ctx context.Context, s logical.Storage, e *endpoint, p *pass, found []doomed) error {
	if _, err := store.GetConfig(ctx, s); err != nil { // the list may have taken minutes
		return err
	}
	var group errgroup.Group
	group.SetLimit(drainWidth)
	var here outage
	for _, d := range found {
		group.Go(func() (err error) {
			defer b.recovered(&err)
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case here.isSure():
				p.failed.Add(1)
				return nil // an error is noted already
			}
			err = b.destroyFound(ctx, s, e, p, d)
			here.note(err)
			return err
		})
	}
	return group.Wait()
}

// destroyFound deletes one token that a pass has found, and strikes off what was owed for it.
func (b *backend) destroyFound(ctx context.Context, s logical.Storage, e *endpoint, p *pass, d doomed) error {
	entry, lost := p.nonces[d.st.nonce]
	if lost { // whatever comes of the deletion, nobody has it
		b.live.remove(d.st.role, d.id)
		current, err := isCurrentStatic(ctx, s, d.st)
		switch {
		case err != nil:
			return err
		case current:
			return b.settle(ctx, s, entry.Key())
		}
	}
	if err := destroy(ctx, e, d.id); err != nil {
		p.failed.Add(1)
		return fmt.Errorf("authorization %s of role %s is not deleted yet: %w", d.id, d.st.role, err)
	}
	p.deleted.Add(1)
	b.live.remove(d.st.role, d.id)
	b.log.Info("a token that nobody holds a lease for was deleted", "authorization_id", d.id, "role", d.st.role, "deadline", rfc3339(d.st.deadline))
	return b.settle(ctx, s, entry.Key()) // where it was owed
}

// settleUnmade strikes off the unanswered mints that are proven to have made nothing.
func (b *backend) settleUnmade(ctx context.Context, s logical.Storage, p *pass, unmade func(nonce string, entry store.Pending) bool) error {
	var problems []error
	for nonce, entry := range p.nonces {
		if unmade(nonce, entry) {
			problems = append(problems, b.settle(ctx, s, entry.Key()))
		}
	}
	return errors.Join(problems...)
}
