package backend

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// proxied is the same InfluxDB under another address, below a base path.
func proxied(t testing.TB, server *influxtest.Server) string {
	t.Helper()
	target, err := url.Parse(server.URL)
	require.NoError(t, err)
	proxy := httptest.NewServer(http.StripPrefix("/influx", httputil.NewSingleHostReverseProxy(target)))
	t.Cleanup(proxy.Close)
	return proxy.URL + "/influx/"
}

func TestTheSameInfluxDBKeepsItsID(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id, l := m.stored().ID, m.mint("app")
	m.write("config", map[string]any{"url": proxied(t, server), "token": server.RootToken()})
	require.Equal(t, id, m.stored().ID)
	require.NotEqual(t, server.URL, m.stored().URL)
	require.Empty(t, m.keys("connection/"))

	_, token := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	m.write("config", map[string]any{"token": token})
	require.Equal(t, id, m.stored().ID, "a new root token")
	server.AddOrg("globex")
	m.write("config", map[string]any{"org": "globex"})
	require.Equal(t, id, m.stored().ID, "another organization of it")
	tidyUp(t, server, l)
}

// InfluxDB lists a hundred organizations; the default one may be another.
func TestTheSameInfluxDBIsKnownByItsDefaultOrganization(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	org := ""
	for i := range 120 { // listed in the order of their IDs
		org = max(org, server.AddOrg(fmt.Sprintf("org-%03d", i)))
	}
	m.write("config", map[string]any{"org": "", "org_id": org})
	m.write("roles/app", map[string]any{"read_buckets": "_monitoring"})
	id, l := m.stored().ID, m.mint("app")
	_, token := server.AddToken(org, server.UserID(), minting(org, server.UserID())...)
	m.write("config", map[string]any{"token": token})
	require.Equal(t, id, m.stored().ID)
	tidyUp(t, server, l)
}

// An address that was never tried says by itself whether it is the same.
func TestTheSameAddressKeepsItsID(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	untried := map[string]any{"verify_connection": false}
	m.configure(server, untried)
	id := m.stored().ID
	m.configure(server, untried, map[string]any{"url": server.URL + "/"})
	require.Equal(t, id, m.stored().ID)
	m.configure(server)
	require.Equal(t, id, m.stored().ID, "and was seen now")
	m.configure(server, untried, map[string]any{"url": "http://127.0.0.1:1"})
	require.NotEqual(t, id, m.stored().ID)
	require.Equal(t, []string{"connection/" + id}, m.keys("connection/"))
}

func TestAnotherInfluxDBWhileTokensLive(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	id := m.stored().ID
	l := m.mint("app")
	text := m.rejected(logical.UpdateOperation, "config", connectionTo(other))
	require.Equal(t, fmt.Sprintf("url: this is another InfluxDB than %s, where 1 tokens of this mount still live: %s (role app); the stored configuration is unchanged. "+
		"End them first (vault lease revoke -prefix influxdb/creds/, vault delete influxdb/static-roles/<name>), or give them up with abandon_previous=true", server.URL, l.id), text)
	require.Empty(t, live(other), "nor is the token left that tried it")
	require.Len(t, live(server), 1)

	for range 24 {
		m.mint("app")
	}
	text = m.rejected(logical.UpdateOperation, "config", connectionTo(other))
	require.Contains(t, text, "where 25 tokens of this mount still live: ")
	require.Contains(t, text, " and 5 more; ")
	require.Equal(t, 20, strings.Count(text, "(role app)"))

	for id := range live(server) {
		l.secret.InternalData["authorization_id"] = id
		require.NoError(t, l.revoke(t.Context()))
	}
	require.Empty(t, warned(m.write("config", connectionTo(other))))
	require.NotEqual(t, id, m.stored().ID)
	require.Equal(t, []string{"connection/" + id}, m.keys("connection/"))
	require.NoError(t, l.revoke(t.Context()), "its own server is asked, and says that it is gone")
	tidyUp(t, other, m.mint("app"))
}

func TestAnotherInfluxDBWhileDeletionsArePending(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	l := m.mint("app")
	server.Fail("DELETE", "/api/v2/authorizations/"+l.id, 503, "", "")
	require.Error(t, l.revoke(t.Context()))
	require.Equal(t, []string{l.id}, m.pendingIDs())
	for range 2 {
		require.Contains(t, m.rejected(logical.UpdateOperation, "config", connectionTo(other)),
			"where 1 deletions are pending; the stored configuration is unchanged")
		m.reload() // the list in memory is gone, the one in storage is not
	}
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	m.write("config", connectionTo(other))
	require.Equal(t, other.URL, m.stored().URL)
	tidyUp(t, server)
}

