package backend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// What errors sound like: the ten messages that the design spells out, to the letter.

// sounds sends a request that fails with this status and this text.
func (m *testMount) sounds(status int, text string, op logical.Operation, path string, data map[string]any) {
	m.t.Helper()
	before := m.snapshot()
	gotStatus, gotText := m.refused(op, path, data)
	require.Equal(m.t, text, gotText)
	require.Equal(m.t, status, gotStatus)
	require.Equal(m.t, before, m.snapshot(), "nothing is stored")
}

func TestMessageNotConfigured(t *testing.T) {
	m := newMount(t)
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	m.sounds(400, "influxdb is not configured: write url, token and org to influxdb/config first",
		logical.ReadOperation, "creds/app", nil)
}

func TestMessageUnknownToken(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.sounds(400, `token: InfluxDB at `+server.URL+` does not know it (401 "unauthorized access"); the stored configuration is unchanged`,
		logical.UpdateOperation, "config", map[string]any{"token": "nonsense"})
}

func TestMessageRootTokenLacksItsUser(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	vault := server.AddUser("vault")
	_, token := server.AddToken(server.OrgID(), server.UserID(),
		influxtest.Everywhere("read", "orgs"), influxtest.Everywhere("read", "users"),
		influxtest.InOrg("read", "authorizations", server.OrgID()), influxtest.InOrg("write", "authorizations", server.OrgID()))
	m.sounds(400, `token lacks write:users/`+vault+`, needed to create tokens for user "vault"; see docs/root-token.md`,
		logical.UpdateOperation, "config", connectionTo(server, map[string]any{"token": token, "user": "vault"}))
}

func TestMessageInfluxDB3(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.Version("3.1.0"))
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.URL.Path != "/ping" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("X-Influxdb-Version", "3.1.0")
		w.Header().Set("X-Influxdb-Build", "Cloud Dedicated")
		w.WriteHeader(http.StatusOK)
	})
	m.sounds(400, "url: this is InfluxDB 3.1.0 Cloud Dedicated; only InfluxDB 2.x, Cloud 2 and InfluxDB 3 Core and Enterprise have tokens that can be managed",
		logical.UpdateOperation, "config", connectionTo(server))
}

func TestMessagesOfRoles(t *testing.T) {
	m := newMount(t)
	m.connected()
	for _, c := range []struct {
		text string
		data map[string]any
	}{
		{`read_buckets[1]: no bucket "metrcs" in org "acme"; buckets there that look alike: metrics`,
			map[string]any{"read_buckets": "metrics,metrcs"}},
		{`write_buckets[0]: no bucket named "03a2bbf46309a000"; if this is an ID write id:03a2bbf46309a000`,
			map[string]any{"write_buckets": "03a2bbf46309a000"}},
		{`read_resources[0]: "metrics" is not a resource type (buckets, tasks, …); for a bucket use read_buckets`,
			map[string]any{"read_resources": "metrics"}},
		{`token_type all-access can read and make other tokens of org "acme"; if that is meant, set allow_privileged=true`,
			map[string]any{"token_type": "all-access"}},
		{`role "app" would grant nothing: a write replaces the whole role; to change one field use vault patch influxdb/roles/app ttl=5m`,
			map[string]any{"ttl": "5m"}},
	} {
		m.sounds(400, c.text, logical.UpdateOperation, "roles/app", c.data)
	}
}

