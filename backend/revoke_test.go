package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

const authorizations = "/api/v2/authorizations"

// Only InfluxDB's own word that a token is gone ends a lease. Everything else keeps it, and is written down.
func TestRevokeBelievesNothingButInfluxDB(t *testing.T) {
	t.Parallel()
	envelope := func(code, message string) string { return `{"code":"` + code + `","message":"` + message + `"}` }
	const plain = "application/json"
	for name, c := range map[string]struct {
		status     int
		kind, body string
		gone       bool
	}{
		"gone":                    {404, plain, envelope("not found", "authorization not found"), true},
		"404 by a proxy":          {404, "text/html", "<html>not found</html>", false},
		"404 of a wrong path":     {404, plain, envelope("not found", "path not found"), false},
		"404 of a deleted owner":  {404, plain, envelope("not found", "user not found"), false},
		"404 with a foreign code": {404, plain, envelope("missing", "authorization not found"), false},
		"404 without a message":   {404, plain, `{"code":"not found"}`, false},
		"200 by a web page":       {200, "text/html", "<html>welcome</html>", false},
		"401":                     {401, plain, envelope("unauthorized", "unauthorized access"), false},
		"401 lacking a right":     {401, plain, envelope("unauthorized", "write:users/1 is unauthorized"), false},
		"403":                     {403, plain, envelope("forbidden", "User is inactive"), false},
		"405":                     {405, "", "", false},
		"429":                     {429, plain, envelope("too many requests", "slow down"), false},
		"500":                     {500, plain, envelope("internal error", "authorization not found"), false},
		"503":                     {503, "text/plain", "down", false},
		"302":                     {302, "", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			l := m.mint("app")
			server.Fail(http.MethodDelete, authorizations, c.status, c.kind, c.body)
			err := l.revoke(t.Context())
			if c.gone {
				require.NoError(t, err)
				require.Empty(t, m.pendingIDs())
				return
			}
			require.ErrorContains(t, err, "authorization "+l.id+" is not deleted yet")
			require.Equal(t, []string{l.id}, m.pendingIDs())

			_, err = l.renew()
			require.ErrorContains(t, err, "can't be renewed")

			server.Intercept(nil)
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs())
			require.Empty(t, live(server))
			require.NoError(t, l.revoke(t.Context()), "Vault asks again")
		})
	}
}

func TestRevokeNeedsNothingButTheLease(t *testing.T) {
	for name, spoil := range map[string]func(*testMount, *influxtest.Server, *leased){
		"the token is gone":         func(_ *testMount, s *influxtest.Server, l *leased) { deleteToken(t, s, l.id) },
		"the role is gone":          func(m *testMount, _ *influxtest.Server, _ *leased) { m.ok(logical.DeleteOperation, "roles/app", nil) },
		"the bucket is gone":        func(_ *testMount, s *influxtest.Server, _ *leased) { s.DeleteBucket(s.BucketID()) },
		"the config is gone":        func(m *testMount, _ *influxtest.Server, _ *leased) { m.ok(logical.DeleteOperation, "config", nil) },
		"everything restarted":      func(m *testMount, _ *influxtest.Server, _ *leased) { m.reload() },
		"the answer's data is gone": func(_ *testMount, _ *influxtest.Server, l *leased) { l.data = nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			l := m.mint("app")
			spoil(m, server, l)
			require.NoError(t, l.revoke(t.Context()))
			require.Empty(t, live(server))
		})
	}
}

func TestRevokeOfAnOrphanedToken(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	org, user := server.AddOrg("beta"), server.AddUser("telegraf")
	m.write("roles/beta", map[string]any{"org": "beta", "user": "telegraf", "read_resources": "buckets"})
	ofOrg, ofUser := m.mint("beta"), m.mint("beta")
	server.DeleteOrg(org)
	require.NoError(t, ofOrg.revoke(t.Context()))
	server.DeleteUser(user)
	require.NoError(t, ofUser.revoke(t.Context()))
	require.Empty(t, live(server))
}

func TestRevokeReadsTheConfigurationAgainWhenTheRootTokenIsUnknown(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	_, other := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Header.Get("Authorization") != "Token "+other {
			m.storedToken(other)
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"unauthorized","message":"unauthorized access"}`))
			return
		}
		next.ServeHTTP(w, r)
	})
	require.NoError(t, l.revoke(t.Context()))
	require.Empty(t, live(server))
}

func TestRevokeOfAForeignLeaseIsAnError(t *testing.T) {
	m := newMount(t)
	m.connected()
	for _, key := range []string{"authorization_id", "connection", "role", "deadline"} {
		l := m.mint("app")
		delete(l.secret.InternalData, key)
		require.ErrorContains(t, l.revoke(t.Context()), key)
		_, err := l.renew()
		require.ErrorContains(t, err, key)
	}
	l := m.mint("app")
	l.secret.InternalData["deadline"] = "soon"
	require.ErrorContains(t, l.revoke(t.Context()), "deadline")
	l = m.mint("app")
	l.secret.InternalData["connection"] = "another"
	require.ErrorContains(t, l.revoke(t.Context()), "not in storage any more")
}

// A revocation that can be neither done nor written down is an error all the same, and says both.
func TestRevokeSaysWhenItCouldNotBeWrittenDown(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	m.storage.failOn("put", "pending/")
	err := l.revoke(t.Context())
	require.ErrorContains(t, err, "not deleted yet")
	require.ErrorContains(t, err, "could not be written down")
}

// The caller of a revocation may have gone; the failed deletion is written down all the same.
func TestRevokeIsWrittenDownForACallerThatWentAway(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	ctx, cancel := context.WithCancel(t.Context())
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		cancel()
		faulttest.Refused(w, r, next)
	})
	require.Error(t, l.revoke(ctx))
	// The plugin may still be at it when Vault has turned away.
	require.Eventually(t, func() bool { return len(m.pendingIDs()) == 1 }, time.Minute, time.Millisecond)
}

func deleteToken(t *testing.T, server *influxtest.Server, id string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, server.URL+authorizations+"/"+id, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Token "+server.RootToken())
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
}
