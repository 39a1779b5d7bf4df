package backend

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

var configWrites = []logical.Operation{logical.UpdateOperation, logical.PatchOperation}

// everything is a configuration that uses every field.
func everything(t testing.TB, server *influxtest.Server) map[string]any {
	t.Helper()
	cert, key := clientPair(t)
	return map[string]any{
		"url": server.URL + "/", "external_url": "https://influx.example:443/base/", "token": server.RootToken(),
		"authorization_id": server.RootID(), "org": "acme", "user": "admin",
		"ca_cert": newAuthority(t).pem(), "client_cert": cert, "client_key": key,
		"tls_server_name": "influx.internal", "tls_min_version": "tls13", "tls_skip_verify": true,
		"request_timeout": "30s", "max_open_connections": 7, "tidy_interval": "30m",
		"rotation_schedule": "0 3 * * SUN", "rotation_window": "2h", "disable_automated_rotation": true,
	}
}

// sameData compares answers, numbers by their value: over the plugin protocol they are float64.
func sameData(t testing.TB, want, got map[string]any) {
	t.Helper()
	wantJSON, err := json.Marshal(want)
	require.NoError(t, err)
	gotJSON, err := json.Marshal(got)
	require.NoError(t, err)
	require.JSONEq(t, string(wantJSON), string(gotJSON))
}

func TestConfigReadsBackAsWritten(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	require.Nil(t, m.read("config"), "nothing is there: 404")
	server := influxtest.New(t)
	data := everything(t, server)
	require.Equal(t, "tls_skip_verify: any certificate is accepted; whoever stands between Vault and InfluxDB can read the root token", warned(m.write("config", data)))

	want := maps.Clone(data)
	delete(want, "token")
	delete(want, "client_key")
	// A PEM file ends in a newline, which is trimmed like the one of a token that is read from a file.
	for _, pem := range []string{"ca_cert", "client_cert"} {
		want[pem] = want[pem].(string)[:len(want[pem].(string))-1]
	}
	want["request_timeout"], want["tidy_interval"] = 30, 1800
	want["org_id"], want["user_id"] = server.OrgID(), server.UserID()
	want["mount_uuid"] = testUUID
	want["root_user"], want["root_user_id"] = "admin", server.UserID()
	want["server_version"], want["product"] = "2.9.1", "v2"
	want["rotation_period"], want["rotation_window"] = 0, 7200
	want["last_vault_rotation"], want["next_vault_rotation"] = "", ""
	sameData(t, want, m.read("config").Data)
}

func TestConfigNeverShowsItsSecrets(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server := influxtest.New(t)
	data := everything(t, server)
	warnings := warned(m.write("config", data))
	encoded, err := json.Marshal(m.read("config").Data)
	require.NoError(t, err)
	require.Contains(t, m.stored().ClientKey, "PRIVATE KEY")
	m.silent(append(server.IssuedTokens(), "PRIVATE KEY", m.stored().ClientKey), string(encoded), warnings)
	require.NotContains(t, m.read("config").Data, "token")
	require.NotContains(t, m.read("config").Data, "client_key")
}

func TestConfigTrimsTheNewlineOfAFile(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	cert, key := clientPair(t)
	for _, end := range []string{"\n", "\r\n"} {
		m.configure(server, map[string]any{"token": server.RootToken() + end, "url": server.URL + end, "org": "acme" + end,
			"client_cert": cert + end, "client_key": key + end})
		stored := m.stored()
		require.Equal(t, server.RootToken(), stored.Token)
		require.Equal(t, server.URL, stored.URL)
		require.Equal(t, "acme", stored.Org)
		require.Equal(t, cert[:len(cert)-1], stored.ClientCert)
		require.Equal(t, key[:len(key)-1], stored.ClientKey)
	}
}

func TestConfigWritesMerge(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server := influxtest.New(t)
	for _, op := range configWrites {
		m.write("config", everything(t, server))
		before := m.stored()
		m.ok(op, "config", map[string]any{"external_url": "http://other:8086"})
		after := m.stored()
		require.NotEqual(t, before.Revision, after.Revision, "caches start afresh")
		before.Revision, before.ExternalURL = after.Revision, "http://other:8086"
		require.Equal(t, before, after)

		m.ok(op, "config", nil)
		before.Revision = m.stored().Revision
		require.Equal(t, before, m.stored(), "a write of nothing changes nothing")
	}
}

