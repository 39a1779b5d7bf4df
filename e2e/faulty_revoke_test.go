package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const asJSON = "application/json; charset=utf-8"

// Only InfluxDB's own word ends a lease: whatever else is answered to the deletion, by InfluxDB or by what
// stands before it, the lease is kept, and ends once the answers are sound again.
func TestLeaseOutlivesFaultyAnswers(t *testing.T) {
	t.Parallel()
	faults := map[string]fault{
		"401":                       answers(http.StatusUnauthorized, asJSON, `{"code":"unauthorized","message":"unauthorized access"}`),
		"403":                       answers(http.StatusForbidden, asJSON, `{"code":"forbidden","message":"User is inactive"}`),
		"404 of a page":             answers(http.StatusNotFound, "text/html", "<html><h1>404 Not Found</h1></html>"),
		"404 of another path":       answers(http.StatusNotFound, asJSON, `{"code":"not found","message":"path not found"}`),
		"429":                       answers(http.StatusTooManyRequests, asJSON, `{"code":"too many requests","message":"slow down"}`),
		"500":                       answers(http.StatusInternalServerError, asJSON, `{"code":"internal error","message":"unexpected error"}`),
		"200 of a page":             answers(http.StatusOK, "text/html", "<html>Welcome</html>"),
		"no answer in time":         stalls,
		"a connection that is shut": hangsUp,
	}
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		e, p := engineBehindProxy(t, influx)
		for name, with := range faults {
			t.Run(name, func(t *testing.T) {
				m := e.mint(t, "app")
				e.patience(t, "1s")
				p.failDeletions(with)
				t.Cleanup(p.mend)
				err := e.tryRevoke(t.Context(), m)
				require.ErrorContains(t, err, "authorization "+m.id+" is not deleted yet")
				e.leaseTimes(t, m.lease) // it is still there
				assertWorks(t, influx, m.token)

				p.mend()
				e.patience(t, patient)
				e.revoke(t, m.lease)
				assertGone(t, influx, m)
			})
		}
	})
}

// The answer of a deletion that was done is lost: the next try learns that the token is gone.
func TestLeaseEndsAfterALostAnswer(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		e, p := engineBehindProxy(t, influx)
		m := e.mint(t, "app")
		e.patience(t, "1s")
		p.failDeletions(losesAnswer)
		require.ErrorContains(t, e.tryRevoke(t.Context(), m), "no answer within 1s")
		e.leaseTimes(t, m.lease)
		awaitDeath(t, influx, m, time.Minute)
		p.mend()
		e.patience(t, patient)
		e.revoke(t, m.lease)
	})
}

// patience is how long the engine waits from now on for an answer of InfluxDB's.
func (e *engine) patience(t *testing.T, timeout string) {
	t.Helper()
	e.write(t, "config", map[string]any{"request_timeout": timeout, "verify_connection": false})
}

// engineBehindProxy is an engine that reaches its InfluxDB through a proxy.
func engineBehindProxy(t *testing.T, influx *lab.Influx) (*engine, *proxy) {
	t.Helper()
	e := connectedEngine(t, influx)
	p := startProxy(t, influx, "", nil)
	e.write(t, "config", map[string]any{"url": p.URL, "token": influx.Operator, "request_timeout": patient})
	e.role(t, "app", bucketRole(nil))
	return e, p
}
