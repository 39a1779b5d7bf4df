package backend

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

// everyInfluxDB3 runs a test with a mount on a fake Core and on a fake Enterprise, with a role app that may do everything.

func everyInfluxDB3(t *testing.T, test func(t *testing.T, m *testMount, server *influx3test.Server)) {
	for name, options := range map[string][]influx3test.Option{"core": nil, "enterprise": {influx3test.Enterprise()}} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			test(t, m, m.connected3(options...))
		})
	}
}

func (m *testMount) connected3(options ...influx3test.Option) *influx3test.Server {
	m.t.Helper()
	server := influx3test.New(m.t, options...)
	server.SetClock(m.clock.now)
	m.write("config", map[string]any{"url": server.URL, "token": server.RootToken()})
	m.write("roles/app", map[string]any{"token_type": "admin", "allow_privileged": true, "ttl": "5m", "max_ttl": "1h"})
	return server
}

// tokensOf3 are the tokens of a fake InfluxDB 3 but the operator's.

func tokensOf3(server *influx3test.Server) []string {
	var names []string
	for _, name := range server.TokenNames() {
		if name != influx3test.OperatorName {
			names = append(names, name)
		}
	}
	return names
}

// tidyUp3 has tidy run once more, to its end.

func (m *testMount) tidyUp3() {
	m.t.Helper()
	m.until(m.tidyIsIdle) // a tick may have started it
	m.write("tidy", nil)
	m.until(m.tidyIsIdle)
}

func status3(t *testing.T, server *influx3test.Server, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/ping", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestLifeOfALeaseOnInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		config := m.read("config").Data
		require.NotEmpty(t, config["product"])
		require.Equal(t, influx3test.OperatorName, config["authorization_id"])
		server.ResetRequests()
		writes := m.storage.writeCount()
		l := m.mint("app")
		require.Len(t, server.Requests(), 1, "a mint is one call")
		require.Equal(t, writes, m.storage.writeCount(), "and writes nothing")
		require.Equal(t, []string{l.id}, tokensOf3(server))
		require.NotContains(t, l.data, "org")
		require.Contains(t, l.data["description"], "["+l.id+"]")
		deadline := m.clock.now().Add(time.Hour + time.Minute)
		expires, err := time.Parse(time.RFC3339, l.data["expires_at"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, deadline, expires, 5*time.Second)
		require.Equal(t, 200, status3(t, server, l.data["token"].(string)))
		m.clock.advance(4 * time.Minute)
		_, err = l.renew()
		require.NoError(t, err)
		require.NoError(t, l.revoke(t.Context()))
		require.Empty(t, tokensOf3(server))
		require.Equal(t, 401, status3(t, server, l.data["token"].(string)))
		m.silent(server.IssuedTokens())
	})
}

// Each token that is made and deleted leaves something in the catalog's log for ever: a look at the mount makes none.

func TestALookAtInfluxDB3MakesNothing(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		server.ResetRequests()
		state := m.read("check").Data
		require.Equal(t, []any{true, m.read("config").Data["product"], true}, []any{state["healthy"], state["product"], state["token_values_hidden"]})
		m.write("config", map[string]any{"request_timeout": "9s"})
		for _, r := range server.Requests() {
			require.Contains(t, []string{"/ping", "/api/v3/query_sql"}, r.Path)
		}
	})
}

func TestATokenOfInfluxDB3EndsAtItsDeadlineWithoutUs(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		l := m.mint("app")
		m.clock.advance(time.Hour + time.Minute + time.Second)
		require.Equal(t, 401, status3(t, server, l.data["token"].(string)))
		require.Equal(t, []string{l.id}, tokensOf3(server), "its row holds its name")
		m.clock.advance(10 * time.Minute)
		m.tidyUp3()
		require.Equal(t, "done", m.read("tidy-status").Data["state"])
		require.Empty(t, tokensOf3(server), "which is housekeeping")
		require.NoError(t, l.revoke(t.Context()))
	})
}

// Whether it was carried out or not, and though no list shows it: the same name is asked for again, and deleted.

// An InfluxDB 3 whose catalog is stuck says so, and nothing is lost until it is restarted.

// Whoever goes away does not cut a deletion off: that would leave it half done.

func TestRootTokenIsRotatedOnInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		l := m.mint("app")
		resp := m.write("config/rotate-root", nil)
		require.Contains(t, resp.Warnings[0], "_admin")
		first := m.read("config").Data["authorization_id"].(string)
		require.Contains(t, first, ":root:-root:")
		require.Contains(t, server.TokenNames(), first)
		m.write("config", map[string]any{"tidy_interval": "2h"}) // what is stored is written again
		require.Nil(t, m.write("config/rotate-root", nil))
		second := m.read("config").Data["authorization_id"].(string)
		require.NotEqual(t, first, second)
		require.ElementsMatch(t, []string{second, l.id}, tokensOf3(server))
		require.NoError(t, l.revoke(t.Context()))
		require.Equal(t, true, m.read("check").Data["healthy"])
	})
}

func TestStaticRoleOnInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		m.write("static-roles/graf", map[string]any{"token_type": "admin", "allow_privileged": true, "rotation_period": "24h", "grace_period": "1h"})
		first := m.read("static-creds/graf").Data
		require.NotContains(t, first, "org")
		m.clock.advance(24*time.Hour + time.Second)
		require.NoError(t, m.tick())
		second := m.read("static-creds/graf").Data
		require.NotEqual(t, first["token"], second["token"])
		require.Equal(t, 200, status3(t, server, first["token"].(string)), "its grace")
		m.clock.advance(time.Hour + time.Minute)
		require.NoError(t, m.tick())
		require.Equal(t, 401, status3(t, server, first["token"].(string)))
		require.Eventually(t, m.tidyIsIdle, time.Minute, time.Millisecond) // the minute's own run
		server.DeleteToken(second["authorization_id"].(string))
		m.tidyUp3()
		require.NotEqual(t, second["token"], m.read("static-creds/graf").Data["token"], "one that was deleted by hand is replaced")
		m.ok(logical.DeleteOperation, "static-roles/graf", nil)
		require.Empty(t, tokensOf3(server))
	})
}

// InfluxDB ends each token after ten years: it is replaced before, also where the plan says later or nothing.
func TestAStaticTokenOfInfluxDB3NeverEnds(t *testing.T) {
	const life, margin = 10 * 365 * 24 * time.Hour, 30 * 24 * time.Hour
	for period, ttl := range map[string]time.Duration{"0s": 5 * time.Minute, "175200h": life - margin} {
		t.Run(period, func(t *testing.T) {
			everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
				m.clock.freeze()
				m.write("static-roles/graf", map[string]any{"token_type": "admin", "allow_privileged": true, "rotation_period": period, "grace_period": "1h"})
				ends := server.Tokens()[1].Expiry
				require.Equal(t, ends.Add(-margin).UTC().Format(time.RFC3339), m.read("static-roles/graf").Data["next_vault_rotation"])
				first := m.read("static-creds/graf").Data
				require.EqualValues(t, ttl.Seconds(), first["ttl"])
				m.clock.advance(life - margin - time.Hour)
				require.NoError(t, m.tick())
				require.Equal(t, first["token"], m.read("static-creds/graf").Data["token"])
				m.clock.advance(time.Hour + time.Minute)
				server.Refuse(http.MethodPost, "/api/v3/configure/")
				require.NoError(t, m.tick())
				require.EqualValues(t, 5, m.read("static-creds/graf").Data["ttl"])
				require.Contains(t, m.problems()[0], `static role "graf": the last rotation failed, and the old token stays, until InfluxDB ends it at `+ends.UTC().Format(time.RFC3339))
				server.Intercept(nil)
				m.clock.advance(2 * time.Minute)
				require.NoError(t, m.tick())
				second := m.read("static-creds/graf").Data
				require.NotEqual(t, first["token"], second["token"])
				require.Equal(t, 200, status3(t, server, first["token"].(string)), "its grace")

				m.clock.advance(11 * 365 * 24 * time.Hour) // Vault stands still
				require.Equal(t, 401, status3(t, server, second["token"].(string)))
				require.NoError(t, m.tick())
				require.Equal(t, 200, status3(t, server, m.read("static-creds/graf").Data["token"].(string)))
			})
		})
	}
}

