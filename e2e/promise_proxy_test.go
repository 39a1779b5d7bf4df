package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const denied = "<html><head><title>denied</title></head><body>The answer was denied by policy.</body></html>"

// denies lets InfluxDB do it, and answers in its place, as a web application firewall does that judges answers.
func denies(status int, contentType, body string) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		answers(status, contentType, body)(w, r, next)
	}
}

// counted counts what a fault gets.
func counted(with fault) (fault, *atomic.Int64) {
	count := &atomic.Int64{}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		count.Add(1)
		with(w, r, next)
	}, count
}

// A proxy's answer in InfluxDB's place proves nothing: each token that was made behind it is found and deleted, and none
// is asked for again.
func TestAProxyThatAnswersForInfluxDB(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			influx := influxOf(t, version)
			var all []*engine
			for _, answer := range []fault{
				denies(http.StatusForbidden, "text/html", denied), denies(http.StatusBadRequest, "text/html", denied),
				denies(http.StatusUnauthorized, asJSON, `{"error":"denied"}`), denies(http.StatusTooManyRequests, "text/plain", ""),
			} {
				p, root := startProxy(t, influx, "", nil), operatorToken(t, influx)
				e := briefEngine(t, influx, map[string]any{"url": p.URL, "token": root.Token, "authorization_id": root.ID})
				e.role(t, "app", bucketRole(nil))
				e.revoke(t, e.mint(t, "app").lease)
				e.assertUnknownOutcomes(t, p, answer)
				require.Equal(t, http.StatusOK, accepted(t, influx, root.Token))
				all = append(all, e)
			}
			for _, e := range all { // the ticks of all come together
				e.awaitOnly(t)
				e.assertLeases(t)
			}
		})
	}
}

// assertUnknownOutcomes makes a token of each kind behind a proxy that answers so.
func (e *engine) assertUnknownOutcomes(t *testing.T, p *proxy, answer fault) {
	t.Helper()
	answer, count := counted(answer)
	p.failing(answer, createsToken)
	defer p.mend()
	for i, ask := range []func() (*api.Secret, error){
		func() (*api.Secret, error) {
			return e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
		},
		func() (*api.Secret, error) {
			return e.vault.Logical().WriteWithContext(t.Context(), e.path+"/static-roles/meter", bucketRole(map[string]any{"verify": false}))
		},
		func() (*api.Secret, error) {
			return e.vault.Logical().WriteWithContext(t.Context(), e.path+"/config/rotate-root", nil)
		},
	} {
		_, err := ask()
		said := answeredWith(t, http.StatusBadGateway, err)
		assert.Equal(t, int64(i+1), count.Load(), "nothing is sent again: %s", said)
	}
}

// InfluxDB's own answers stay its own: what it refuses was not done, and is the caller's fault.
func TestInfluxDBsOwnRefusalIsNoUnknownOutcome(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		p := startProxy(t, influx, "", nil)
		e := briefEngine(t, influx, behind(p, influx))
		e.role(t, "app", bucketRole(nil))
		e.revoke(t, e.mint(t, "app").lease)
		for status, code := range map[int]string{
			http.StatusBadRequest: "invalid", http.StatusForbidden: "forbidden", http.StatusUnprocessableEntity: "unprocessable entity",
		} {
			p.failing(answers(status, asJSON, fmt.Sprintf(`{"code":%q,"message":"no"}`, code)), createsToken)
			_, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
			answeredWith(t, http.StatusBadRequest, err)
			e.assertPending(t, "0")
		}
		p.mend()
		e.assertLeases(t)
	})
}

// InfluxDB 2.10 answers so until it is up, with its version and without its API: nothing was created.
func TestAnInfluxDBThatStarts(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		p := startProxy(t, influx, "", nil)
		e := briefEngine(t, influx, behind(p, influx))
		e.role(t, "app", bucketRole(nil))
		m := e.mint(t, "app")
		p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			w.Header().Set("X-Influxdb-Version", "v2.10.0")
			w.Header().Set("X-Influxdb-Build", "OSS")
			answers(http.StatusServiceUnavailable, asJSON, `{"status":"starting"}`)(w, r, next)
		})
		for range 3 {
			_, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
			assert.Contains(t, answeredWith(t, http.StatusBadGateway, err), "InfluxDB 2.10.0 is starting")
		}
		e.assertPending(t, "0")
		require.ErrorContains(t, e.tryRevoke(t.Context(), m), "is not deleted yet")
		e.assertPending(t, "1")
		p.mend()
		e.revoke(t, m.lease)
		e.assertLeases(t)
		e.awaitOnly(t)
	})
}

// InfluxDB answers deletions and not its list: what failed before is deleted all the same, while a mint of unknown
// outcome waits for the list.
func TestAListThatHangsHoldsNoDeletionBack(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			influx := influxOf(t, version)
			p := startProxy(t, influx, "", nil)
			e := briefEngine(t, influx, map[string]any{"url": p.URL, "token": influx.Operator, "request_timeout": "5m"})
			e.role(t, "app", bucketRole(nil))
			m := e.mint(t, "app")
			p.failing(dropsAnswer, createsToken)
			_, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
			require.Error(t, err)
			t.Cleanup(p.CloseClientConnections) // so that the list that hangs does not hold the proxy up
			listed := make(chan struct{}, 100)
			p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				switch {
				case listsTokens(r):
					listed <- struct{}{}
					stalls(w, r, next)
				case r.Method == http.MethodDelete:
					hangsUp(w, r, next)
				default:
					next.ServeHTTP(w, r)
				}
			})
			<-listed // because of the mint, and it is not answered
			require.ErrorContains(t, e.tryRevoke(t.Context(), m), "is not deleted yet")
			e.assertPending(t, "2")
			p.failing(stalls, listsTokens)
			require.NoError(t, lab.Await(t.Context(), drainLimit, "the deletion", func(ctx context.Context) error {
				_, err := influx.Authorization(ctx, m.id)
				if err == nil {
					return fmt.Errorf("%s is there", m.id)
				}
				return nil
			}))
			e.assertPending(t, "1")
			p.mend()
			e.revoke(t, m.lease)
		})
	}
}
