package backend

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

// unanswered3 are the ways in which a mint on InfluxDB 3 gets no answer.
var unanswered3 = map[string]func(*influx3test.Server){
	"refused":   func(s *influx3test.Server) { s.Refuse(http.MethodPost, "/api/v3/") },
	"lost":      func(s *influx3test.Server) { s.LoseAnswer(http.MethodPost, "/api/v3/") },
	"half done": func(s *influx3test.Server) { s.HalfDone(http.MethodPost) },
}

func TestAnUnansweredMintIsReconciledOnInfluxDB3(t *testing.T) {
	for name, fault := range unanswered3 {
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

// asked are a fake InfluxDB 3's requests since the last call, and the body of the first one that makes a token.
func asked(t *testing.T, server *influx3test.Server) (calls []string, made newToken3) {
	t.Helper()
	for _, r := range server.Requests() {
		calls = append(calls, strings.TrimSuffix(r.Method+" "+r.Path+"?"+r.Query, "?"))
		if r.Path == namedAdmin3 && made.Name == "" {
			require.NoError(t, json.Unmarshal([]byte(r.Body), &made))
		}
	}
	server.ResetRequests()
	return calls, made
}

// newToken3 is what InfluxDB 3 is asked for.
type newToken3 struct {
	Name   string `json:"token_name"`
	Expiry int    `json:"expiry_secs"`
}

const (
	namedAdmin3 = "/api/v3/configure/token/named_admin"
	query3      = "POST /api/v3/query_sql"
)

func deletion3(name string) string {
	return "DELETE /api/v3/configure/token?" + url.Values{"token_name": {name}}.Encode()
}

// Whatever became of the first call, the second one makes or meets its token, so that there is one to delete. No list is
// asked for.
func TestASettlementOnInfluxDB3IsOneCreationAndOneDeletion(t *testing.T) {
	for name, fault := range unanswered3 {
		t.Run(name, func(t *testing.T) {
			everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
				m.write("config", map[string]any{"tidy_interval": 0}) // what it asks for is another matter
				require.NoError(t, m.tick())
				asked(t, server)
				fault(server)
				m.refused(logical.ReadOperation, "creds/app", nil)
				server.Intercept(nil)
				calls, first := asked(t, server)
				require.Equal(t, []string{"POST " + namedAdmin3}, calls)
				require.Greater(t, first.Expiry, 3600)
				m.clock.advance(time.Minute)
				require.NoError(t, m.tick())
				calls, _ = asked(t, server)
				require.Empty(t, calls, "it may still be on its way")
				m.clock.advance(time.Minute + time.Second)
				require.NoError(t, m.tick())
				calls, again := asked(t, server)
				require.Equal(t, newToken3{first.Name, 60}, again)
				require.Equal(t, []string{"POST " + namedAdmin3, deletion3(first.Name), "GET /ping"}, calls)
				m.clock.advance(time.Minute)
				require.NoError(t, m.tick())
				calls, _ = asked(t, server)
				require.Empty(t, calls, "it is settled")
			})
		})
	}
}

func TestTidyOnInfluxDB3AsksOneQuery(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		m.write("config", map[string]any{"tidy_interval": 0})
		m.write("static-roles/graf", map[string]any{"token_type": "admin", "allow_privileged": true})
		ended := m.mint("app")
		m.clock.advance(time.Hour)
		m.mint("app")
		m.clock.advance(10 * time.Minute)
		asked(t, server)
		m.tidyUp3()
		calls, _ := asked(t, server)
		require.Equal(t, []string{query3, "GET /ping", deletion3(ended.id)}, calls)
	})
}

