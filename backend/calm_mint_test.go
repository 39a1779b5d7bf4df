package backend

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// A caller that hangs up, and an outage, say nothing of names: the next mint still costs one call.
func TestNamesStayCachedOverHangUpsAndOutages(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.remembering()
	m.mint("app")
	one := costs{http: []string{"POST"}}
	require.Equal(t, one, m.costOf(server, func() { m.mint("app") }))

	ctx, cancel := context.WithCancel(t.Context())
	var discarded atomic.Bool
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			cancel()
			<-(*m.contexts.Load()).Done() // over gRPC the answer can overtake the cancellation
		}
		next.ServeHTTP(w, r)
		if r.Method == http.MethodDelete {
			discarded.Store(true)
		}
	})
	_, err := m.send(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	require.Error(t, err)
	m.until(discarded.Load) // over gRPC some time after the answer
	server.Intercept(nil)
	require.Equal(t, one, m.costOf(server, func() { m.mint("app") }), "after a caller hung up")

	server.Fail(http.MethodPost, authorizations, http.StatusServiceUnavailable, "application/json", `{"code":"unavailable","message":"x"}`)
	require.Error(t, m.try(logical.ReadOperation, "creds/app", nil))
	server.Intercept(nil)
	require.Equal(t, one, m.costOf(server, func() { m.mint("app") }), "after an outage")
}

// InfluxDB deletes and answers nothing else: one look takes one time-out, however much could be looked at.
func TestALookThatHangsTakesOneTimeout(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	for _, name := range []string{"globex", "initech", "umbrella"} {
		server.AddOrg(name)
	}
	m.ok(logical.PatchOperation, "config", map[string]any{"request_timeout": 3})
	l := m.mint("app")
	server.DeleteToken(l.id)
	var looks atomic.Int32
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet {
			looks.Add(1)
			<-r.Context().Done()
			return
		}
		next.ServeHTTP(w, r)
	})
	require.Error(t, l.revoke(t.Context()))
	server.Intercept(nil)
	require.EqualValues(t, 1, looks.Load())
}

// The clock was behind at the mint: the deadline came out too early, and both clocks say now that it has passed. The lease
// goes by Vault's timer all the same.
func TestTidyLeavesTheTokenOfALeaseThatMayStillRun(t *testing.T) {
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(true))
	server.SetClock(m.clock.now)
	m.write("roles/long", map[string]any{"read_buckets": "metrics", "ttl": "2h", "max_ttl": "2h"})
	l := m.mint("long")
	stamp, _ := readStamp(live(server)[l.id].Description)
	stamp.Deadline = m.clock.now().Add(-time.Hour)
	server.SetTokenDescription(l.id, stamp.String())
	m.tidies()
	require.Contains(t, live(server), l.id)
	m.clock.advance(2*time.Hour + time.Second)
	m.tidies()
	require.NotContains(t, live(server), l.id)
}
