package backend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// All problems of a role come in one answer, each with its field and its place.
func TestRoleProblemsComeAtOnce(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	globex := server.AddOrg("globex")
	foreign := server.AddBucket(globex, "theirs")
	for _, op := range configWrites {
		text := m.rejected(op, "roles/app", map[string]any{
			"user":         "nobody",
			"read_buckets": []string{"metrics", "metrcs", "id:" + foreign}, "write_buckets": []string{"id:03a2bbf46309a000", "03a2bbf46309a000"},
			"read_resources": "metrics,tasks", "write_resources": "labels,task",
			"permissions": []any{
				map[string]any{"action": "read", "resource": map[string]any{"type": "buckets", "name": "Metrics"}},
				map[string]any{"action": "read", "resource": map[string]any{"type": "bucket"}},
				map[string]any{"action": "read", "resource": map[string]any{"type": "tasks", "org": "globex"}},
			},
		})
		require.ElementsMatch(t, []string{
			`user: no user "nobody" that the root token can see`,
			`read_buckets[1]: no bucket "metrcs" in org "acme"; buckets there that look alike: metrics`,
			`read_buckets[2]: bucket ` + foreign + ` belongs to another organization (` + globex + `), not to "acme"`,
			`write_buckets[0]: no bucket has the ID 03a2bbf46309a000`,
			`write_buckets[1]: no bucket named "03a2bbf46309a000"; if this is an ID write id:03a2bbf46309a000`,
			`read_resources[0]: "metrics" is not a resource type (buckets, tasks, …); for a bucket use read_buckets`,
			`write_resources[1]: "task" is not a resource type (buckets, tasks, …); did you mean tasks?`,
			`permissions[0]: no bucket "Metrics" in org "acme"; buckets there that look alike: metrics`,
			`permissions[1]: "bucket" is not a resource type (buckets, tasks, …); did you mean buckets?`,
			`permissions[2]: organization "globex" is not the role's ("acme", ` + server.OrgID() + `); a token belongs to one organization`,
		}, strings.Split(text, "\n"))
	}
	require.Empty(t, live(server))
}

func TestRoleWithUnknownOrgOrUser(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server := m.connected()
	const id = "03a2bbf46309a000"
	for _, c := range []struct {
		data map[string]any
		want []string
	}{
		{map[string]any{"org": "acne"}, []string{`org: no organization "acne" that the root token can see; did you mean acme?`}},
		{map[string]any{"org_id": id}, []string{"org_id: no organization has the ID " + id}},
		{map[string]any{"user": "nobody"}, []string{`user: no user "nobody" that the root token can see`}},
		{map[string]any{"user_id": id}, []string{"user_id: no user has the ID " + id}},
		{map[string]any{"org": "acne", "user": "nobody", "read_resources": "task"}, []string{
			`org: no organization "acne" that the root token can see; did you mean acme?`, `user: no user "nobody" that the root token can see`,
			`read_resources[0]: "task" is not a resource type (buckets, tasks, …); did you mean tasks?`}},
		{map[string]any{"user_id": id, "read_buckets": "metrcs"}, []string{"user_id: no user has the ID " + id,
			`read_buckets[0]: no bucket "metrcs" in org "acme"; buckets there that look alike: metrics`}},
	} {
		if c.data["read_buckets"] == nil {
			c.data["read_buckets"] = "metrics"
		}
		require.ElementsMatch(t, c.want, strings.Split(m.rejected(logical.UpdateOperation, "roles/new", c.data), "\n"), "%v", c.data)
	}
	require.Empty(t, live(server))
}

