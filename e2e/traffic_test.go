package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// applications ask for tokens at once.
	applications = 8
	// A busy lease is short, so that what a crash cuts off runs out soon, and longer than an election.
	busyTTL, busyMaxTTL = 20 * time.Second, 30 * time.Second
	// readEvery is how often the static role's token is read, and a held lease renewed.
	readEvery = 50 * time.Millisecond
	// patience is how long an application goes on asking.
	patience = 2 * time.Minute

	heldRole   = "held"
	staticRole = "telegraf"
	// staticPeriod is the shortest there is.
	staticPeriod = time.Minute
	// takenEarly is how long before it is due a tick takes the rotation of a period.
	takenEarly = 5 * time.Second
)

// traffic is what applications do all day: they mint, renew and revoke; some leases they leave to run out. What
// fails they ask for again until they get it, and each failure is noted.
type traffic struct {
	engine *engine
	ctx    context.Context
	ending chan struct{}
	at     sync.WaitGroup

	minted atomic.Int64

	mu       sync.Mutex
	failures []failedRequest
	// held are leases that are held, and renewed again and again.
	held []minted
	// rotations are the tokens that static-creds has answered, and when each came to be.
	rotations map[string]time.Time
}

// failedRequest is a request that was answered with an error.
type failedRequest struct {
	what         string
	began, ended time.Time
	err          error
}

// busyRole is the role that the applications use.
const busyRole = "busy"

// startTraffic writes the roles that it uses. It lasts until end.
func startTraffic(t *testing.T, e *engine) *traffic {
	t.Helper()
	e.role(t, heldRole, bucketRole(map[string]any{"ttl": "1h"}))
	e.write(t, "static-roles/"+staticRole, map[string]any{
		"read_buckets": bucket, "rotation_period": staticPeriod.String(), "grace_period": staticPeriod.String(),
	})
	e.role(t, busyRole, bucketRole(map[string]any{"ttl": busyTTL.String(), "max_ttl": busyMaxTTL.String()}))
	tr := &traffic{engine: e, ctx: t.Context(), ending: make(chan struct{}), rotations: map[string]time.Time{}}
	busy := make(chan time.Time)
	close(busy)
	for range applications {
		tr.repeat(busy, tr.useToken)
	}
	now := time.NewTicker(readEvery)
	t.Cleanup(now.Stop)
	tr.repeat(now.C, func(turn int) {
		tr.renewHeld(turn)
		tr.readStatic()
	})
	return tr
}

// repeat does something whenever it is time, until the traffic ends.
func (tr *traffic) repeat(when <-chan time.Time, do func(turn int)) {
	tr.at.Go(func() {
		for turn := 0; ; turn++ {
			select {
			case <-tr.ending:
				return
			case <-tr.ctx.Done():
				return
			case <-when:
				do(turn)
			}
		}
	})
}

// end waits for what is under way.
func (tr *traffic) end() {
	close(tr.ending)
	tr.at.Wait()
}

// ask tries until it succeeds.
func (tr *traffic) ask(what string, do func(context.Context) error) bool {
	return lab.Await(tr.ctx, patience, what, func(ctx context.Context) error {
		began := time.Now()
		err := do(ctx)
		if err != nil && tr.ctx.Err() == nil {
			tr.mu.Lock()
			tr.failures = append(tr.failures, failedRequest{what, began, time.Now(), err})
			tr.mu.Unlock()
		}
		return err
	}) == nil
}

// read takes a 404 for the error that it is here: a node that gives its mounts up answers so.
func (tr *traffic) read(ctx context.Context, path string) (*api.Secret, error) {
	answer, err := tr.engine.vault.Logical().ReadWithContext(ctx, tr.engine.path+"/"+path)
	if err == nil && answer == nil {
		err = errors.New("404")
	}
	return answer, err
}

// useToken is the life of one token.
func (tr *traffic) useToken(turn int) {
	var lease string
	var asked time.Time
	ok := tr.ask("mint", func(ctx context.Context) error {
		asked = time.Now()
		answer, err := tr.read(ctx, "creds/"+busyRole)
		if err == nil {
			lease = answer.LeaseID
		}
		return err
	})
	if !ok {
		return
	}
	tr.minted.Add(1)
	tr.ask("renew", func(ctx context.Context) error {
		_, err := tr.engine.vault.Sys().RenewWithContext(ctx, lease, int(busyTTL.Seconds()))
		if time.Since(asked) >= busyTTL { // by now it may have run out
			return nil
		}
		return err
	})
	if turn%4 == 0 { // it runs out by itself
		return
	}
	tr.ask("revoke", func(ctx context.Context) error {
		return tr.engine.vault.Sys().RevokeWithOptionsWithContext(ctx, &api.RevokeOptions{LeaseID: lease, Sync: true})
	})
}

// renewHeld renews the leases that are held, one at a time.
func (tr *traffic) renewHeld(turn int) {
	tr.mu.Lock()
	held := tr.held
	tr.mu.Unlock()
	if len(held) == 0 {
		return
	}
	tr.ask("renew a held lease", func(ctx context.Context) error {
		_, err := tr.engine.vault.Sys().RenewWithContext(ctx, held[turn%len(held)].lease, 0)
		return err
	})
}

// readStatic reads a static role's token as Telegraf does, and notes when it is another one.
func (tr *traffic) readStatic() {
	tr.ask("read static-creds", func(ctx context.Context) error {
		answer, err := tr.read(ctx, "static-creds/"+staticRole)
		if err != nil {
			return err
		}
		made, err := time.Parse(time.RFC3339Nano, answer.Data["last_vault_rotation"].(string))
		if err != nil {
			return err
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		tr.rotations[answer.Data["authorization_id"].(string)] = made
		return nil
	})
}

// keep mints tokens that are held to the end.
func (tr *traffic) keep(t *testing.T, count int) {
	t.Helper()
	for range count {
		m := tr.engine.mint(t, heldRole)
		tr.mu.Lock()
		tr.held = append(tr.held, m)
		tr.mu.Unlock()
	}
}

// assertTokensAreLeases waits, after the end, until the short leases have run out, with what was cut off: then InfluxDB
// has the tokens of the held leases, Vault those leases, and neither anything else.
func (tr *traffic) assertTokensAreLeases(t *testing.T) {
	e := tr.engine
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "the leases to run out", func(ctx context.Context) error {
		if left := e.leases(ctx, t, busyRole); left > 0 {
			return fmt.Errorf("%d are left", left)
		}
		return nil
	}))
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "what was cut off to be reaped", func(context.Context) error {
		e.tidy(t, nil)
		if left := e.tokensOf(t, busyRole); len(left) > 0 {
			return fmt.Errorf("%d tokens are left: %v", len(left), descriptions(left))
		}
		return nil
	}))
	var held []string
	for _, m := range tr.held {
		held = append(held, m.id)
	}
	assert.ElementsMatch(t, held, ids(e.tokensOf(t, heldRole)))
	assert.Equal(t, len(held), e.leases(t.Context(), t, heldRole))
	assert.Equal(t, "0", e.irrevocable(t))
	for _, m := range tr.held {
		assertWorks(t, e.influx, m.token)
		e.revoke(t, m.lease)
	}
	assertGone(t, e.influx, tr.held...)
}
