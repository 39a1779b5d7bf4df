package influx3test_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

func onDatabase(actions []string, names ...string) influx3test.Permission {
	return influx3test.Permission{ResourceType: "db", ResourceNames: names, Actions: actions}
}

func scoped(t *testing.T, name string, permissions ...influx3test.Permission) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"token_name": name, "permissions": permissions, "expiry_secs": 60})
	require.NoError(t, err)
	return string(body)
}

func writes(t *testing.T, srv *influx3test.Server, token, database string) int {
	t.Helper()
	status, _, err := askAs(t.Context(), srv.URL, token, "POST", "/api/v3/write_lp?db="+database, "m v=1")
	require.NoError(t, err)
	return status
}

func TestScopedTokens(t *testing.T) {
	srv := influx3test.New(t, influx3test.Enterprise())
	srv.AddDatabase("a")
	srv.AddDatabase("b")
	permission := onDatabase([]string{"read", "write"}, "a")
	expect(t, srv, 201, "POST", scopedPath, scoped(t, "x", permission))
	require.Equal(t, []influx3test.Permission{permission}, srv.Tokens()[1].Permissions)
	token := srv.Tokens()[1].Value
	everywhere := srv.AddToken("y", onDatabase([]string{"write"}, "*"))
	require.Equal(t, []int{204, 403, 204}, []int{writes(t, srv, token, "a"), writes(t, srv, token, "b"), writes(t, srv, everywhere, "b")})

	srv.RemoveDatabase("a")
	require.Equal(t, 403, writes(t, srv, token, "a"))
	srv.AddDatabase("a")
	require.Equal(t, 403, writes(t, srv, token, "a"), "another database of that name")
	require.Empty(t, srv.Tokens()[1].Permissions[0].ResourceNames)
	require.Equal(t, 204, writes(t, srv, everywhere, "a"))

	require.Equal(t, 403, ping(t, srv.URL, token))
	pinger := srv.AddToken("z", influx3test.Permission{ResourceType: "system", ResourceNames: []string{"ping"}, Actions: []string{"read"}})
	require.Equal(t, 200, ping(t, srv.URL, pinger))
}

func TestPermissionsThatAreRefused(t *testing.T) {
	srv := influx3test.New(t, influx3test.Enterprise())
	require.Equal(t, "the requested resource was not found: a", expect(t, srv, 404, "POST", scopedPath, scoped(t, "x", onDatabase([]string{"read"}, "a"))))
	for _, p := range []influx3test.Permission{
		onDatabase([]string{"own"}, "*"), onDatabase([]string{"read"}, "*", "a"), {ResourceType: "*", ResourceNames: []string{"*"}},
		{ResourceType: "bucket"}, {ResourceType: "system", ResourceNames: []string{"*"}, Actions: []string{"write"}},
	} {
		require.Contains(t, expect(t, srv, 400, "POST", scopedPath, scoped(t, "x", p)), "cannot parse token permission")
	}
	expect(t, srv, 400, "POST", scopedPath, `{"token_name":"x"}`)
	require.Equal(t, []string{"_admin"}, srv.TokenNames())
}

// What one node made or deleted the other learns when the lag is over, or when it writes itself.
func TestLag(t *testing.T) {
	now := time.Now()
	srv := influx3test.New(t, influx3test.Enterprise(), influx3test.Lag(10*time.Second))
	srv.SetClock(func() time.Time { return now })
	other := srv.Node2()
	require.Equal(t, other, srv.Node2())
	require.Equal(t, 200, ping(t, other, srv.RootToken()), "a new node knows what was there")

	expect(t, srv, 201, "POST", namedPath, named("x"))
	token := srv.Tokens()[1].Value
	require.Equal(t, []int{200, 401}, []int{ping(t, srv.URL, token), ping(t, other, token)})
	require.Equal(t, []string{"_admin"}, listed(t, other, srv.RootToken()))
	now = now.Add(10 * time.Second)
	require.Equal(t, 200, ping(t, other, token))

	expect(t, srv, 200, "DELETE", deletion("x"), "")
	require.Equal(t, []int{401, 200}, []int{ping(t, srv.URL, token), ping(t, other, token)})
	status, _, err := askAs(t.Context(), other, srv.RootToken(), "POST", namedPath, named("y"))
	require.NoError(t, err)
	require.Equal(t, 201, status)
	require.Equal(t, 401, ping(t, other, token))
	require.Equal(t, []string{"_admin"}, listed(t, srv.URL, srv.RootToken()))
	srv.Sync()
	require.Equal(t, []string{"_admin", "y"}, listed(t, srv.URL, srv.RootToken()))

	srv.HalfDone("POST")
	cut(t, srv, "POST", namedPath, named("z"))
	require.NotContains(t, listed(t, srv.URL, srv.RootToken()), "z")
	now = now.Add(10 * time.Second)
	require.Contains(t, listed(t, srv.URL, srv.RootToken()), "z")
}

func TestNodesWithoutLag(t *testing.T) {
	srv := influx3test.New(t, influx3test.Enterprise())
	other := srv.Node2()
	expect(t, srv, 201, "POST", namedPath, named("x"))
	require.Equal(t, []string{"_admin", "x"}, listed(t, other, srv.RootToken()))
	srv.HalfDone("POST")
	cut(t, srv, "POST", namedPath, named("y"))
	require.Contains(t, listed(t, other, srv.RootToken()), "y", "the other node knows")
	require.NotContains(t, listed(t, srv.URL, srv.RootToken()), "y")
}
