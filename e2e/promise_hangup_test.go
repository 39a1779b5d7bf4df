package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A caller hangs up while the engine's answer is on its way: the host registers no lease and asks for no revocation. The
// token is deleted soon after the moment at which its lease would have ended, and no longer counts for max_leases; a
// lease that was renewed for longer than its role says is not taken for one that has ended.
func TestATokenOfACallerWhoHungUpIsDeleted(t *testing.T) {
	t.Parallel()
	gate := startAnswerGate(t, "read creds/few")
	vault := newVaultWith(t, lab.VaultOptions{Storage: "inmem", Env: []string{"CRASHTEST_ADDR=" + gate.URL}}, crashTestPlugin(t))
	e := engineIn(t, vault, "influxdb", influxOfHost(t))
	e.role(t, "few", bucketRole(map[string]any{"ttl": "20s", "max_leases": 1}))
	e.role(t, "app", bucketRole(map[string]any{"ttl": "20s"}))
	renewed := e.mint(t, "app")
	require.Equal(t, 1200, e.renew(t, renewed.lease, 1200))

	lost := gate.hangUp(t, e)
	require.Error(t, e.exceeds(t), "its lease might live")
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "max_leases to be free", func(context.Context) error { return e.exceeds(t) }))
	e.awaitOnly(t, renewed.id)
	assert.False(t, e.exists(t, lost))
	assertWorks(t, e.influx, renewed.token)
	e.leaseTimes(t, renewed.lease)
	assert.Empty(t, e.problems(t))
	require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
	assertGone(t, e.influx, renewed)
}

// answerGate holds an answer of the engine to its host once, when it is closed.
type answerGate struct {
	*httptest.Server
	what   string
	closed chan answerHeld
}

// answerHeld is an answer that is held until it is let go.
type answerHeld struct{ reached, letGo chan struct{} }

// startAnswerGate is told of all points by e2e/testplugin.
func startAnswerGate(t *testing.T, what string) *answerGate {
	t.Helper()
	g := &answerGate{what: what, closed: make(chan answerHeld, 1)}
	g.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.FormValue("when") != "before" || r.FormValue("what") != "answer" || !strings.HasSuffix(r.FormValue("about"), " "+g.what) {
			return
		}
		select {
		case held := <-g.closed:
			close(held.reached)
			<-held.letGo
		default:
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// hangUp reads creds of role few and hangs up while the engine's answer is held, until that leaves a token without a
// lease. It returns its ID.
func (g *answerGate) hangUp(t *testing.T, e *engine) (id string) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), reachLimit, "a token without a lease", func(ctx context.Context) error {
		held := answerHeld{make(chan struct{}), make(chan struct{})}
		g.closed <- held
		calling, hangUp := context.WithCancel(ctx)
		defer hangUp()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = e.vault.Logical().ReadWithContext(calling, e.path+"/creds/few")
		}()
		<-held.reached
		hangUp()
		<-ended
		e.leases(ctx, t, "app") // the host has had time to see it
		close(held.letGo)
		if e.leases(ctx, t, "few") > 0 { // it came too late
			e.revokePrefix(t, "creds/few")
			return errors.New("it has a lease")
		}
		made := e.tokensOf(t, "few")
		if len(made) != 1 {
			return fmt.Errorf("%d tokens were made", len(made))
		}
		id = made[0].ID
		return nil
	}))
	return id
}

// hangUps are callers half of whose reads are given up: each waits as long as half of the reads take, which is where
// most of them lose their lease.
type hangUps struct {
	engine *engine
	role   string
	// clients read at once.
	clients int
	// ttl is the role's, lastEnd the last moment at which a lease that was read can end.
	ttl     time.Duration
	lastEnd time.Time

	mu       sync.Mutex
	patience time.Duration
	answered int
	givenUp  int
	failed   []error
}

// read reads creds so many times.
func (h *hangUps) read(t *testing.T, reads int) {
	t.Helper()
	h.patience = 20 * time.Millisecond
	todo := make(chan struct{}, reads)
	for range reads {
		todo <- struct{}{}
	}
	close(todo)
	var all sync.WaitGroup
	for range h.clients {
		all.Go(func() {
			for range todo {
				h.readOnce(t.Context())
			}
		})
	}
	all.Wait()
	h.lastEnd = time.Now().Add(h.ttl)
	t.Logf("%s: %d reads were answered, %d given up, at last after %s", h.role, h.answered, h.givenUp, h.patience)
	require.Empty(t, h.failed)
}

func (h *hangUps) readOnce(ctx context.Context) {
	h.mu.Lock()
	ctx, cancel := context.WithTimeout(ctx, h.patience)
	h.mu.Unlock()
	defer cancel()
	_, err := h.engine.vault.Logical().ReadWithContext(ctx, h.engine.path+"/creds/"+h.role)
	h.mu.Lock()
	defer h.mu.Unlock()
	var refused *api.ResponseError
	switch {
	case err == nil:
		h.answered++
		h.patience -= h.patience / 50
	case errors.As(err, &refused) || ctx.Err() == nil:
		h.failed = append(h.failed, err)
	default:
		h.givenUp++
		h.patience += h.patience / 50
	}
}

// awaitNone waits until the role has no token, whoever held it: so long after its last lease has ended. When that is, the
// times of the leases say. The host's list does not: Vault and OpenBao on raft may have stored the lease of a caller that
// hung up though they took that for failed and had its token revoked, and list it until they are started anew.
func (h *hangUps) awaitNone(t *testing.T, limit time.Duration) {
	t.Helper()
	t.Logf("%s: %d tokens, %d leases in the host's list", h.role, len(h.engine.tokensOf(t, h.role)), h.engine.leases(t.Context(), t, h.role))
	h.engine.awaitNoTokenOf(t, h.role, time.Until(h.lastEnd)+limit)
	t.Logf("%s: no token is left %s after the last lease has ended", h.role, time.Since(h.lastEnd).Round(time.Second))
}

// Callers hang up at all moments of their reads.
func TestCallersThatHangUp(t *testing.T) {
	t.Parallel()
	const reads = 400
	e := briefEngine(t, influxOf(t, lab.InfluxVersion), nil)
	e.role(t, "busy", bucketRole(map[string]any{"ttl": "20s", "max_leases": reads}))
	h := &hangUps{engine: e, role: "busy", clients: 8, ttl: 20 * time.Second}
	h.read(t, reads)
	h.awaitNone(t, reconcileLimit)
	e.role(t, "busy", bucketRole(map[string]any{"max_leases": 1}))
	e.revoke(t, e.mint(t, "busy").lease)
	e.awaitOnly(t)
	assert.Equal(t, "0", e.irrevocable(t))
}