// A deletion that is cut off leaves a token that works, until the next one is answered that there is none.
func TestAHalfDoneDeletionIsFinishedOnInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		l := m.mint("app")
		server.HalfDone(http.MethodDelete)
		require.Error(t, l.revoke(t.Context()))
		require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
		require.Equal(t, 200, status3(t, server, l.data["token"].(string)))
		m.clock.advance(2 * time.Minute)
		server.ResetRequests()
		require.NoError(t, m.tick())
		calls, _ := asked(t, server)
		require.Contains(t, calls, deletion3(l.id))
		require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
		require.Equal(t, 401, status3(t, server, l.data["token"].(string)))
		require.NoError(t, l.revoke(t.Context()))
		server.Restart()
		require.Empty(t, tokensOf3(server))
	})
}

// behindABalancer is a mount whose address leads to one of two nodes of an Enterprise, of which each is 10 seconds behind the other.
func behindABalancer(t *testing.T) (*testMount, *influx3test.Server, *switched) {
	t.Helper()
	m, server := newMount(t), influx3test.New(t, influx3test.Enterprise(), influx3test.Lag(10*time.Second))
	server.SetClock(m.clock.now)
	address := newSwitch(t, server.URL, server.Node2())
	m.write("config", map[string]any{"url": address.URL, "token": server.RootToken(), "tidy_interval": 0})
	m.write("roles/app", map[string]any{"token_type": "admin", "allow_privileged": true, "ttl": "5m", "max_ttl": "1h"})
	m.clock.freeze()
	return m, server, address
}

// A node that does not know of a token yet answers that there is none, which proves nothing.
func TestATokenIsRevokedOnAnotherNodeOfInfluxDB3(t *testing.T) {
	m, server, address := behindABalancer(t)
	l := m.mint("app")
	address.second.Store(true)
	require.ErrorContains(t, l.revoke(t.Context()), "may not know of the token yet")
	require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
	require.NoError(t, m.tick())
	require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
	require.Equal(t, 200, status3(t, server, l.data["token"].(string)))
	m.clock.advance(time.Minute)
	require.NoError(t, m.tick())
	require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
	require.Empty(t, tokensOf3(server))
	require.Equal(t, 200, status3(t, server, l.data["token"].(string)), "the first node is behind, as docs/influxdb3.md says")
	m.clock.advance(10 * time.Second)
	require.Equal(t, 401, status3(t, server, l.data["token"].(string)))
}

// A node that does not know of the token that another one has made meets it when it is to make it again.
func TestAnUnansweredMintIsSettledOnAnotherNodeOfInfluxDB3(t *testing.T) {
	for name, fault := range unanswered3 {
		t.Run(name, func(t *testing.T) {
			m, server, address := behindABalancer(t)
			fault(server)
			m.refused(logical.ReadOperation, "creds/app", nil)
			server.Intercept(nil)
			address.second.Store(true)
			m.clock.advance(2*time.Minute + time.Second)
			require.NoError(t, m.tick())
			require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
			server.Restart()
			require.Empty(t, tokensOf3(server))
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

// What does not name itself confirms no deletion: it makes no token either, though nobody has tried the connection.
func TestAnInfluxDB3WithoutANameMakesNoToken(t *testing.T) {
	m, old := newMount(t), influx3test.New(t, influx3test.Version("3.6.0"))
	old.SetClock(m.clock.now)
	m.write("config", map[string]any{"url": old.URL, "token": old.RootToken(), "product": "core", "verify_connection": false})
	role := map[string]any{"token_type": "admin", "allow_privileged": true, "verify": false}
	m.write("roles/app", role)
	for _, text := range []string{
		m.rejected(logical.ReadOperation, "creds/app", nil),
		m.rejected(logical.UpdateOperation, "static-roles/app", role),
		m.rejected(logical.UpdateOperation, "roles/tried", map[string]any{"token_type": "admin", "allow_privileged": true}),
	} {
		require.Contains(t, text, "it takes 3.7 or later")
	}
	require.Len(t, old.IssuedTokens(), 1, "the operator's")
	require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
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
		proxies[isSecond].ErrorLog = log.New(io.Discard, "", 0) // a call that InfluxDB cuts off is no news
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
