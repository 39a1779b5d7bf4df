package backend

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/testhelpers/schema"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/config"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// examined is an answer of check: it fits its schema, and holds no secret.
type examined struct {
	healthy  bool
	problems []string
	data     map[string]any
}

func (m *testMount) examine(server *influxtest.Server, role string) examined {
	m.t.Helper()
	data := map[string]any{}
	if role != "" {
		data["role"] = role
	}
	resp := m.ok(logical.ReadOperation, "check", data)
	path := m.route("check")
	schema.ValidateResponse(m.t.(*testing.T), schema.GetResponseSchema(m.t.(*testing.T), path, logical.ReadOperation), resp, true)
	encoded, err := json.Marshal(resp.Data)
	require.NoError(m.t, err)
	m.silent(append(server.IssuedTokens(), canary), string(encoded))
	var said struct {
		Healthy  bool     `json:"healthy"`
		Problems []string `json:"problems"`
	}
	require.NoError(m.t, json.Unmarshal(encoded, &said))
	require.NotNil(m.t, said.Problems, "a list also when it is empty")
	require.Equal(m.t, len(said.Problems) == 0, said.Healthy)
	require.Equal(m.t, testUUID, resp.Data["mount_uuid"])
	return examined{said.Healthy, said.Problems, resp.Data}
}

func TestCheckHealthy(t *testing.T) {
	influxtest.NotOnCloud(t, "it does not tell its version")
	m := newMount(t)
	for _, hidden := range []bool{true, false} {
		server := influxtest.New(t, influxtest.HashedTokens(hidden))
		m.configure(server)
		m.write("roles/app", map[string]any{"read_buckets": "metrics"})
		before, writes := m.snapshot(), m.storage.writeCount()
		for _, role := range []string{"", "app"} {
			state := m.examine(server, role)
			require.True(t, state.healthy, state.problems)
			require.Equal(t, hidden, state.data["token_values_hidden"])
			require.Equal(t, []any{"2.9.1", "OSS", ""}, []any{state.data["server_version"], state.data["server_build"], state.data["oldest_pending"]})
			require.EqualValues(t, 0, state.data["pending_deletions"])
			latency, err := strconv.ParseFloat(fmt.Sprint(state.data["latency_ms"]), 64)
			require.NoError(t, err)
			require.GreaterOrEqual(t, latency, 0.0)
			require.Less(t, latency, 1000.0*config.DefaultRequestTimeout)
		}
		require.Equal(t, before, m.snapshot())
		require.Equal(t, writes, m.storage.writeCount(), "a look writes nothing")
		require.Empty(t, live(server), "its probes are gone")
	}
}

func TestCheckNotConfigured(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	for _, role := range []string{"", "app"} {
		state := m.examine(server, role)
		require.Equal(t, []string{"influxdb is not configured: write url, token and org to influxdb/config first"}, state.problems)
		require.Equal(t, []any{"", "", false}, []any{state.data["server_version"], state.data["server_build"], state.data["token_values_hidden"]})
	}
}