// What the root token does not hold it can't grant: every such permission is named, with its place.
func TestRoleBeyondTheRootToken(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	vault := server.AddUser("vault")
	_, token := server.AddToken(server.OrgID(), server.UserID(), minting(server.OrgID(), server.UserID(),
		influxtest.InOrg("read", "buckets", server.OrgID()), influxtest.InOrg("read", "tasks", server.OrgID()))...)
	m.configure(server, map[string]any{"token": token})
	text := m.rejected(logical.UpdateOperation, "roles/app", map[string]any{
		"read_buckets": "metrics,metrcs", "write_buckets": "metrics", "read_resources": "tasks,views", "ttl": "5m"})
	var fields []string
	for _, line := range strings.Split(text, "\n") {
		field, _, _ := strings.Cut(line, ": ")
		fields = append(fields, field)
	}
	require.ElementsMatch(t, []string{"read_buckets[1]", "write_buckets[0]", "read_resources[1]"}, fields, text)
	require.Equal(t, 2, strings.Count(text, "the root token does not hold "), text)

	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"read_buckets": "metrics", "user_id": vault}),
		"the root token lacks write:users/"+vault+", needed to create tokens")
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "read_resources": "tasks"})
	require.Empty(t, live(server), "nothing is left of the trial")
	tidyUp(t, server, m.mint("app"))
}

func TestRoleOfAnInactiveOwner(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	vault := server.AddUser("vault")
	server.SetUserActive(vault, false)
	for field, value := range map[string]string{"user": "vault", "user_id": vault} {
		require.Contains(t, m.rejected(logical.UpdateOperation, "roles/new", map[string]any{"read_buckets": "metrics", field: value}),
			`user: "vault" is inactive: its tokens would be refused`)
	}
}

func TestLookAlikes(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for i := range 120 { // more than InfluxDB gives in one answer
		server.AddBucket(server.OrgID(), fmt.Sprintf("filler-%03d", i))
	}
	for i := range 8 {
		server.AddBucket(server.OrgID(), fmt.Sprintf("zone-%d", i))
	}
	for wanted, want := range map[string]string{
		"Zone-77":           "zone-7", // the nearest first, five at most
		"metric":            "metrics",
		"METRICS":           "metrics",
		"something-else":    "",
		"filler-000-wrong-": "",
	} {
		text := m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"read_buckets": wanted})
		before, similar, found := strings.Cut(text, "; buckets there that look alike: ")
		require.Equal(t, fmt.Sprintf(`read_buckets[0]: no bucket %q in org "acme"`, wanted), before)
		require.Equal(t, want != "", found, text)
		if found {
			names := strings.Split(similar, ", ")
			require.Equal(t, want, names[0], text)
			require.LessOrEqual(t, len(names), 5, text)
		}
	}
	// Without the hint the answer is still the right one.
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.Contains(r.URL.RawQuery, "limit=100") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
	require.Equal(t, `read_buckets[0]: no bucket "metrcs" in org "acme"`,
		m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"read_buckets": "metrcs"}))
}

// A role is written afresh: what was remembered of a bucket that is gone does not count.
func TestRoleCheckDoesNotRemember(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	require.NoError(t, m.mint("app").revoke(t.Context()))
	server.DeleteBucket(server.BucketID())
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"read_buckets": "metrics"}), `no bucket "metrics"`)
	server.AddBucket(server.OrgID(), "metrics")
	require.Nil(t, m.write("roles/app", map[string]any{"read_buckets": "metrics"}))
}

