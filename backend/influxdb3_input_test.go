package backend

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

const makeAdminText = "make one with influxdb3 create token --admin --name vault"

// Enterprise refuses a token for databases even the ping, with an answer that names no version.
func TestAScopedTokenIsNoRootOfEnterprise(t *testing.T) {
	m := newMount(t)
	server := m.connected3(influx3test.Enterprise())
	server.AddDatabase("metrics")
	for name, c := range map[string]struct {
		permission influx3test.Permission
		says       string
	}{
		"database": {influx3test.Permission{ResourceType: "db", ResourceNames: []string{"metrics"}, Actions: []string{"read", "write"}},
			"token: it is no admin token: InfluxDB 3 at " + server.URL + " refuses it (403); " + makeAdminText},
		"system": {influx3test.Permission{ResourceType: "system", ResourceNames: []string{"*"}, Actions: []string{"read"}},
			"token: it is no admin token: it may not read the list of tokens (POST " + server.URL + `/api/v3/query_sql: 403 "unauthorized to perform requested action with the token"); ` + makeAdminText},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			settings := map[string]any{"url": server.URL, "token": server.AddToken(name, c.permission)}
			m.sounds(http.StatusBadRequest, c.says+unchangedText, logical.UpdateOperation, "config", settings)
			first := newMount(t)
			first.sounds(http.StatusBadRequest, c.says, logical.UpdateOperation, "config", settings)
			settings["verify_connection"] = false
			first.write("config", settings)
			require.Equal(t, c.says, first.problems()[0])
		})
	}
}

func TestATokenThatInfluxDB3DoesNotKnow(t *testing.T) {
	m, server, fresh := newMount(t), influx3test.New(t), influx3test.New(t, influx3test.Fresh())
	for url, token := range map[string]string{server.URL: "a-token-of-InfluxDB-2", fresh.URL: "any"} {
		m.sounds(http.StatusBadRequest, "token: InfluxDB 3 at "+url+" does not know it (401); "+makeAdminText+". A server without any token takes config/setup",
			logical.UpdateOperation, "config", map[string]any{"url": url, "token": token})
	}
}

func TestSetupOfAnInfluxDB3WithoutAuthentication(t *testing.T) {
	m, server := newMount(t), influx3test.New(t, influx3test.WithoutAuth())
	m.sounds(http.StatusBadRequest, "url: this InfluxDB makes no tokens (POST "+server.URL+`/api/v3/configure/token/admin: 405 "endpoint disabled, started without auth"); is it started with --without-auth?`,
		logical.UpdateOperation, "config/setup", map[string]any{"url": server.URL})
}

// Each is said once, and of what both products have the rest is said, too.
func TestFieldsOfInfluxDB3OnInfluxDB2(t *testing.T) {
	m := newMount(t)
	m.connected()
	m.write("roles/buckets", map[string]any{"read_buckets": "*", "write_buckets": "*"})
	shape3 := func(resource string) string {
		return `[{"resource_type": "` + resource + `", "resource_names": ["metrics"], "actions": ["read", "write"]}]`
	}
	const shape2 = `permissions[0]: this is InfluxDB 2; write it as {"action": "read", "resource": {"type": "buckets", "name": "metrics"}}`
	for name, c := range map[string]struct {
		data     map[string]any
		says     string
		narrowed string // where it is another text
	}{
		"read_databases":  {map[string]any{"read_databases": "metrics"}, "read_databases: this is InfluxDB 2, which has buckets: write read_buckets", ""},
		"write_databases": {map[string]any{"write_databases": "metrics"}, "write_databases: this is InfluxDB 2, which has buckets: write write_buckets", ""},
		"both":            {map[string]any{"read_databases": "a,b", "write_databases": "a"}, "read_databases: this is InfluxDB 2, which has buckets: write read_buckets\nwrite_databases: this is InfluxDB 2, which has buckets: write write_buckets", ""},
		"a database":      {map[string]any{"permissions": shape3("db")}, shape2, ""},
		"a system table":  {map[string]any{"permissions": shape3("system")}, shape2, ""},
		"another type":    {map[string]any{"permissions": shape3("buckets")}, `permissions[0].resource_type: "buckets" is not known; allowed: db, system` + "\n" + shape2, ""},
		"and a type that is not there": {map[string]any{"read_databases": "metrics", "read_resources": "task"},
			`read_resources[0]: "task" is not a resource type (buckets, tasks, …); did you mean tasks?` + "\nread_databases: this is InfluxDB 2, which has buckets: write read_buckets",
			"read_databases: this is InfluxDB 2, which has buckets: write read_buckets"},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			for _, path := range []string{"roles/x", "static-roles/x"} {
				m.sounds(http.StatusBadRequest, c.says, logical.UpdateOperation, path, c.data)
			}
			narrowed := c.says
			if c.narrowed != "" {
				narrowed = c.narrowed
			}
			m.sounds(http.StatusBadRequest, narrowed, logical.UpdateOperation, "creds/buckets", c.data)
		})
	}
	for field, value := range map[string]string{"read_resources": "db", "permissions": `[{"action": "read", "resource": {"type": "db"}}]`} {
		require.Contains(t, m.rejected(logical.UpdateOperation, "roles/x", map[string]any{field: value}), field+`[0]: "db" is not a resource type (buckets, tasks, …)`,
			"in the words of InfluxDB 2 it is no type there")
	}
}