// Each trouble is a sentence that says what to do; what a refused write would add is left out.
func TestCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	influxtest.NotOnCloud(t, "it does not tell its version")
	m := newMount(t)
	server := m.connected()
	org, admin := server.OrgID(), server.UserID()
	weak := func(permissions ...influxtest.Permission) func() {
		return func() {
			_, token := server.AddToken(org, admin, permissions...)
			m.storedToken(token)
		}
	}
	html := func(status int) func() {
		return func() { server.Fail("", "/", status, "text/html", "<html>hello "+canary+"</html>") }
	}
	for name, c := range map[string]struct {
		fault   func()
		says    []string
		version string
	}{
		"token unknown":       {func() { m.storedToken(canary) }, []string{"token: InfluxDB at " + server.URL + ` does not know it (401 "unauthorized access"); write one that works to config, see docs/recovery.md`}, "2.9.1"},
		"token inactive":      {func() { server.SetTokenActive(server.RootID(), false) }, []string{"token: InfluxDB at " + server.URL + ` knows it, but it is inactive (401 "token is inactive"); set it active there, or write another one`}, "2.9.1"},
		"its user inactive":   {func() { server.SetUserActive(admin, false) }, []string{"token: its user is inactive or deleted in InfluxDB at " + server.URL}, "2.9.1"},
		"may not mint":        {weak(influxtest.ByID("read", "orgs", org), influxtest.ByID("read", "users", admin)), []string{"token lacks write:orgs/" + org + `/authorizations, needed to create tokens in org "acme"; see docs/root-token.md`}, "2.9.1"},
		"may not mint for it": {weak(influxtest.ByID("read", "orgs", org), influxtest.ByID("read", "users", admin), influxtest.InOrg("write", "authorizations", org)), []string{"token lacks write:users/" + admin + `, needed to create tokens for user "admin"; see docs/root-token.md`}, "2.9.1"},
		"refuses connections": {func() { server.Refuse("", "/") }, []string{"url: no usable answer from " + server.URL + ": "}, ""},
		"unavailable":         {html(503), []string{"url: no usable answer from " + server.URL + ": "}, ""},
		"a proxy's page":      {html(200), []string{"url: what answers at " + server.URL + " is not InfluxDB ("}, ""},
		"another base path":   {html(404), []string{"url: what answers at " + server.URL + " is not InfluxDB ("}, ""},
		"InfluxDB 1": {func() {
			server.Intercept(saying(404, "text/plain", "404 page not found", "X-Influxdb-Version", "1.8.10", "X-Influxdb-Build", "OSS"))
		}, []string{"url: this is InfluxDB 1.8.10 OSS; only InfluxDB 2.x, Cloud 2 and InfluxDB 3 Core and Enterprise have tokens that can be managed"}, ""},
		"InfluxDB 3": {func() {
			server.Intercept(saying(200, "application/json", `{"version":"3.1.0"}`, "X-Influxdb-Version", "v3.1.0", "X-Influxdb-Build", "Core"))
		}, []string{"org: InfluxDB 3 Core has no organizations; leave it out, or clear it with an empty value"}, "3.1.0"},
		"deletions fail": {func() { server.Fail("DELETE", "/api/v2/", 500, "text/html", "<html>") }, []string{"url: no usable answer from " + server.URL + ": DELETE "}, "2.9.1"},
		"organization gone": {func() {
			m.editConfig(func(config map[string]any) { config["org"] = "nowhere"; config["revision"] = "x" })
		}, []string{`org: no organization "nowhere" that the root token can see`}, "2.9.1"},
		"owner gone": {func() {
			m.editConfig(func(config map[string]any) { config["user"] = "nobody"; config["revision"] = "y" })
		}, []string{`user: no user "nobody", which config names, that the root token can see`}, "2.9.1"},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			config, err := m.storage.Get(t.Context(), "config")
			require.NoError(t, err)
			c.fault()
			for _, role := range []string{"", "app"} { // with a bad connection a role is not looked at
				state := m.examine(server, role)
				require.Len(t, state.problems, len(c.says), "%q", state.problems)
				for i, want := range c.says {
					require.True(t, strings.HasPrefix(state.problems[i], want), "%q", state.problems)
					require.NotContains(t, state.problems[i], "unchanged", "nothing was written")
					require.NotContains(t, state.problems[i], "hello")
				}
				require.Equal(t, c.version, strings.TrimPrefix(fmt.Sprint(state.data["server_version"]), "v"))
			}
			server.Intercept(nil)
			server.SetTokenActive(server.RootID(), true)
			server.SetUserActive(admin, true)
			require.NoError(t, m.storage.Put(t.Context(), config))
			state := m.examine(server, "app")
			require.True(t, state.healthy, "%q", state.problems)
			for id := range live(server) {
				deleteToken(t, server, id)
			}
		})
	}
}