// InfluxDB answers a token that may not list with 200 and nothing in it: that is no proof that nothing lives.
func TestAnotherInfluxDBWhenTheOldRootCanNotTell(t *testing.T) {
	m := newMount(t)
	server, other := influxtest.New(t), influxtest.New(t)
	_, token := server.AddToken(server.OrgID(), server.UserID(), append(influxtest.MintingPermissions(server.OrgID(), server.UserID()),
		influxtest.InOrg("read", "buckets", server.OrgID()))...)
	m.configure(server, map[string]any{"token": token, "org": "", "org_id": server.OrgID()})
	text := m.rejected(logical.UpdateOperation, "config", connectionTo(other, map[string]any{"org_id": ""}))
	require.Contains(t, text, "where tokens may still live: the old root token can't tell (the root token is not shown the list of tokens: it lacks read:orgs/"+server.OrgID()+"/authorizations or read:users/"+server.UserID()+"; see docs/root-token.md)")

	for name, fault := range map[string]func(){
		"is down":        func() { server.Refuse("", "/") },
		"can't list":     func() { server.Fail("GET", "/api/v2/authorizations", 500, "", "") },
		"can't delete":   func() { server.Fail("DELETE", "/api/v2/authorizations", 500, "", "") },
		"cuts it short":  func() { server.Fail("GET", authorizations, 200, "application/json", `{"authorizations":[`) },
		"answers a page": func() { server.Fail("", "/", 404, "text/html", "gone") },
	} {
		m.configure(server, map[string]any{"org_id": ""})
		fault()
		require.Contains(t, m.rejected(logical.UpdateOperation, "config", connectionTo(other)), "tokens may still live: the old root token can't tell (", name)
		server.Intercept(nil)
	}
	for id := range live(server) { // the token that tried, where its deletion failed
		require.Contains(t, live(server)[id].Description, ":"+probeRole+":")
	}
	m.write("config", connectionTo(other))
}

// Neither can it tell where an untried connection names what is not there.
func TestAnotherInfluxDBWhenTheOldOneWasNeverTried(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server, other := influxtest.New(t), influxtest.New(t)
	for field, says := range map[string]string{"org": `org: no organization "nonsense"`, "user": `user: no user "nonsense"`} {
		m.configure(server, map[string]any{"verify_connection": false, "user": ""}, map[string]any{field: "nonsense"})
		require.Contains(t, m.rejected(logical.UpdateOperation, "config", connectionTo(other, map[string]any{"user": ""})),
			"where tokens may still live: the old root token can't tell ("+says)
	}
	m.write("config", connectionTo(other, map[string]any{"user": "", "abandon_previous": true}))
	require.Equal(t, other.URL, m.stored().URL)
}

// failSecond fails the second of these requests.
// A token that the list does not show counts as long as its deadline is to come.
func TestAnotherInfluxDBWhileAHiddenTokenLives(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	vault := server.AddUser("vault")
	_, token := server.AddToken(server.OrgID(), server.UserID(), minting(server.OrgID(), server.UserID(),
		influxtest.ByID("write", "users", vault), influxtest.InOrg("read", "buckets", server.OrgID()))...)
	m.configure(server, map[string]any{"token": token})
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "user_id": vault, "max_ttl": "1h"})
	l := m.mint("app")
	require.Contains(t, m.rejected(logical.UpdateOperation, "config", connectionTo(other)), "where 1 tokens may still live; ")
	m.clock.advance(time.Hour + deadlineGrace + time.Second)
	m.write("config", connectionTo(other))
	tidyUp(t, server, l)
}

func TestAbandonPrevious(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	old := m.stored()
	l, dead := m.mint("app"), m.mint("app")
	server.Fail("DELETE", "/api/v2/authorizations/"+dead.id, 503, "", "")
	warning := warned(m.write("config", connectionTo(other, map[string]any{"abandon_previous": true})))
	require.True(t, strings.HasPrefix(warning, "abandon_previous: 2 tokens of this mount still live: "), warning)
	require.Contains(t, warning, l.id+" (role app)")
	require.True(t, strings.HasSuffix(warning, " at "+server.URL+"; what can't be revoked there lives on until you delete it"), warning)
	require.NotContains(t, m.read("config").Data, "abandon_previous")

	require.NoError(t, l.revoke(t.Context()))
	require.NotContains(t, live(server), l.id, "it was revoked where it lives")
	require.NoError(t, dead.revoke(t.Context()), "nobody waits for a server that was given up")
	require.Empty(t, m.pendingIDs())
	require.Contains(t, m.log.String(), "a token of an abandoned connection could not be deleted; delete it in that InfluxDB")
	require.Contains(t, live(server), dead.id)
	require.Empty(t, live(other), "the other server was not asked to revoke")
	m.silent(append(server.IssuedTokens(), old.Token), warning)
	tidyUp(t, other, m.mint("app"))
}

func TestAbandonPreviousWhoseServerIsDead(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	pending, l := m.mint("app"), m.mint("app")
	server.Refuse("", "/")
	require.Error(t, pending.revoke(t.Context()))
	require.Contains(t, m.rejected(logical.UpdateOperation, "config", connectionTo(other)), "1 deletions are pending")
	warning := warned(m.write("config", connectionTo(other, map[string]any{"abandon_previous": true})))
	require.Contains(t, warning, "abandon_previous: 1 deletions are pending at "+server.URL)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs(), "given up as well")
	require.NoError(t, l.revoke(context.Background()))
}