// Which product an untried configuration is for is as it is written: what that has not would be found by nobody.
func TestAnUntriedConfigurationHasTheFieldsOfItsProduct(t *testing.T) {
	for product, name := range map[string]string{"core": "InfluxDB 3 Core", "enterprise": "InfluxDB 3 Enterprise"} {
		m := newMount(t)
		settings := map[string]any{"url": "http://db:8181", "token": "x", "product": product, "verify_connection": false}
		lacking := func(more map[string]any) map[string]any {
			all := maps.Clone(settings)
			maps.Copy(all, more)
			return all
		}
		m.sounds(http.StatusBadRequest, strings.Join([]string{
			"org: " + name + " has no organizations; leave it out, or clear it with an empty value",
			"user: " + name + " has no users; leave it out, or clear it with an empty value",
			"authorization_id: " + name + " has no authorizations: the token itself tells which one it is; leave it out, or clear it with an empty value",
		}, "\n"), logical.UpdateOperation, "config", lacking(map[string]any{"org": "acme", "user": "bob", "authorization_id": "0123456789abcdef"}))
		m.sounds(http.StatusBadRequest, "authorization_id: must be an ID of 16 hexadecimal digits; InfluxDB 3 has none, leave it out there",
			logical.UpdateOperation, "config", lacking(map[string]any{"authorization_id": "_admin"}))
		m.write("config", settings)
		m.sounds(http.StatusBadRequest, "org_id: "+name+" has no organizations; leave it out, or clear it with an empty value",
			logical.UpdateOperation, "config", map[string]any{"org_id": "0123456789abcdef", "verify_connection": false})
		m.write("config", map[string]any{"org": "acme", "product": "v2", "verify_connection": false, "abandon_previous": true})
	}
}

// Terraform writes back what it has read.
func TestTheConfigurationOfAnInfluxDB3IsWrittenAsItIsRead(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		again := func(more map[string]any) {
			t.Helper()
			before := m.read("config").Data
			settings := map[string]any{}
			for field := range configFields {
				if value, answered := before[field]; answered {
					settings[field] = value
				}
			}
			require.NotEmpty(t, settings["authorization_id"])
			require.NotEmpty(t, settings["product"])
			maps.Copy(settings, more)
			m.write("config", settings)
			if more["token"] == nil {
				sameData(t, before, m.read("config").Data)
			}
		}
		again(nil)
		again(map[string]any{"verify_connection": false})
		again(map[string]any{"token": server.RootToken()})
		again(map[string]any{"token": server.AddToken("vault")})
		require.Equal(t, "vault", m.read("config").Data["authorization_id"])
		m.write("config/rotate-root", nil)
		again(nil)
		again(map[string]any{"token": server.RootToken()})
		require.Equal(t, influx3test.OperatorName, m.read("config").Data["authorization_id"])
		m.sounds(http.StatusBadRequest, "authorization_id: must be an ID of 16 hexadecimal digits; InfluxDB 3 has none, leave it out there",
			logical.UpdateOperation, "config", map[string]any{"authorization_id": "vault"})
	})
}

// InfluxDB 3 tells which token the root token is when it is rotated.
func TestAnUntriedConfigurationOfInfluxDB3IsRotatedByPlan(t *testing.T) {
	m, server := newMount(t), influx3test.New(t)
	server.SetClock(m.clock.now)
	m.write("config", map[string]any{"url": server.URL, "token": server.RootToken(), "product": "core", "rotation_period": "24h", "verify_connection": false})
	require.NotContains(t, strings.Join(m.problems(), "\n"), "authorization_id")
	m.clock.advance(24*time.Hour + time.Second)
	require.NoError(t, m.tick())
	require.Contains(t, m.read("config").Data["authorization_id"], ":root:-root:")
	require.Equal(t, 1, strings.Count(m.log.String(), "is one that InfluxDB never deletes"), "the operator token stays")
	m.clock.advance(24*time.Hour + time.Second)
	require.NoError(t, m.tick())
	require.Equal(t, 1, strings.Count(m.log.String(), "is one that InfluxDB never deletes"), "which is said once")
}

// No list is asked for what became of a mint on InfluxDB 3, and no right to read authorizations would help.
func TestCheckTellsUnansweredMintsOfInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		server.LoseAnswer(http.MethodPost, "/api/v3/")
		m.refused(logical.ReadOperation, "creds/app", nil)
		server.Intercept(nil)
		m.clock.advance(4*time.Minute + time.Second)
		require.Equal(t, "1 mints were not answered, and what became of them can't be found out: InfluxDB is out of reach or does not tell (InfluxDB 2 tells a root token that may read authorizations); it is asked again every minute", m.problems()[0])
	})
}

// InfluxDB 3 would take the end of such a token for none.
func TestALeaseOfMoreThanAHundredYearsOnInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		const hundredYears = 100 * 365 * 24 * time.Hour
		m.system.MaxLeaseTTLVal = 2 * hundredYears
		role := map[string]any{"token_type": "admin", "allow_privileged": true, "ttl": "5m"}
		says := func(longest string) string {
			return "max_ttl: a lease of this role can live for " + longest + "; InfluxDB 3 takes a token that ends later than in 100 years for one that never ends; set max_ttl to less"
		}
		m.sounds(http.StatusBadRequest, says("1752000h0m0s"), logical.UpdateOperation, "roles/x", role)
		role["max_ttl"] = int(hundredYears.Seconds())
		m.sounds(http.StatusBadRequest, says("876000h0m0s"), logical.UpdateOperation, "roles/x", role)
		m.write("static-roles/x", map[string]any{"token_type": "admin", "allow_privileged": true, "rotation_period": "24h"})

		role["verify"] = false
		m.write("roles/untried", role)
		require.Contains(t, m.ok(logical.ReadOperation, "check", map[string]any{"role": "untried"}).Data["problems"], says("876000h0m0s"))
		role["verify"], role["max_ttl"] = true, int((hundredYears - 2*time.Minute).Seconds())
		m.write("roles/x", role)
		require.NoError(t, m.mint("x").revoke(t.Context()))
	})
}