// What is said to typical mistakes: what is wrong, where, and what was meant.
func TestMessagesOfMistakes(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	server.AddUser("vault")
	const permissions = `permissions: must be a JSON list of objects such as [{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}]; `
	const roleFields = "allow_privileged, clone_from, description, max_leases, max_ttl, org, org_id, permissions, read_buckets, read_databases, read_resources, token_type, ttl, user, user_id, verify, write_buckets, write_databases, write_resources"
	asPrinted := `[{"id":"03a2bbf46309a000","token":"` + canary + `","permissions":["read:orgs/x/buckets/y"]}]`
	for name, c := range map[string]struct {
		path string
		data map[string]any
		text string
	}{
		"token type":                  {"roles/x", map[string]any{"token_type": "all_access"}, `token_type: "all_access" is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin`},
		"token type of a static role": {"static-roles/x", map[string]any{"token_type": "all_access"}, `token_type: "all_access" is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin`},

		"one bucket, by name": {"roles/x", map[string]any{"permissions": `[{"action":"read","resource":{"type":"bucket","name":"metrics"}}]`},
			`permissions[0].resource.type: "bucket" is not a resource type (buckets, tasks, …); did you mean buckets?`},
		"one bucket":            {"roles/x", map[string]any{"permissions": `[{"action":"read","resource":{"type":"bucket"}}]`}, `permissions[0]: "bucket" is not a resource type (buckets, tasks, …); did you mean buckets?`},
		"bucket as a type":      {"roles/x", map[string]any{"read_resources": "bucket"}, `read_resources[0]: "bucket" is not a resource type (buckets, tasks, …); for a bucket use read_buckets`},
		"one task":              {"roles/x", map[string]any{"write_resources": "task"}, `write_resources[0]: "task" is not a resource type (buckets, tasks, …); did you mean tasks?`},
		"a bucket's name as ID": {"roles/x", map[string]any{"permissions": `[{"action":"read","resource":{"type":"buckets","id":"metrics"}}]`}, `permissions[0].resource.id: "metrics" is not an ID of 16 hexadecimal digits; a bucket's name is written to name`},
		"an org's name as ID":   {"roles/x", map[string]any{"permissions": `[{"action":"read","resource":{"type":"buckets","orgID":"acme"}}]`}, `permissions[0].resource.orgID: "acme" is not an ID of 16 hexadecimal digits, nor "*" for every organization; a name is written to org`},

		"byte order mark":    {"roles/x", map[string]any{"permissions": "\ufeff[]"}, permissions + "it begins with a byte order mark: save the file without one"},
		"UTF-16":             {"roles/x", map[string]any{"permissions": "\ufffd\ufffd[\x00]\x00"}, permissions + "it is not UTF-8: save the file in that encoding"},
		"trailing comma":     {"roles/x", map[string]any{"permissions": "[\n  {\"action\": \"read\"},\n ]"}, permissions + "line 3, column 2: a comma stands before ]"},
		"comma in an object": {"roles/x", map[string]any{"permissions": `[{"action": "read", }]`}, permissions + "line 1, column 21: a comma stands before }"},
		"single quotes":      {"roles/x", map[string]any{"permissions": `[{'action': 'read'}]`}, permissions + `line 1, column 3: '\'' can't stand here`},
		"cut off":            {"roles/x", map[string]any{"permissions": `[{"action": "read"`}, permissions + "it ends too early"},
		"words":              {"roles/x", map[string]any{"permissions": `["read:buckets"]`}, permissions + "element 0 is a string"},
		"a word as object":   {"roles/x", map[string]any{"permissions": []any{map[string]any{"action": "read"}, "read:buckets"}}, permissions + "element 1 is a string"},
		"one object":         {"roles/x", map[string]any{"permissions": `{"action":"read"}`}, permissions + "this is one object"},
		"influx auth list":   {"roles/x", map[string]any{"permissions": asPrinted}, permissions + "element 0 is an authorization, as influx auth list --json prints it: to copy what it may do, write its ID to clone_from"},
		"a file's name":      {"roles/x", map[string]any{"permissions": "perms.json"}, permissions + "this looks like the name of a file; send what is in it, with the vault command as permissions=@<file>"},
		"list in JSON":       {"roles/x", map[string]any{"read_buckets": `["metrics",]`}, "read_buckets: starts with [ but is not a JSON list of strings; line 1, column 12: a comma stands before ]"},

		"field":          {"roles/x", map[string]any{"read_bucket": "metrics"}, "read_bucket: unknown field; allowed here: " + roleFields + "; did you mean read_buckets?"},
		"fields":         {"roles/x", map[string]any{"read_bucket": "a", "tttl": "5m", "zzzz": 1}, "read_bucket: unknown field; allowed here: " + roleFields + "; did you mean read_buckets?\ntttl: unknown field; did you mean ttl?\nzzzz: unknown field"},
		"keys":           {"roles/x", map[string]any{"permissions": `[{"action":"read","resource":{"type":"buckets","orgId":"x","bucket":"y"}}]`}, "permissions[0].resource.bucket: unknown key; allowed: type, id, name, org, orgID\npermissions[0].resource.orgId: unknown key; did you mean orgID?"},
		"organization":   {"roles/x", map[string]any{"read_buckets": "metrics", "org": "acm"}, `org: no organization "acm" that the root token can see; did you mean acme?`},
		"user":           {"roles/x", map[string]any{"read_buckets": "metrics", "user": "vualt"}, `user: no user "vualt" that the root token can see; did you mean vault?`},
		"user of config": {"config", map[string]any{"user": "vualt"}, `user: no user "vualt", which config names, that the root token can see; did you mean vault?`},
		"org of config":  {"config", map[string]any{"org": "acm"}, `org: no organization "acm" that the root token can see; did you mean acme?`},

		"a name as the user's ID":   {"roles/x", map[string]any{"read_buckets": "metrics", "user_id": "admin"}, `user_id: "admin" is not an ID of 16 hexadecimal digits; a name is written to user`},
		"a name as the org's ID":    {"roles/x", map[string]any{"read_buckets": "metrics", "org_id": "acme"}, `org_id: "acme" is not an ID of 16 hexadecimal digits; a name is written to org`},
		"a name as an ID in config": {"config", map[string]any{"user_id": "admin", "org": "", "org_id": "acme"}, "org_id: must be an ID of 16 hexadecimal digits; a name is written to org\nuser_id: must be an ID of 16 hexadecimal digits; a name is written to user"},

		"a certificate's file": {"config", map[string]any{"ca_cert": "/etc/ssl/ca.pem"}, "ca_cert: looks like the name of a file; send what is in it, with the vault command as ca_cert=@<file>"},
		"both of a pair":       {"config", map[string]any{"client_cert": "a.crt", "client_key": "@a.key"}, "client_cert: looks like the name of a file; send what is in it, with the vault command as client_cert=@<file>\nclient_key: looks like the name of a file; send what is in it, with the vault command as client_key=@<file>"},
		"a token's file":       {"config", map[string]any{"token": "root.token"}, `token: InfluxDB at ` + server.URL + ` does not know it (401 "unauthorized access"); it looks like the name of a file; send what is in it, with the vault command as token=@<file>` + unchangedText},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			m.sounds(400, c.text, logical.UpdateOperation, c.path, c.data)
		})
	}
}

