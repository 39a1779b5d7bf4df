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
		w.Header().Set("X-Influxdb-Build", "Core")
		w.WriteHeader(http.StatusOK)
	})
	m.sounds(400, "url: this is InfluxDB 3.1.0 Core; only InfluxDB 2.x and Cloud 2 have /api/v2/authorizations",
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

func TestMessageOverTheCap(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server, limit := m.connected(), 500
	if overGRPC { // where it is the status that counts
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