// An empty string and a null clear a field, in POST as in PATCH.
func TestConfigFieldsAreCleared(t *testing.T) {
	t.Parallel()
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server := influxtest.New(t)
	cleared := map[string]func(*store.Connection){
		"external_url":         func(c *store.Connection) { c.ExternalURL = "" },
		"authorization_id":     func(c *store.Connection) { c.AuthorizationID = "" },
		"org":                  func(c *store.Connection) { c.Org = "" },
		"user":                 func(c *store.Connection) { c.User, c.Found.Owner, c.Found.OwnerID = "", "", "" },
		"ca_cert":              func(c *store.Connection) { c.CACert = "" },
		"tls_server_name":      func(c *store.Connection) { c.TLSServerName = "" },
		"tls_min_version":      func(c *store.Connection) { c.TLSMinVersion = "" },
		"tls_skip_verify":      func(c *store.Connection) { c.TLSSkipVerify = false },
		"request_timeout":      func(c *store.Connection) { c.RequestTimeout = 10 },
		"max_open_connections": func(c *store.Connection) { c.MaxOpenConnections = 64 },
		"client_cert":          func(c *store.Connection) { c.ClientCert, c.ClientKey = "", "" },
	}
	for field, clear := range cleared {
		for _, op := range configWrites {
			for _, value := range []any{"", nil} {
				m.write("config", everything(t, server))
				want := m.stored()
				clear(want)
				data := map[string]any{field: value}
				if field == "client_cert" {
					data["client_key"] = value
				}
				m.ok(op, "config", data)
				got := m.stored()
				want.Revision = got.Revision
				require.Equal(t, want, got, "%s %s=%v", op, field, value)
			}
		}
	}
}

// By ID and by name are two ways to say one thing: the new one takes the old one's place.
func TestConfigOrgAndUserByNameOrID(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	globex, vault := server.AddOrg("globex"), server.AddUser("vault")
	m.configure(server)
	is := func(org, orgID, user, userID string) {
		t.Helper()
		got := m.stored()
		require.Equal(t, []string{org, orgID, user, userID}, []string{got.Org, got.OrgID, got.User, got.UserID})
	}
	is("acme", "", "", "")
	m.write("config", map[string]any{"org_id": globex, "user_id": vault})
	is("", globex, "", vault)
	data := m.read("config").Data
	require.Equal(t, []any{"globex", globex, "vault", vault}, []any{data["org"], data["org_id"], data["user"], data["user_id"]})

	m.write("config", map[string]any{"org": "acme", "user": "admin"})
	is("acme", "", "admin", "")
	m.write("config", map[string]any{"org": "", "org_id": globex, "user": nil, "user_id": vault})
	is("", globex, "", vault)
	m.write("config", map[string]any{"org": "globex", "org_id": ""})
	is("globex", "", "", vault)

	m.write("roles/app", map[string]any{"read_resources": "tasks"})
	l := m.mint("app")
	require.Equal(t, globex, live(server)[l.id].OrgID)
	require.Equal(t, vault, live(server)[l.id].UserID)
	tidyUp(t, server, l)
}

func TestConfigTakesNumbersAndFlagsInEveryForm(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	numbers := []any{5, 5.0, int64(5), "5", json.Number("5")}
	durations := []any{60, 60.0, "60", "60s", "1m", json.Number("60")}
	flags := []any{true, "true", "1", "T"}
	for i := range max(len(numbers), len(durations), len(flags)) {
		data := map[string]any{}
		for field, forms := range map[string][]any{"max_open_connections": numbers, "request_timeout": durations, "tls_skip_verify": flags} {
			if i < len(forms) {
				data[field] = forms[i]
			}
		}
		m.write("config", connectionTo(server, map[string]any{"max_open_connections": 1, "request_timeout": 1, "tls_skip_verify": false}))
		m.write("config", data)
		if i < len(numbers) {
			require.Equal(t, 5, m.stored().MaxOpenConnections, "%#v", numbers[i])
		}
		if i < len(durations) {
			require.Equal(t, 60, m.stored().RequestTimeout, "%#v", durations[i])
		}
		if i < len(flags) {
			require.True(t, m.stored().TLSSkipVerify, "%#v", flags[i])
		}
	}
	for _, no := range []any{false, "false", "0", "F"} {
		m.write("config", map[string]any{"tls_skip_verify": true})
		m.write("config", map[string]any{"tls_skip_verify": no})
		require.False(t, m.stored().TLSSkipVerify, "%#v", no)
	}
}

func TestCredsAnswerTheExternalURL(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for written, clean := range map[string]string{
		"https://influx.example/":            "https://influx.example",
		"https://influx.example//":           "https://influx.example",
		"https://influx.example/base//a/../": "https://influx.example/base",
		"":                                   server.URL,
	} {
		m.write("config", map[string]any{"url": server.URL + "//", "external_url": written, "token": server.RootToken()})
		require.Equal(t, []any{server.URL + "//", written}, []any{m.read("config").Data["url"], m.read("config").Data["external_url"]})
		l := m.mint("app")
		require.Equal(t, clean, l.data["url"])
		tidyUp(t, server, l)
	}
}
