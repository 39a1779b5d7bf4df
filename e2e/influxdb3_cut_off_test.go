package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

// shear is a proxy before an InfluxDB 3 that can cut calls off which make or delete a token, at a random moment soon after
// they were sent: what InfluxDB has of them by then is carried out, or half done, or not at all.
type shear struct {
	*proxy
	influx *influx3
	within time.Duration
	// alone says that a call that gets its answer follows each that is cut off, so that a real server goes on.
	alone bool
	turn  sync.Mutex
}

// begin has it cut, until mend.
func (s *shear) begin() {
	if s.influx.fake != nil {
		s.cutFake(s.influx.fake)
	} else {
		s.failing(s.cut, changesTokens)
	}
}

// cut goes away from the real server: its connection is closed, which is how InfluxDB learns of it.
func (s *shear) cut(w http.ResponseWriter, r *http.Request, next http.Handler) {
	if s.alone {
		s.turn.Lock()
		defer s.turn.Unlock()
		defer s.change(context.WithoutCancel(r.Context()))
	}
	ctx, cancel := context.WithTimeout(r.Context(), rand.N(s.within))
	defer cancel()
	dropsAnswer(w, r.WithContext(ctx), next)
}

// change has the server change its catalog and take that back, whole.
func (s *shear) change(ctx context.Context) {
	_, _, _ = s.influx.call(ctx, s.influx.operator, http.MethodPost, "/api/v3/configure/token/named_admin", map[string]any{"token_name": "between", "expiry_secs": 60})
	_, _, _ = s.influx.call(ctx, s.influx.operator, http.MethodDelete, "/api/v3/configure/token?token_name=between", nil)
}

// cutFake has the fake do what a real one was measured to do then: of a third nothing, a third whole, and a third by half.
func (s *shear) cutFake(fake *influx3test.Server) {
	s.failing(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		s.turn.Lock() // what is half done is the next call
		defer s.turn.Unlock()
		switch rand.N(3) {
		case 0:
			hangsUp(w, r, next)
		case 1:
			fake.HalfDone(r.Method)
		}
		dropsAnswer(w, r, next)
	}, changesTokens)
}

// changesTokens says that a call makes or deletes a token.
func changesTokens(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/api/v3/configure/token")
}

// cutOffs is a mount whose mints and revocations are cut off.
type cutOffs struct {
	*engine3
	shear *shear
}

// newShear starts such a proxy, which cuts nothing yet.
func newShear(t *testing.T, influx *influx3) *shear {
	t.Helper()
	return &shear{proxy: startProxy(t, influx.proxied(), "", nil), influx: influx, within: 3 * time.Millisecond}
}

// leading is what config needs to lead to the proxy.
func (s *shear) leading() map[string]any { return map[string]any{"url": s.URL} }

// during runs a call so many times, some at once, and returns how many failed.
func (c *cutOffs) during(t *testing.T, count int, call func(i int) error) (failed int) {
	t.Helper()
	todo, results := make(chan int, count), make(chan error, count)
	for i := range count {
		todo <- i
	}
	close(todo)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range todo {
				results <- call(i)
			}
		})
	}
	all.Wait()
	close(results)
	for err := range results {
		if err != nil {
			failed++
		}
	}
	return failed
}

// run has so many mints and as many revocations cut off. Afterwards everything is in order but for them.
func (c *cutOffs) run(t *testing.T, count int) {
	t.Helper()
	leases := make([]minted, count)
	for i := range leases {
		leases[i] = c.mint(t, "app")
	}
	c.shear.begin()
	ctx := t.Context()
	lost := c.during(t, count, func(int) error {
		_, err := c.vault.Logical().ReadWithContext(ctx, c.path+"/creds/app")
		return err
	})
	assert.Equal(t, count, lost, "no mint was answered")
	unanswered := c.during(t, count, func(i int) error { return c.tryRevoke(ctx, leases[i]) })
	assert.Equal(t, count, unanswered, "no revocation was answered")
	c.shear.mend()
	pending, err := c.pending(ctx)
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(2*count), pending)
	t.Logf("%d mints and %d revocations were cut off; InfluxDB lists %d tokens", lost, unanswered, len(c.held(t, "lease:app:")))
}

// stuckCatalog is what check and mints say of an InfluxDB whose catalog these calls have left stuck.
const stuckCatalog = "catalog is stuck: it makes and deletes no tokens until it is started anew; restart it"

// untilStuck is an error once check says that InfluxDB is stuck.
func (c *cutOffs) untilStuck() func(context.Context) error {
	var checked time.Time
	return func(ctx context.Context) error {
		if time.Since(checked) < checkPause {
			return nil
		}
		checked = time.Now()
		answer, err := c.vault.Logical().ReadWithContext(ctx, c.path+"/check")
		if err == nil && strings.Contains(fmt.Sprint(answer.Data["problems"]), stuckCatalog) {
			return errors.New("InfluxDB is stuck")
		}
		return nil
	}
}

// restartStuck restarts an InfluxDB that is stuck, as an operator has to. One that is not must not have left anything.
func (c *cutOffs) restartStuck(t *testing.T, left error) {
	t.Helper()
	_, err := c.vault.Logical().ReadWithContext(t.Context(), c.path+"/creds/app")
	require.Error(t, err, "InfluxDB goes on, and yet: %v", left)
	assert.Contains(t, answeredWith(t, http.StatusBadGateway, err), stuckCatalog)
	t.Logf("InfluxDB is stuck, and restarted: %v", left)
	c.server.Kill()
	require.NoError(t, c.server.Start(t.Context()))
}

// drain waits until nothing is left of them, also after InfluxDB has read again all that was written. Nothing but the
// engine's own calls tells InfluxDB of what is half done, unless it has to be restarted: that is what settles it.
func (c *cutOffs) drain(t *testing.T) {
	t.Helper()
	if err := c.awaitOnlyUnless3(t, c.untilStuck()); err != nil {
		c.restartStuck(t, err)
		c.awaitOnly3(t)
	}
	c.server.Kill()
	require.NoError(t, c.server.Start(t.Context()))
	assert.Empty(t, c.held(t, ""), "a restart brings nothing back")
	c.revokePrefix(t, "creds/app")
	assert.Equal(t, "0", c.irrevocable(t))
	assert.Empty(t, c.problems(t))
}

// Calls are cut off at all moments of their way to InfluxDB 3, which may have carried them out on disk and not know it: no
// list shows that, and a deletion is answered with 404. Nothing is left of them all the same.
func TestCallsCutOffAtInfluxDB3(t *testing.T) {
	t.Parallel()
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		t.Parallel()
		s := newShear(t, influx)
		c := cutOffs{briefEngine3(t, influx, s.leading()), s}
		c.run(t, 40)
		c.drain(t)
	})
}