// What nothing is stored of can't be unchanged.
func TestMessageOfAFirstConfiguration(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	m.sounds(400, `token: InfluxDB at `+server.URL+` does not know it (401 "unauthorized access")`, logical.UpdateOperation, "config", connectionTo(server, map[string]any{"token": "nonsense"}))
}

func TestMessageOverTheCap(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server, limit := m.connected(), 500
	if !atLength() {
		limit = 5
	}
	text := fmt.Sprintf(`role "telegraf" has %d live tokens, its max_leases; a client that reads creds/ again and again should read static-creds/`, limit)
	m.write("roles/telegraf", map[string]any{"write_buckets": "metrics", "max_leases": limit})
	var last *leased
	for range limit {
		last = m.mint("telegraf")
	}
	server.ResetRequests()
	for _, op := range []logical.Operation{logical.ReadOperation, logical.UpdateOperation} {
		m.sounds(http.StatusTooManyRequests, text, op, "creds/telegraf", nil)
	}
	require.Empty(t, server.Requests(), "it costs InfluxDB nothing")
	m.mint("app") // other roles are not touched

	require.NoError(t, last.revoke(t.Context()))
	m.mint("telegraf")
	m.sounds(http.StatusTooManyRequests, text, logical.ReadOperation, "creds/telegraf", nil)
}

// The path in a message is the mount's own.
func TestMessagesNameTheMount(t *testing.T) {
	m := newMount(t)
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	for _, c := range []struct {
		op         logical.Operation
		path, says string
	}{
		{logical.ReadOperation, "creds/app", "write url, token and org to team/metrics/config first"},
		{logical.ReadOperation, "creds/other", `role "other" does not exist; vault list team/metrics/roles shows those that do`},
		{logical.CreateOperation, "roles/app", "use vault patch team/metrics/roles/app ttl=5m"},
	} {
		resp, err := m.vault.HandleRequest(t.Context(), &logical.Request{
			Operation: c.op, Path: c.path, MountPoint: "team/metrics/", Storage: m.storage, DisplayName: "token",
		})
		_, text := refusal(t, resp, err)
		require.True(t, strings.HasSuffix(text, c.says), text)
	}
}