func TestSetupOfInfluxDB3(t *testing.T) {
	for name, options := range map[string][]influx3test.Option{"core": nil, "enterprise": {influx3test.Enterprise()}} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := influx3test.New(t, append(options, influx3test.Fresh())...)
			server.SetClock(m.clock.now)
			_, text := m.refused(logical.UpdateOperation, "config/setup", map[string]any{"url": server.URL, "org": "acme"})
			require.Contains(t, text, "org: this is InfluxDB 3")
			answer := m.write("config/setup", map[string]any{"url": server.URL})
			require.Equal(t, name, answer.Data["product"])
			require.Contains(t, answer.Data["authorization_id"], ":root:-root:")
			require.NotContains(t, answer.Data, "token")
			m.write("roles/app", map[string]any{"token_type": "admin", "allow_privileged": true})
			require.NoError(t, m.mint("app").revoke(t.Context()))
			other := newMount(t)
			_, text = other.refused(logical.UpdateOperation, "config/setup", map[string]any{"url": server.URL})
			require.Contains(t, text, "has an operator token already")
		})
	}
}

// A proxy written in Go gives each answer a Content-Type, which InfluxDB 3's refusals don't have.

func TestBadInputOnInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		product := m.read("config").Data["product"].(string)
		server.AddDatabase("metrics")
		for _, c := range []struct {
			path             string
			data             map[string]any
			core, enterprise string
		}{
			{"roles/x", map[string]any{"read_buckets": "metrics"}, "read_buckets: InfluxDB 3 Core has only admin tokens: write token_type=admin", "read_buckets: this is InfluxDB 3 Enterprise, which has databases: write read_databases"},
			{"roles/x", map[string]any{"read_databases": "metrics"}, "read_databases: InfluxDB 3 Core has only admin tokens", ""},
			{"roles/x", map[string]any{"read_databases": "nothing"}, "read_databases: InfluxDB 3 Core has only admin tokens", `read_databases[0]: no database "nothing"`},
			{"roles/x", map[string]any{"token_type": "admin"}, "allow_privileged=true", "allow_privileged=true"},
			{"roles/x", map[string]any{"token_type": "operator", "allow_privileged": true}, "token_type: operator is for InfluxDB 2; this is InfluxDB 3 Core: write admin", "token_type: operator is for InfluxDB 2"},
			{"roles/x", map[string]any{"token_type": "admin", "allow_privileged": true, "org": "acme"}, "org: InfluxDB 3 Core has neither organizations nor users", "org: InfluxDB 3 Enterprise has neither"},
			{"roles/x", map[string]any{"clone_from": "0123456789abcdef"}, "clone_from: this is InfluxDB 3 Core", "clone_from: this is InfluxDB 3 Enterprise"},
			{"config", map[string]any{"org": "acme"}, "org: InfluxDB 3 Core has no organizations", "org: InfluxDB 3 Enterprise has no organizations"},
			{"config", map[string]any{"authorization_id": "0123456789abcdef"}, "authorization_id: InfluxDB 3 Core has no", "authorization_id: InfluxDB 3 Enterprise has no"},
			{"config", map[string]any{"product": "core"}, "", "product: this is InfluxDB 3 Enterprise; leave it out"},
			{"config", map[string]any{"product": "v2"}, "product: this is InfluxDB 3 Core; leave it out", "product: this is InfluxDB 3 Enterprise; leave it out"},
			{"roles/x", map[string]any{"read_databases": "*"}, "read_databases: InfluxDB 3 Core has only admin tokens", "read_databases[0]: read on every database reaches the database _internal"},
			{"roles/x", map[string]any{"read_databases": "_internal"}, "read_databases: InfluxDB 3 Core has only admin tokens", "read_databases[0]: read on _internal reaches the database _internal"},
			{"config", map[string]any{"token": "apiv3_wrong"}, "token: InfluxDB ", "token: InfluxDB "},
			{"config/rotate-root", map[string]any{"authorization_id": "0123456789abcdef"}, "authorization_id: InfluxDB 3 Core tells itself", "authorization_id: InfluxDB 3 Enterprise tells itself"},
			{"static-roles/x", map[string]any{"authorization_id": "0123456789abcdef", "token": "apiv3_x"}, "authorization_id: InfluxDB 3 Core has no tokens that could be taken over", "authorization_id: InfluxDB 3 Enterprise has no tokens"},
		} {
			want := map[string]string{"core": c.core, "enterprise": c.enterprise}[product]
			if want == "" {
				m.write(c.path, c.data)
				continue
			}
			status, text := m.refused(logical.UpdateOperation, c.path, c.data)
			require.Equal(t, 400, status, text)
			require.Contains(t, text, want, "%s %v", c.path, c.data)
		}
		require.Empty(t, tokensOf3(server), "nothing is left behind")
	})
}

