package influx3test_test

import (
	"context"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

const (
	adminPath  = "/api/v3/configure/token/admin"
	namedPath  = "/api/v3/configure/token/named_admin"
	scopedPath = "/api/v3/enterprise/configure/token"
	tokenPath  = "/api/v3/configure/token"
	queryPath  = "/api/v3/query_sql"
)

// ask sends a request with the operator token and returns the answer, read whole. An error is a connection that was cut.
func ask(ctx context.Context, srv *influx3test.Server, method, path, body string) (int, string, error) {
	return askAs(ctx, srv.URL, srv.RootToken(), method, path, body)
}

func askAs(ctx context.Context, base, token, method, path, body string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, method, base+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Close = true // so that nothing is sent twice
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

// expect asks and requires a status.
func expect(t *testing.T, srv *influx3test.Server, status int, method, path, body string) string {
	t.Helper()
	got, text, err := ask(t.Context(), srv, method, path, body)
	require.NoError(t, err)
	require.Equal(t, status, got, text)
	return text
}

// cut asks and requires that the connection is cut without an answer.
func cut(t *testing.T, srv *influx3test.Server, method, path, body string) {
	t.Helper()
	_, _, err := ask(t.Context(), srv, method, path, body)
	require.Error(t, err)
}

func named(name string) string { return `{"token_name":"` + name + `","expiry_secs":60}` }

func deletion(name string) string { return tokenPath + "?token_name=" + url.QueryEscape(name) }

// listed is the names that a node answers to a token.
func listed(t *testing.T, base, token string) []string {
	t.Helper()
	status, text, err := askAs(t.Context(), base, token, "POST", queryPath,
		`{"db":"_internal","q":"SELECT name FROM system.tokens WHERE name LIKE $p","params":{"p":"%"},"format":"json"}`)
	require.NoError(t, err)
	require.Equal(t, 200, status, text)
	var rows []struct{ Name string }
	require.NoError(t, json.Unmarshal([]byte(text), &rows))
	names := []string{}
	for _, row := range rows {
		names = append(names, row.Name)
	}
	return names
}

func ping(t *testing.T, base, token string) int {
	t.Helper()
	status, _, err := askAs(t.Context(), base, token, "GET", "/ping", "")
	require.NoError(t, err)
	return status
}

func TestNewServer(t *testing.T) {
	srv := influx3test.New(t)
	require.Regexp(t, `^apiv3_[A-Za-z0-9_-]{86}$`, srv.RootToken())
	require.Equal(t, []string{srv.RootToken()}, srv.IssuedTokens())
	require.Equal(t, []string{"_admin"}, srv.TokenNames())
	root := srv.Tokens()[0]
	require.Equal(t, srv.RootToken(), root.Value)
	require.Zero(t, root.ID)
	require.Zero(t, root.Expiry)
	require.Nil(t, root.Permissions)
}

func TestFresh(t *testing.T) {
	srv := influx3test.New(t, influx3test.Fresh())
	require.Empty(t, srv.RootToken())
	require.Empty(t, srv.Tokens())
	require.Equal(t, 401, ping(t, srv.URL, "apiv3_x"))

	var made struct{ Name, Token, Hash string }
	require.NoError(t, json.Unmarshal([]byte(expect(t, srv, 201, "POST", adminPath, "")), &made))
	sum := sha512.Sum512([]byte(made.Token))
	require.Equal(t, hex.EncodeToString(sum[:]), made.Hash)
	require.Equal(t, "_admin", made.Name)
	require.Equal(t, made.Token, srv.RootToken())
	require.Equal(t, 200, ping(t, srv.URL, made.Token))
	expect(t, srv, 409, "POST", adminPath, "")
}

func TestWithoutAuth(t *testing.T) {
	srv := influx3test.New(t, influx3test.WithoutAuth())
	require.Equal(t, 200, ping(t, srv.URL, "whatever"))
	for _, path := range []string{adminPath, namedPath, deletion("x")} {
		require.Equal(t, "endpoint disabled, started without auth", expect(t, srv, 405, "POST", path, ""))
	}
	require.Empty(t, listed(t, srv.URL, "whatever"))
	require.Equal(t, 400, ping(t, srv.URL, "two words"))
	expect(t, srv, 500, "POST", queryPath,
		`{"db":"_internal","q":"SELECT hash FROM system.tokens WHERE name = $p","params":{"p":"x"},"format":"json"}`)
}

func TestVersion(t *testing.T) {
	for version, named := range map[string]bool{"3.6.2": false, "3.7.0": true, "3.11.3": true, "4.0.0": true} {
		srv := influx3test.New(t, influx3test.Version(version))
		request, err := http.NewRequestWithContext(t.Context(), "GET", srv.URL+"/ping", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Token "+srv.RootToken())
		answer, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, version, answer.Header.Get("X-Influxdb-Version"))
		require.Equal(t, named, answer.Header.Get("Cluster-Uuid") == srv.ClusterID())
	}
}

func TestTLS(t *testing.T) {
	srv := influx3test.New(t, influx3test.Enterprise(), influx3test.TLS(&tls.Config{MinVersion: tls.VersionTLS13}))
	require.True(t, strings.HasPrefix(srv.URL, "https://"))
	_, _, err := ask(t.Context(), srv, "GET", "/ping", "")
	require.ErrorContains(t, err, "certificate")

	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	for _, base := range []string{srv.URL, srv.Node2()} {
		answer, err := client.Get(base + "/ping")
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	}
}

func TestRequestsAreNoted(t *testing.T) {
	srv := influx3test.New(t)
	expect(t, srv, 404, "DELETE", deletion("x"), "")
	require.Equal(t, 401, ping(t, srv.URL, "unknown"))
	require.Equal(t, []influx3test.Request{
		{Method: "DELETE", Path: tokenPath, Query: "token_name=x"}, {Method: "GET", Path: "/ping"},
	}, srv.Requests())
	srv.ResetRequests()
	require.Empty(t, srv.Requests())
}

// Time stands still but for the test: a token works until the millisecond before its expiry, in the server's time.
func TestClock(t *testing.T) {
	srv := influx3test.New(t)
	now := time.Date(2026, 11, 28, 19, 0, 0, 123_456_789, time.UTC)
	srv.SetClock(func() time.Time { return now })
	text := expect(t, srv, 201, "POST", namedPath, named("x"))
	require.Contains(t, text, `"created_at":"2026-11-28T19:00:00.123Z"`)
	require.Contains(t, text, `"expiry":"2026-11-28T19:01:00.123Z"`)
	token := srv.Tokens()[1].Value

	expiry := now.Truncate(time.Millisecond).Add(time.Minute)
	require.True(t, expiry.Equal(srv.Tokens()[1].Expiry))
	now = expiry.Add(-1)
	require.Equal(t, 200, ping(t, srv.URL, token))
	now = expiry
	require.Equal(t, 401, ping(t, srv.URL, token))
	expect(t, srv, 409, "POST", namedPath, named("x"))
	require.Equal(t, []string{"_admin", "x"}, listed(t, srv.URL, srv.RootToken()))

	now = now.Truncate(time.Second)
	text = expect(t, srv, 201, "POST", namedPath, named("y"))
	require.Contains(t, text, `"created_at":"2026-11-28T19:01:00Z"`, "a whole second has no fraction")
}

func TestFixtures(t *testing.T) {
	srv := influx3test.New(t)
	admin, dead := srv.AddToken("a"), srv.AddExpiringToken("b", 0)
	require.Equal(t, 200, ping(t, srv.URL, admin))
	require.Equal(t, 401, ping(t, srv.URL, dead))
	require.Equal(t, []string{srv.RootToken(), admin, dead}, srv.IssuedTokens())

	restore := srv.Backup()
	srv.DeleteToken("a")
	require.Equal(t, 401, ping(t, srv.URL, admin))
	require.Equal(t, []string{"_admin", "b"}, srv.TokenNames())
	old := srv.RootToken()
	srv.RegenerateRoot()
	require.NotEqual(t, old, srv.RootToken())
	require.Equal(t, 401, ping(t, srv.URL, old))
	require.Equal(t, 200, ping(t, srv.URL, srv.RootToken()))

	restore()
	require.Equal(t, old, srv.RootToken())
	require.Equal(t, 200, ping(t, srv.URL, old))
	require.Equal(t, 200, ping(t, srv.URL, admin))
}

func TestQueriesThatAreNotKnown(t *testing.T) {
	srv := influx3test.New(t)
	for _, query := range []string{
		"SELECT * FROM system.tokens",
		"SELECT name FROM system.tokens WHERE name = 'x'", "SELECT name FROM system.tokens WHERE name = $q",
	} {
		expect(t, srv, 400, "POST", queryPath, `{"db":"_internal","q":"`+query+`","params":{"p":"x"},"format":"json"}`)
	}
}
