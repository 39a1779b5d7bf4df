package backend

import (
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// canary stands wherever a secret could be written, in the right place or a wrong one.
const canary = "c4naryValueThatNobodyMaySee"

// bad is a request that can't be right: its body, and what the answer has to say.
type bad struct {
	name string
	data map[string]any
	// says are parts of the answer: the field, and what is allowed.
	says []string
}

// wrong is a bad value of one field.
func wrong(field, name string, value any, says ...string) bad {
	return bad{field + ": " + name, map[string]any{field: value}, append([]string{field}, says...)}
}

// notText are the values that a text field refuses. A null clears it.
func notText(field string) []bad {
	allowed := "must be a string"
	return []bad{
		wrong(field, "number", 7, allowed), wrong(field, "boolean", true, allowed),
		wrong(field, "list", []any{canary}, allowed), wrong(field, "object", map[string]any{"value": canary}, allowed),
	}
}

func tooLong(field string, most int, allowed string) []bad {
	return []bad{
		wrong(field, "too long", strings.Repeat("x", most+1), "too long", allowed),
		wrong(field, "long list", []any{strings.Repeat("x", most+1)}, "too long", allowed),
	}
}

func notFlag(field string) []bad {
	allowed := "must be true or false"
	return []bad{
		wrong(field, "word", "yes", allowed), wrong(field, "number", 2, allowed), wrong(field, "fraction", 0.5, allowed),
		wrong(field, "list", []any{true}, allowed), wrong(field, "object", map[string]any{"value": canary}, allowed),
	}
}

func notNumber(field string) []bad {
	allowed := "must be a whole number, 0 or more"
	return []bad{
		wrong(field, "word", "many", allowed), wrong(field, "negative", -1, allowed), wrong(field, "negative text", "-1", allowed),
		wrong(field, "fraction", 1.5, allowed), wrong(field, "fraction text", "1.5", allowed), wrong(field, "boolean", true, allowed),
		wrong(field, "huge", 1e30, allowed), wrong(field, "huge text", "99999999999999999999", allowed),
		wrong(field, "list", []any{1}, allowed), wrong(field, "object", map[string]any{"value": 1}, allowed),
	}
}

func notDuration(field string) []bad {
	allowed := "must be a duration of 0 to 100 years in whole seconds: a number of seconds, or such as 90s, 15m, 24h, 30d"
	return []bad{
		wrong(field, "word", "soon", allowed), wrong(field, "unknown unit", "3w", allowed), wrong(field, "days and hours", "1d1h", allowed),
		wrong(field, "negative", -1, allowed), wrong(field, "negative text", "-1s", allowed),
		wrong(field, "part of a second", 1.5, allowed), wrong(field, "part of a second in text", "1500ms", allowed),
		wrong(field, "200 years", 200*365*24*3600, allowed), wrong(field, "200 years in text", "73000d", allowed),
		wrong(field, "overflow", 20000000000, allowed), wrong(field, "overflow in text", "99999999999999999999", allowed),
		wrong(field, "boolean", true, allowed), wrong(field, "list", []any{60}, allowed), wrong(field, "object", map[string]any{}, allowed),
	}
}

// veryLong is one byte more than a list may have.
var veryLong = strings.Repeat("x", 1<<20+1)

func notList(field string) []bad {
	allowed := "must be a list of strings: a JSON list, or one string with commas between the names"
	return []bad{
		wrong(field, "number", 7, allowed), wrong(field, "boolean", true, allowed), wrong(field, "object", map[string]any{"a": "b"}, allowed),
		wrong(field, "broken JSON", `["a"`, "starts with [ but is not a JSON list of strings"),
		wrong(field, "JSON of numbers", `[1]`, "starts with [ but is not a JSON list of strings"),
		wrong(field, "JSON and more", `["a"],b`, "starts with [ but is not a JSON list of strings"),
		wrong(field, "number in it", []any{"a", 7}, "element 1 must be a string"),
		wrong(field, "null in it", []any{nil}, "element 0 must be a string"),
		wrong(field, "list in it", []any{[]any{"a"}}, "element 0 must be a string"),
		wrong(field, "too long", veryLong, "too long", "at most 1048576 are allowed"),
	}
}

func badID(field string) []bad {
	return []bad{
		wrong(field, "not hexadecimal", "03a2bbf46309a00g", "16 hexadecimal digits"),
		wrong(field, "too short", "03a2bbf46309a0", "16 hexadecimal digits"),
		wrong(field, "all zero", "0000000000000000", "16 hexadecimal digits"),
		wrong(field, "name", "acme", "16 hexadecimal digits"),
	}
}

// refuseAll sends every bad body, laid over a good one. Each is a 400 that names the field and what is allowed;
// nothing is stored and no secret repeated.
func refuseAll(t *testing.T, m *testMount, op logical.Operation, path string, good map[string]any, cases []bad) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			data := maps.Clone(c.data)
			for field, value := range good {
				if _, given := data[field]; !given {
					data[field] = value
				}
			}
			text := m.in(t).rejected(op, path, data)
			for _, part := range c.says {
				require.Contains(t, text, part)
			}
			require.LessOrEqual(t, len(text), 1000, "what was sent is not sent back")
			m.in(t).silent([]string{canary}, text)
		})
	}
}