func TestCheckTellsPendingDeletions(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	first, second := m.mint("app"), m.mint("app")
	server.Refuse("DELETE", "/api/v2/authorizations")
	since := m.clock.now()
	require.Error(t, first.revoke(t.Context()))
	m.clock.advance(time.Hour)
	require.Error(t, second.revoke(t.Context()))
	areReported := func() {
		t.Helper()
		state := m.examine(server, "")
		require.EqualValues(t, 2, state.data["pending_deletions"])
		oldest, err := time.Parse(time.RFC3339, state.data["oldest_pending"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, since, oldest, 30*time.Second)
		require.Equal(t, "2 deletions are pending, the oldest since "+state.data["oldest_pending"].(string)+": InfluxDB refuses them or is out of reach; each is tried again every minute", state.problems[0])
	}
	areReported()
	m.reload() // what is pending is read from storage
	if !overGRPC {
		areReported()
	}
	server.Intercept(nil)
	require.NoError(t, m.tick())
	state := m.examine(server, "")
	require.True(t, state.healthy, state.problems)
	require.EqualValues(t, 0, state.data["pending_deletions"])
	require.Equal(t, "", state.data["oldest_pending"])
}

// What is pending is told even of a mount whose configuration is gone.
func TestCheckTellsPendingDeletionsWithoutConfiguration(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	entry := store.Pending{AuthorizationID: "03a2bbf46309a000", Connection: "gone", Role: "app", Since: time.Unix(1700000000, 0)}
	require.NoError(t, store.PendingDeletions.Put(t.Context(), m.storage, entry.Key(), &entry))
	state := m.examine(server, "")
	require.Len(t, state.problems, 2)
	require.Contains(t, state.problems[0], "1 deletions are pending, the oldest since 2023-11-14T22:13:20Z")
	require.Contains(t, state.problems[1], "influxdb is not configured")
	require.Equal(t, "2023-11-14T22:13:20Z", state.data["oldest_pending"])
}

func TestCheckOneRole(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/own", map[string]any{"read_buckets": "metrics,{{identity.entity.name}}", "user": "{{identity.entity.name}}"})
	for _, role := range []string{"app", "own", ""} {
		state := m.examine(server, role)
		require.True(t, state.healthy, "%s: %q", role, state.problems)
	}
	m.write("roles/bad", map[string]any{"read_buckets": "metrics,metrcs", "read_resources": "task", "write_buckets": "id:03a2bbf46309a000", "verify": false})
	require.ElementsMatch(t, []string{
		`read_buckets[1]: no bucket "metrcs" in org "acme"; buckets there that look alike: metrics`,
		`write_buckets[0]: no bucket has the ID 03a2bbf46309a000`,
		`read_resources[0]: "task" is not a resource type (buckets, tasks, …); did you mean tasks?`,
	}, m.examine(server, "bad").problems)
	m.write("roles/own", map[string]any{"read_buckets": "{{identity.entity.name}},nope", "verify": false})
	require.Equal(t, []string{`read_buckets[1]: no bucket "nope" in org "acme"`}, m.examine(server, "own").problems)

	// A bucket that is gone since the role was written, though it is remembered.
	l := m.mint("app")
	server.DeleteBucket(server.BucketID())
	require.Equal(t, []string{`read_buckets[0]: no bucket "metrics" in org "acme"`, `write_buckets[0]: no bucket "metrics" in org "acme"`}, m.examine(server, "app").problems)
	server.AddBucket(server.OrgID(), "metrics")
	require.True(t, m.examine(server, "app").healthy)
	tidyUp(t, server, l)

	rooted(m, server, influxtest.InOrg("read", "buckets", server.OrgID()))
	require.Equal(t, []string{notHeld("write_buckets[0]", "write:buckets/metrics in org acme")}, m.examine(server, "app").problems)

	require.Equal(t, `role "none" does not exist; vault list influxdb/roles shows those that do`, m.rejected(logical.ReadOperation, "check", map[string]any{"role": "none"}))
	require.Contains(t, m.rejected(logical.ReadOperation, "check", map[string]any{"role": "../config"}), `role "../config" does not exist`)
	require.Contains(t, m.rejected(logical.ReadOperation, "check", map[string]any{"name": "app"}), "name: ")
	require.Empty(t, live(server))
}

func TestCheckNamesAHundredProblems(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("no-such-%03d", i))
	}
	m.write("roles/wide", map[string]any{"read_buckets": names, "verify": false})
	state := m.examine(server, "wide")
	require.Len(t, state.problems, 100)
	require.Equal(t, `read_buckets[0]: no bucket "no-such-000" in org "acme"`, state.problems[0])
	require.False(t, state.healthy)
}
