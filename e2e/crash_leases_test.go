package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var mints = crashAct{
	name: "mint",
	prepare: func(t *testing.T, p *crashPoint) {
		p.keep(t)
		p.role(t, "app", p.grants(map[string]any{"ttl": "15s", "max_ttl": "15s"}))
	},
	call: func(ctx context.Context, p *crashPoint) error {
		_, err := p.vault.Logical().ReadWithContext(ctx, p.path+"/creds/app")
		return err
	},
	reconciled: leasesAreTokens,
	steps: slices.Concat(
		aroundCall("call", "POST", ":{uuid}:lease:app:"),
		aroundAnswer("read creds/app"),
		afterFault(at{when: "after", what: "POST", about: ":{uuid}:lease:app:"},
			aroundWrite("it is written down that it was not answered", "put", "pending/nonce-", 1)),
	),
}

var revokes = crashAct{
	name:    "revoke",
	prepare: holdsLease, ready: mintsIt, call: revokesIt,
	recovered: revokedIsGone, reconciled: leasesAreTokens,
	steps: slices.Concat(
		aroundCall("call", "DELETE", "/authorizations/{id}"),
		aroundAnswer("revoke creds/app"),
		afterFault(deletionLost, aroundWrite("it is written down that it failed", "put", "pending/{id}", 1)),
	),
}

// revokesAgain revokes what could not be revoked before.
var revokesAgain = crashAct{
	name:    "revoke again",
	prepare: holdsLease,
	ready: func(t *testing.T, p *crashPoint) {
		mintsIt(t, p)
		mend := p.scene.stops.lose(p.about(deletionLost))
		require.Error(t, revokesIt(t.Context(), p))
		mend()
	},
	call: revokesIt, recovered: revokedIsGone, reconciled: leasesAreTokens,
	steps: slices.Concat(
		aroundCall("call", "DELETE", "/authorizations/{id}"),
		aroundWrite("it is struck off", "delete", "pending/{id}", 1),
	),
}

var renews = crashAct{
	name:    "renew",
	prepare: holdsLease, ready: mintsIt,
	call: func(ctx context.Context, p *crashPoint) error {
		_, err := p.vault.Sys().RenewWithContext(ctx, p.held.lease, 3600)
		return err
	},
	reconciled: func(t *testing.T, p *crashPoint) {
		if p.err == nil { // then it lives for an hour
			p.assertWorks(t, p.held.token)
			p.leaseTimes(t, p.held.lease)
		}
		leasesAreTokens(t, p)
	},
	steps: slices.Concat(aroundCall("look at the token", "GET", "/authorizations/{id}"), aroundAnswer("renew creds/app")),
}

var deletionLost = at{when: "before", what: "DELETE", about: "/authorizations/{id}"}

// keep connects the mount, and mints what nothing happens to.
func (p *crashPoint) keep(t *testing.T) {
	t.Helper()
	p.connect(t, nil)
	p.role(t, "untouched", p.grants(map[string]any{"ttl": "1h"}))
	p.untouched = p.mint(t, "untouched")
}

func holdsLease(t *testing.T, p *crashPoint) {
	t.Helper()
	p.keep(t)
	p.role(t, "app", p.grants(map[string]any{"ttl": "90s", "max_ttl": "2h"}))
}

// mintsIt comes last: the lease is to live until everything is at its point, and to be over when all is reconciled.
func mintsIt(t *testing.T, p *crashPoint) {
	t.Helper()
	p.held = p.mint(t, "app")
	p.id = p.held.id
}

func revokesIt(ctx context.Context, p *crashPoint) error { return p.tryRevoke(ctx, p.held) }

// revokedIsGone: whoever was told that a token is revoked was told the truth.
func revokedIsGone(t *testing.T, p *crashPoint) {
	if p.err != nil {
		return
	}
	living, err := p.stamped(t.Context(), "lease", "app")
	require.NoError(t, err)
	assert.NotContains(t, living, p.id)
}

// steady is for how long leases and tokens have to be the same before they count.
const steady = 3 * time.Second

// leasesAreTokens waits until the mount's tokens that live are those of its leases that do, and asserts that nothing was
// deleted that a lease owns, and that every lease can be ended.
func leasesAreTokens(t *testing.T, p *crashPoint) {
	var seen string
	var since time.Time
	p.awaitReconciled(t, func(ctx context.Context) error {
		known, now, held := 0, "", 0
		for _, role := range []string{"app", "untouched"} {
			leases, err := p.leases(ctx, role)
			if err != nil {
				return err
			}
			tokens, err := p.stamped(ctx, "lease", role)
			if err != nil || len(leases) != len(tokens) {
				return errors.Join(err, fmt.Errorf("role %s has %d leases and %d tokens", role, len(leases), len(tokens)))
			}
			known += len(tokens)
			now += fmt.Sprint(leases, tokens)
			if role == "app" {
				held = len(leases)
			}
		}
		all, err := p.stamped(ctx, "", "")
		if err == nil && len(all) != known {
			err = fmt.Errorf("%d tokens bear the mount's stamp, and %d leases live", len(all), known)
		}
		if now != seen {
			seen, since = now, time.Now()
		}
		if err == nil && held > 0 && time.Since(since) < steady { // one that is being revoked could stand for a token that nobody has
			err = errors.New("it has changed just now")
		}
		return err
	})
	p.leaseTimes(t, p.untouched.lease)
	p.assertWorks(t, p.untouched.token)
	require.NoError(t, p.vault.Sys().UnmountWithContext(t.Context(), p.path))
	p.awaitNothing(t)
}

// awaitNothing waits until no token bears the mount's stamp. What a reaper looks around with may be among them for a
// moment.
func (p *crashPoint) awaitNothing(t *testing.T) {
	t.Helper()
	p.awaitRecovery(t, func(ctx context.Context, p *crashPoint) error {
		left, err := p.stamped(ctx, "", "")
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the tokens %v are left", left)
		}
		return err
	})
}

// leases are those of a role that Vault has.
func (p *crashPoint) leases(ctx context.Context, role string) ([]any, error) {
	listed, err := p.vault.Logical().ListWithContext(ctx, "sys/leases/lookup/"+p.path+"/creds/"+role+"/")
	if err != nil || listed == nil {
		return nil, err
	}
	keys, _ := listed.Data["keys"].([]any)
	return keys, nil
}
