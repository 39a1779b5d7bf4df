package influxtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestContract(t *testing.T) {
	for name, hashed := range map[string]bool{"hashed": true, "clear": false} {
		t.Run(name, func(t *testing.T) {
			srv := influxtest.New(t, influxtest.HashedTokens(hashed))
			influxtest.Contract(t, influxtest.Target{
				URL: srv.URL, OperatorToken: srv.RootToken(),
				Org: influxtest.OrgName, OrgID: srv.OrgID(), User: influxtest.UserName, UserID: srv.UserID(),
				HashedTokens: hashed, Version: "v2.9.1",
			})
			require.Equal(t, []string{srv.RootID()}, tokenIDs(srv), "the contract cleans up")
		})
	}
}

func TestNewServerIsSetUp(t *testing.T) {
	srv := influxtest.New(t, influxtest.Version("v2.0.9"))
	require.Equal(t, []string{srv.RootToken()}, srv.IssuedTokens())
	root := srv.Tokens()[0]
	require.Equal(t, influxtest.Token{
		ID: srv.RootID(), Token: srv.RootToken(), Description: "admin's Token", Status: "active",
		OrgID: srv.OrgID(), UserID: srv.UserID(), Permissions: influxtest.OperatorPermissions(),
	}, root)
	require.Len(t, root.Permissions, 44)

	answer, body := get(t, srv, "/api/v2/buckets?orgID="+srv.OrgID(), srv.RootToken())
	require.Equal(t, "v2.0.9", answer.Header.Get("X-Influxdb-Version"))
	for _, name := range []string{`"metrics"`, `"_monitoring"`, `"_tasks"`, srv.BucketID()} {
		require.Contains(t, body, name)
	}
}

func TestFixturesChangeWhatTheServerAnswers(t *testing.T) {
	srv := influxtest.New(t)
	org, user := srv.AddOrg("other"), srv.AddUser("robot")
	bucket := srv.AddBucket(org, "logs")
	id, token := srv.AddToken(org, user, influxtest.InOrgByID("read", "buckets", bucket, org))
	path := "/api/v2/buckets/" + bucket
	expect := func(status int, says string) {
		t.Helper()
		answer, body := get(t, srv, path, token)
		require.Equal(t, status, answer.StatusCode, body)
		require.Contains(t, body, says)
	}

	expect(200, `"name": "logs"`)
	srv.RenameBucket(bucket, "events")
	expect(200, `"name": "events"`)
	srv.SetTokenActive(id, false)
	expect(401, "token is inactive")
	srv.SetTokenActive(id, true)
	srv.SetUserActive(user, false)
	expect(403, "User is inactive")
	srv.SetUserActive(user, true)
	srv.DeleteBucket(bucket)
	expect(404, "bucket not found")
	srv.DeleteOrg(org)
	expect(404, "bucket not found")
	srv.DeleteUser(user)
	expect(403, "User is inactive")
	require.Equal(t, []string{srv.RootID(), id}, tokenIDs(srv), "orphans stay")
	require.Equal(t, []string{srv.RootToken(), token}, srv.IssuedTokens())
}

func TestRequestsAreNoted(t *testing.T) {
	srv := influxtest.New(t)
	get(t, srv, "/api/v2/orgs?org=acme", "")
	get(t, srv, "/ping", "")
	require.Equal(t, []influxtest.Request{
		{Method: "GET", Path: "/api/v2/orgs", Query: "org=acme"}, {Method: "GET", Path: "/ping"},
	}, srv.Requests())
	srv.ResetRequests()
	require.Empty(t, srv.Requests())
}

func TestTLS(t *testing.T) {
	srv := influxtest.New(t, influxtest.TLS(&tls.Config{MinVersion: tls.VersionTLS13}))
	require.True(t, strings.HasPrefix(srv.URL, "https://"))
	_, err := http.Get(srv.URL + "/ping")
	require.ErrorContains(t, err, "certificate")

	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	answer, err := client.Get(srv.URL + "/ping")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusNoContent, answer.StatusCode)
}

func get(t *testing.T, srv *influxtest.Server, path, token string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, srv.URL+path, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Token "+token)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, string(body)
}

func tokenIDs(srv *influxtest.Server) []string {
	var ids []string
	for _, token := range srv.Tokens() {
		ids = append(ids, token.ID)
	}
	return ids
}

// Cloud shows a token's value once, and has no ping, no users and no setup; what it has answers as ever.
func TestCloud(t *testing.T) {
	srv := influxtest.New(t, influxtest.Cloud())
	for _, path := range []string{"/ping", "/health", "/ready", "/api/v2/me", "/api/v2/users", "/api/v2/users/" + srv.UserID(), "/api/v2/resources", "/api/v2/setup"} {
		answer, body := get(t, srv, path, srv.RootToken())
		require.Equal(t, http.StatusNotFound, answer.StatusCode, path)
		require.Contains(t, body, "path not found")
	}
	for _, path := range []string{"/api/v2/authorizations", "/api/v2/authorizations/" + srv.RootID()} {
		answer, body := get(t, srv, path, srv.RootToken())
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Contains(t, body, `"token": "redacted"`)
		require.NotContains(t, body, srv.RootToken())
	}
	body := `{"orgID":"` + srv.OrgID() + `","permissions":[{"action":"read","resource":{"type":"flows","orgID":"` + srv.OrgID() + `"}}]}`
	request, err := http.NewRequest(http.MethodPost, srv.URL+"/api/v2/authorizations", strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Token "+srv.RootToken())
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusCreated, answer.StatusCode)
	require.Len(t, srv.IssuedTokens(), 2)
	for _, root := range srv.Tokens()[:1] {
		require.NotContains(t, root.Permissions, influxtest.Everywhere("read", "buckets"), "there is no operator token")
	}
}
