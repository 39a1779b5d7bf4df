package backend

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

func TestAnUnansweredMintIsReconciledOnInfluxDB3(t *testing.T) {
	for name, fault := range map[string]func(*influx3test.Server){
		"refused":   func(s *influx3test.Server) { s.Refuse(http.MethodPost, "/api/v3/") },
		"lost":      func(s *influx3test.Server) { s.LoseAnswer(http.MethodPost, "/api/v3/") },
		"half done": func(s *influx3test.Server) { s.HalfDone(http.MethodPost) },
	} {
		t.Run(name, func(t *testing.T) {
			everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
				fault(server)
				status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
				require.Equal(t, 502, status)
				server.Intercept(nil)
				require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
				m.clock.advance(time.Minute)
				_ = m.tick() // it says that something is pending
				require.EqualValues(t, 1, m.read("check").Data["pending_deletions"], "it may still be on its way")
				m.clock.advance(time.Minute + time.Second)
				_ = m.tick() // it says that something is pending
				require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
				server.Restart()
				require.Empty(t, tokensOf3(server))
			})
		})
	}
}

func TestInfluxDB3ThatChangesNothingMustBeRestarted(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		l := m.mint("app")
		server.Wedge()
		status, text := m.refused(logical.ReadOperation, "creds/app", nil)
		require.Equal(t, 502, status)
		require.Contains(t, text, "restart it")
		require.ErrorContains(t, l.revoke(t.Context()), "restart it")
		m.clock.advance(2*time.Minute + time.Second)
		_ = m.tick() // it says that something is pending
		require.Equal(t, []string{l.id}, tokensOf3(server))
		server.Restart()
		require.NoError(t, m.tick())
		require.Empty(t, tokensOf3(server))
		require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
	})
}

func TestADeletionOutlivesItsCallerOnInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		l := m.mint("app")
		release := server.Stall(http.MethodDelete, "/api/v3/")
		ctx, cancel := context.WithCancel(t.Context())
		server.ResetRequests()
		revoked := make(chan error, 1)
		go func() { revoked <- l.revoke(ctx) }()
		require.Eventually(t, func() bool { return len(server.Requests()) > 0 }, time.Minute, time.Millisecond)
		cancel()
		require.Never(t, func() bool { return len(revoked) > 0 }, 50*time.Millisecond, time.Millisecond)
		release()
		require.NoError(t, <-revoked)
		require.Empty(t, tokensOf3(server))
	})
}

func TestInfluxDB3BehindAProxyOfGo(t *testing.T) {
	server := influx3test.New(t, influx3test.Fresh())
	target, err := url.Parse(server.URL)
	require.NoError(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	t.Cleanup(proxy.Close)
	m := newMount(t)
	server.SetClock(m.clock.now)
	require.Equal(t, "core", m.write("config/setup", map[string]any{"url": proxy.URL}).Data["product"])
	_, text := m.refused(logical.UpdateOperation, "config", map[string]any{"token": "apiv3_wrong"})
	require.Contains(t, text, "does not know it (401)")
}

func TestAnInfluxDB3WithoutAuthentication(t *testing.T) {
	server := influx3test.New(t, influx3test.WithoutAuth())
	m := newMount(t)
	server.SetClock(m.clock.now)
	status, text := m.refused(logical.UpdateOperation, "config", map[string]any{"url": server.URL, "token": "apiv3_any"})
	require.Equal(t, 400, status)
	require.Contains(t, text, "is the server started with --without-auth?")
}

func TestInfluxDB3WhereInfluxDB2Was(t *testing.T) {
	m := newMount(t)
	v2 := m.connected()
	l := m.mint("app")
	v3 := influx3test.New(t)
	v3.SetClock(m.clock.now)
	address := newSwitch(t, v2.URL, v3.URL)
	m.write("config", map[string]any{"url": address.URL, "token": v2.RootToken()})
	address.second.Store(true)
	_, text := m.refused(logical.UpdateOperation, "config", map[string]any{"token": v3.RootToken(), "org": ""})
	require.Contains(t, text, "url: this is another InfluxDB than")
	require.Error(t, l.revoke(t.Context()))
	require.Len(t, live(v2), 1)
	address.second.Store(false)
	require.NoError(t, m.tick())
	require.Empty(t, live(v2), "it was pending")
}

type switched struct {
	URL    string
	second atomic.Bool
}

func newSwitch(t *testing.T, first, second string) *switched {
	t.Helper()
	var s switched
	proxies := map[bool]*httputil.ReverseProxy{}
	for isSecond, address := range map[bool]string{false: first, true: second} {
		to, err := url.Parse(address)
		require.NoError(t, err)
		proxies[isSecond] = httputil.NewSingleHostReverseProxy(to)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { proxies[s.second.Load()].ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return &s
}

func TestASetupOfInfluxDB3GoesOnWithoutItsCaller(t *testing.T) {
	for range 5 { // which of two things that are ready is taken is by chance
		m := newMount(t)
		server := influx3test.New(t, influx3test.Fresh())
		server.SetClock(m.clock.now)
		ctx, hangUp := context.WithCancel(t.Context())
		server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			if r.Method == http.MethodPost {
				hangUp()
			}
		})
		_, _ = m.send(ctx, &logical.Request{Operation: logical.UpdateOperation, Path: "config/setup", Data: map[string]any{"url": server.URL}})
		require.Contains(t, m.read("config").Data["authorization_id"], ":root:-root:")
	}
}