func TestBadConfig(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	var cases []bad
	for _, text := range []string{"url", "external_url", "token", "authorization_id", "org", "org_id", "user", "user_id", "tls_server_name", "tls_min_version"} {
		cases = append(append(cases, notText(text)...), tooLong(text, 1024, "at most 1024 are allowed")...)
	}
	for _, pem := range []string{"ca_cert", "client_cert", "client_key"} {
		cases = append(append(cases, notText(pem)...), tooLong(pem, 64<<10, "at most 65536 are allowed")...)
	}
	for _, id := range []string{"authorization_id", "org_id", "user_id"} {
		cases = append(cases, badID(id)...)
	}
	for _, flag := range []string{"tls_skip_verify", "verify_connection", "abandon_previous"} {
		cases = append(cases, notFlag(flag)...)
	}
	cases = append(append(append(cases, notNumber("max_open_connections")...), notDuration("request_timeout")...), badConfigValues(t)...)
	for _, op := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
		t.Run(string(op), func(t *testing.T) { refuseAll(t, m, op, "config", nil, cases) })
	}
	m.silent(append(server.IssuedTokens(), "PRIVATE KEY"))
	tidyUp(t, server, m.mint("app"))
}

// badConfigValues are values of the right type that can't be used.
func badConfigValues(t *testing.T) []bad {
	cert, key := clientPair(t)
	other, _ := clientPair(t)
	cases := []bad{
		wrong("url", "empty", "", "missing; the base URL of InfluxDB"),
		wrong("url", "null", nil, "missing; the base URL of InfluxDB"),
		wrong("token", "empty", "", "missing; the root token of InfluxDB, see docs/root-token.md"),
		wrong("token", "null", nil, "missing"),
		wrong("token", "space in it", canary+" "+canary, "allowed: printable ASCII without spaces"),
		wrong("token", "line break in it", canary+"\n"+canary, "printable ASCII"),
		wrong("token", "not ASCII", canary+"ä", "printable ASCII"),
		wrong("authorization_id", "the token by mistake", canary, "16 hexadecimal digits"),
		wrong("request_timeout", "zero", 0, "must be 1s to 1m"),
		wrong("request_timeout", "too long", "61s", "must be 1s to 1m"),
		wrong("max_open_connections", "zero", "0", "must be 1 to 10000"),
		wrong("max_open_connections", "too many", 10001, "must be 1 to 10000"),
		wrong("tls_min_version", "too old", "tls11", "allowed: tls12, tls13"),
		wrong("tls_min_version", "another way to write it", "TLS1.2", "allowed: tls12, tls13"),
		wrong("ca_cert", "no PEM", canary, "allowed: one or more certificates in PEM form"),
		wrong("ca_cert", "a key", key, "allowed: one or more certificates in PEM form"),
		{"client_cert alone", map[string]any{"client_cert": cert}, []string{"client_key: missing; client_cert needs its key"}},
		{"client_key alone", map[string]any{"client_key": canary}, []string{"client_cert: missing; client_key needs its certificate"}},
		{"client_key is no key", map[string]any{"client_cert": cert, "client_key": canary}, []string{"client_cert: does not form a pair with client_key"}},
		{"client_key of another certificate", map[string]any{"client_cert": other, "client_key": key}, []string{"client_cert: does not form a pair with client_key"}},
		{"org and org_id", map[string]any{"org": "acme", "org_id": "03a2bbf46309a000"}, []string{"org: give either org or org_id"}},
		{"user and user_id", map[string]any{"user": "admin", "user_id": "03a2bbf46309a000"}, []string{"user: give either user or user_id"}},
		{"unknown field", map[string]any{"uri": canary}, []string{"uri: unknown field; allowed here: ", "external_url, max_open_connections"}},
		{"unknown field, long", map[string]any{strings.Repeat("y", 5000): 1}, []string{"yyy…: unknown field"}},
		{"several at once", map[string]any{"url": "ftp://a", "user_id": "x", "max_open_connections": 0}, []string{"url: must be", "user_id: must be", "max_open_connections: must be"}},
		{"several of the wrong type", map[string]any{"url": 1, "token": []any{canary}, "nonsense": 1}, []string{"url: must be", "token: must be", "nonsense: unknown"}},
	}
	for _, field := range []string{"url", "external_url"} {
		for name, value := range map[string]string{
			"no scheme": "influxdb:8086", "other scheme": "ftp://influxdb:8086", "no host": "https://", "not a URL": "http://[::1",
			"bare host": "influxdb", "line break": "http://a\nb",
		} {
			cases = append(cases, wrong(field, name, value, "must be an http or https URL, such as https://influxdb.example:8086"))
		}
		cases = append(cases,
			wrong(field, "user name", "http://u:"+canary+"@influxdb:8086", "holds a user name; the token is written to the token field"),
			wrong(field, "query", "http://influxdb:8086/?token="+canary, "write the base URL alone"),
			wrong(field, "fragment", "http://influxdb:8086/#"+canary, "write the base URL alone"))
	}
	return cases
}

// A first write has to say where and with what.
func TestConfigNeedsURLAndToken(t *testing.T) {
	m := newMount(t)
	for _, op := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
		text := m.rejected(op, "config", nil)
		require.Contains(t, text, "url: missing; the base URL of InfluxDB")
		require.Contains(t, text, "token: missing; the root token of InfluxDB")
		require.Contains(t, m.rejected(op, "config", map[string]any{"url": influxtest.New(t).URL}), "token: missing")
	}
}