func TestScopedTokensOfEnterprise(t *testing.T) {
	m := newMount(t)
	server := m.connected3(influx3test.Enterprise())
	server.AddDatabase("metrics")
	server.AddDatabase("logs")
	m.write("roles/scoped", map[string]any{"read_databases": "metrics,logs", "write_databases": "metrics", "permissions": `[{"resource_type": "system", "resource_names": ["*"], "actions": ["read"]}]`})
	l := m.mint("scoped")
	require.Len(t, server.Tokens(), 2)
	narrow := m.leased(m.ok(logical.UpdateOperation, "creds/scoped", map[string]any{"read_databases": "logs"}))
	_, text := m.refused(logical.UpdateOperation, "creds/scoped", map[string]any{"write_databases": "logs"})
	require.Contains(t, text, `write_databases[0]: role "scoped" does not cover write:db/logs`)
	require.NoError(t, errors.Join(l.revoke(t.Context()), narrow.revoke(t.Context())))

	m.write("static-roles/reader", map[string]any{"read_databases": "metrics"})
	first := m.read("static-creds/reader").Data["token"]
	m.write("rotate-role/reader", map[string]any{"grace_period": 0})
	require.NotEqual(t, first, m.read("static-creds/reader").Data["token"], "a token that may not read the list of tokens works all the same")
}

// An InfluxDB 3 in the place of an InfluxDB 2 is another one, whatever the address: it answers that it has none of the tokens.

// switched is an address at which one of two servers answers.

// Another InfluxDB 3 at the address may know the root token too, as one that is started with the same token file does: it

// takes the name that is asked for, which says nothing of the one that was to make the token.

func TestAnotherInfluxDB3ReconcilesNothing(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		server.LoseAnswer(http.MethodPost, "/api/v3/")
		status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
		require.Equal(t, 502, status)
		other := influx3test.New(t)
		other.SetClock(m.clock.now)
		answer := influx3test.Instead(other)
		server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			r.Header.Set("Authorization", "Bearer "+other.RootToken())
			answer(w, r, next)
		})
		m.clock.advance(2*time.Minute + time.Second)
		_ = m.tick()
		require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
		require.Empty(t, tokensOf3(other))
		server.Intercept(nil)
		m.clock.advance(2 * time.Minute)
		_ = m.tick()
		require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
		require.Empty(t, tokensOf3(server))
	})
}

// A permission in the shape of InfluxDB 2's API can have an ID, which InfluxDB 3 has not: without it the token would be one

// for every database.

func TestAPermissionOfInfluxDB2IsNoneOfInfluxDB3(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		for _, resource := range []string{`{"type": "db", "id": "0123456789abcdef"}`, `{"type": "db"}`, `{"type": "system"}`, `{"type": "buckets"}`} {
			permissions := `[{"action": "read", "resource": ` + resource + `}]`
			_, text := m.refused(logical.UpdateOperation, "roles/x", map[string]any{"permissions": permissions})
			require.Contains(t, text, "permissions[0]: this is InfluxDB 3", resource)
			status, _ := m.refused(logical.UpdateOperation, "creds/app", map[string]any{"permissions": permissions})
			require.Equal(t, 400, status)
		}
		require.Empty(t, tokensOf3(server))
	})
}

// Names times actions: a request of a few kilobytes could ask for millions of permissions, also one that narrows a token.

func TestPermissionsOfInfluxDB3AreBounded(t *testing.T) {
	m := newMount(t)
	m.connected3(influx3test.Enterprise())
	names := strings.TrimSuffix(strings.Repeat(`"a",`, 40), ",")
	permissions := `[{"resource_type": "db", "resource_names": [` + names + `], "actions": [` + names + `]}]`
	for _, path := range []string{"roles/x", "creds/app"} {
		status, text := m.refused(logical.UpdateOperation, path, map[string]any{"permissions": permissions})
		require.Equal(t, 400, status)
		require.Contains(t, text, "permissions: the role names 1600 permissions; at most 1000 are allowed")
	}
}

// InfluxDB 3 Enterprise makes an admin token of a request without permissions. A role that grants nothing can't be written,

// but stand in storage: written by a later version, in fields that this one does not know.

