package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// leavingClients mint while their mount is disabled or moved.
	leavingClients = 24
	// slowMint is how long InfluxDB takes for a token where it is slow: less than the engine waits, and longer than a
	// disable takes that does not wait.
	slowMint = 3 * time.Second
)

// A mount is disabled, or moved, while clients mint on it: no token is left, whoever got it.
func TestAMountThatLeavesUnderLoadLeavesNothing(t *testing.T) {
	t.Parallel()
	influx := influxOfHost(t)
	for name, takes := range map[string]time.Duration{"fast": 0, "slow": slowMint} {
		t.Run("disable "+name, func(t *testing.T) {
			e := leavingEngine(t, influx, takes)
			mount, end := e.mountUUID(t), e.mintsUntilGone(t)
			require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
			end()
			awaitNothingOf(t, influx, mount)
		})
		t.Run("move "+name, func(t *testing.T) {
			e := leavingEngine(t, influx, takes)
			mount, end := e.mountUUID(t), e.mintsUntilGone(t)
			to := unique("moved")
			require.NoError(t, e.vault.Sys().RemountWithContext(t.Context(), e.path, to))
			end()
			e.path = to
			awaitNothingOf(t, influx, mount)
			assert.Equal(t, 0, e.leases(t.Context(), t, "app"))
			e.assertLeases(t)
			require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), to))
		})
	}
}

// leavingEngine is connected through a proxy that answers each mint so much later.
func leavingEngine(t *testing.T, influx *lab.Influx, takes time.Duration) *engine {
	t.Helper()
	p := startProxy(t, influx, "", nil)
	e := briefEngine(t, influx, behind(p, influx))
	e.role(t, "app", bucketRole(nil))
	e.revoke(t, e.mint(t, "app").lease)
	if takes > 0 {
		p.failing(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
			<-time.After(takes)
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		}, createsToken)
	}
	return e
}

// mintsUntilGone starts clients that mint until their mount answers no more, and waits until each has begun. end waits
// until all have seen that.
func (e *engine) mintsUntilGone(t *testing.T) (end func()) {
	t.Helper()
	var all sync.WaitGroup
	var answered atomic.Int64
	path, ctx := e.path, t.Context()
	begun := make(chan struct{}, leavingClients)
	for range leavingClients {
		all.Go(func() {
			for first := true; ; first = false {
				if first {
					begun <- struct{}{}
				}
				answer, err := e.vault.Logical().ReadWithContext(ctx, path+"/creds/app")
				switch {
				case err == nil && answer != nil:
					answered.Add(1)
				case err == nil || isNoMount(err) || ctx.Err() != nil:
					return
				}
			}
		})
	}
	for range leavingClients {
		<-begun
	}
	require.NoError(t, lab.Await(t.Context(), reachLimit, "tokens of the clients", func(ctx context.Context) error {
		if len(e.tokensOf(t, "app")) < leavingClients {
			return errors.New("not each client has got to InfluxDB")
		}
		return nil
	}))
	return func() {
		all.Wait()
		t.Logf("%d tokens were handed out", answered.Load())
	}
}

// isNoMount says that an error is a host's that has no such mount.
func isNoMount(err error) bool {
	return strings.Contains(err.Error(), "no handler for route") || strings.Contains(err.Error(), "unsupported path") ||
		strings.Contains(err.Error(), "route entry not found")
}

// awaitNothingOf waits until InfluxDB has no token of a mount: what a mint deletes at its end may be on its way.
func awaitNothingOf(t *testing.T, influx *lab.Influx, mount string) {
	t.Helper()
	assert.NoError(t, lab.Await(t.Context(), 30*time.Second, "no token of the mount to be left", func(ctx context.Context) error {
		all, err := influx.Authorizations(ctx)
		if err != nil {
			return err
		}
		left := 0
		for _, text := range descriptions(all) {
			if strings.Contains(text, mount) {
				left++
			}
		}
		if left > 0 {
			return fmt.Errorf("%d are left", left)
		}
		return nil
	}))
}