func TestRoleStoredWithoutALook(t *testing.T) {
	const wrong = "no-such-bucket"
	m := newMount(t)
	require.Equal(t, "influxdb/config is not written yet: the role was stored without a look at InfluxDB",
		warned(m.write("roles/app", map[string]any{"read_buckets": wrong, "user": "nobody"})))
	server := m.connected()
	for _, no := range []any{false, "false", "0"} {
		require.Equal(t, "verify: stored without a look at InfluxDB; what is wrong with it will show when creds is read",
			warned(m.write("roles/app", map[string]any{"read_buckets": wrong, "verify": no})))
	}
	require.NotContains(t, m.read("roles/app").Data, "verify")
	require.Contains(t, m.rejected(logical.ReadOperation, "creds/app", nil), `read_buckets[0]: no bucket "no-such-bucket"`)
	for _, yes := range []any{true, nil, "", "1"} {
		require.Contains(t, m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"read_buckets": wrong, "verify": yes}), "read_buckets[0]: ")
	}
	for name, fault := range map[string]func(){
		"refused":     func() { server.Refuse("", "/") },
		"unavailable": func() { server.Fail("", "/api/v2/buckets", 503, "text/html", "later") },
		"types":       func() { server.Fail("", "/api/v2/resources", 502, "text/html", "later") },
		"overloaded": func() {
			server.Fail("", "/api/v2/", 429, "application/json", `{"code":"too many requests","message":"later"}`)
		},
		"root unknown": func() {
			server.Fail("", "/api/v2/", 401, "application/json", `{"code":"unauthorized","message":"unauthorized access"}`)
		},
		"root inactive": func() {
			server.Fail("", "/api/v2/", 401, "application/json", `{"code":"unauthorized","message":"token is inactive"}`)
		},
		"user inactive": func() { server.SetUserActive(server.UserID(), false) },
	} {
		fault()
		warning := warned(m.write("roles/app", map[string]any{"read_buckets": wrong, "description": name}))
		require.True(t, strings.HasPrefix(warning, "stored without a look at InfluxDB: "), "%s: %s", name, warning)
		require.Equal(t, name, m.read("roles/app").Data["description"])
		m.silent(server.IssuedTokens(), warning)
		server.Intercept(nil)
		server.SetUserActive(server.UserID(), true)
	}
	require.Empty(t, live(server))
}

// Where a server does not list its resource types, those that are known have to do.
func TestRoleOfAServerWithoutTypes(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	server.Fail("GET", "/api/v2/resources", 404, "application/json", `{"code":"not found","message":"path not found"}`)
	m.write("roles/app", map[string]any{"read_resources": "notebooks"})
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"read_resources": "notes"}), `read_resources[0]: "notes" is not a resource type`)
	m.write("roles/all", map[string]any{"token_type": "all-access", "allow_privileged": true, "verify": false})
}

func TestRoleWarnsOfLongLeases(t *testing.T) {
	m := newMount(t)
	m.connected()
	const day = 24 * time.Hour
	const long = "max_ttl: a lease of this role can live for 744h0m0s; set max_ttl to bound it"
	for _, c := range []struct {
		mount, byDefault time.Duration
		ttl, maxTTL      string
		warns            string
	}{
		{30 * day, time.Hour, "", "", ""},
		{31 * day, time.Hour, "", "", long},
		{31 * day, 31 * day, "", "", long + ". Without a ttl on role or mount the first lease alone is 744h0m0s, which is also how long a token lives whose caller has hung up before Vault could lease it; set ttl"},
		{31 * day, 31 * day, "1h", "", long},
		{31 * day, 31 * day, "", "30d", ""},
		{31 * day, time.Hour, "", "30d", ""},
		{365 * day, time.Hour, "", "40d", "max_ttl: a lease of this role can live for 960h0m0s; set max_ttl to bound it"},
		{day, time.Hour, "1d", "1d", ""},
		{day, time.Hour, "", "40d", "max_ttl: 960h0m0s is longer than the mount's longest lease, and is cut to 24h0m0s; vault secrets tune -max-lease-ttl raises that one"},
		{day, time.Hour, "25h", "", "ttl: 25h0m0s is longer than the mount's longest lease, and is cut to 24h0m0s; vault secrets tune -max-lease-ttl raises that one"},
		{day, time.Hour, "25h", "26h", "ttl: 25h0m0s is longer than the mount's longest lease, and is cut to 24h0m0s; vault secrets tune -max-lease-ttl raises that one\nmax_ttl: 26h0m0s is longer than the mount's longest lease, and is cut to 24h0m0s; vault secrets tune -max-lease-ttl raises that one"},
	} {
		m.system.MaxLeaseTTLVal, m.system.DefaultLeaseTTLVal = c.mount, c.byDefault
		data := map[string]any{"read_buckets": "metrics", "ttl": c.ttl, "max_ttl": c.maxTTL}
		require.Equal(t, c.warns, warned(m.write("roles/app", data)), "%+v", c)
	}
}