func TestARoleThatGrantsNothingMakesNoAdminToken(t *testing.T) {
	m := newMount(t)
	server := m.connected3(influx3test.Enterprise())
	require.NoError(t, m.storage.Put(t.Context(), &logical.StorageEntry{Key: "role/none", Value: []byte(`{"version": 1}`)}))
	status, text := m.refused(logical.ReadOperation, "creds/none", nil)
	t.Log(status, text)
	require.Contains(t, text, "grant")
	require.Empty(t, tokensOf3(server))
}

// A product that there is not would be taken for an InfluxDB 3.

func TestAnUnknownProduct(t *testing.T) {
	m := newMount(t)
	_, text := m.refused(logical.UpdateOperation, "config", map[string]any{"url": "http://db:8181", "token": "x", "product": "Core", "verify_connection": false})
	require.Equal(t, `product: "Core" is not known; allowed: v2, core, enterprise`, text)
}

// Each problem of a role is said once, of the field that has it.

func TestWhatIsWrongWithARoleOnEnterprise(t *testing.T) {
	m := newMount(t)
	server := m.connected3(influx3test.Enterprise())
	server.AddDatabase("metrics")
	for says, data := range map[string]map[string]any{
		`read_databases[1]: no database "metrics2"; a token can be made for databases that exist, so that it has to be made first`: {"read_databases": "metrics,metrics2"},
		`read_buckets: this is InfluxDB 3 Enterprise, which has databases: write read_databases`:                                   {"read_buckets": "metrics"},
		`permissions[0].resource_names: identity templates are filled in in read_databases and write_databases; write them there`:  {"permissions": `[{"resource_type": "db", "resource_names": ["{{identity.entity.name}}"], "actions": ["read"]}]`},
	} {
		_, text := m.refused(logical.UpdateOperation, "roles/x", data)
		require.Equal(t, says, text)
	}
}

// Which fields a setup takes depends on which InfluxDB it is: where none answers, that is what is wrong.

func TestSetupOfAnInfluxDBThatDoesNotAnswer(t *testing.T) {
	status, text := newMount(t).refused(logical.UpdateOperation, "config/setup", map[string]any{"url": "http://127.0.0.1:1"})
	require.Equal(t, 502, status)
	require.Contains(t, text, "url: no usable answer from http://127.0.0.1:1")
	require.NotContains(t, text, "missing")
}

// A root token that ends takes with it what could revoke, and nobody but an operator can give another one.

func TestARootTokenOfInfluxDB3ThatEnds(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		resp := m.write("config", map[string]any{"token": server.AddExpiringToken("vault", 60*24*3600)})
		ends := m.clock.now().Add(60 * 24 * time.Hour).UTC().Format("2006-01-02")
		require.Contains(t, resp.Warnings[0], "token: InfluxDB ends it at "+ends)
		require.Equal(t, true, m.read("check").Data["healthy"])
		m.clock.advance(31 * 24 * time.Hour)
		require.Contains(t, m.problems()[0], "token: InfluxDB ends the root token at "+ends)
		m.write("config/rotate-root", nil)
		require.Equal(t, true, m.read("check").Data["healthy"])
		require.Nil(t, m.write("config", map[string]any{"tidy_interval": "2h"}), "its own lasts for ten years")
	})
}

// A caller that hangs up leaves no mount behind that works with the operator token.

func TestADatabaseThatIsGoneIsNamed(t *testing.T) {
	m := newMount(t)
	server := m.connected3(influx3test.Enterprise())
	server.AddDatabase("metrics")
	m.write("roles/x", map[string]any{"write_databases": "metrics"})
	server.RemoveDatabase("metrics")
	status, text := m.refused(logical.ReadOperation, "creds/x", nil)
	require.Equal(t, 400, status)
	require.Equal(t, `write_databases[0]: no database "metrics"; a token can be made for databases that exist, so that it has to be made first`, text)
	require.EqualValues(t, 0, m.read("check").Data["pending_deletions"])
}

func TestATokenOfCoreCannotBeNarrowed(t *testing.T) {
	m := newMount(t)
	m.connected3()
	for field, value := range map[string]string{"read_databases": "metrics", "write_buckets": "metrics", "permissions": `[{"resource_type": "db", "resource_names": ["a"], "actions": ["read"]}]`} {
		text := m.rejected(logical.UpdateOperation, "creds/app", map[string]any{field: value})
		require.Equal(t, field+": a token of InfluxDB 3 Core may do everything, and can't be narrowed; leave it out", text)
	}
}
