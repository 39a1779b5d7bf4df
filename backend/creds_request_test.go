package backend

import (
	"testing"
	"time"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestCredsRequestOfATTL(t *testing.T) {
	m := newMount(t)
	server := m.connected() // app: 5 minutes, at most an hour
	const cut = "ttl: 2h0m0s is longer than allowed; the lease has 1h0m0s"
	for _, c := range []struct {
		ttl   any
		want  time.Duration
		warns string
	}{
		{nil, 5 * time.Minute, ""}, {"", 5 * time.Minute, ""}, {0, 5 * time.Minute, ""}, {"0s", 5 * time.Minute, ""},
		{60, time.Minute, ""}, {"60", time.Minute, ""}, {"90s", 90 * time.Second, ""}, {60.0, time.Minute, ""},
		{"1h", time.Hour, ""}, {"2h", time.Hour, cut}, {7200, time.Hour, cut},
	} {
		for _, op := range []logical.Operation{logical.ReadOperation, logical.UpdateOperation} {
			resp := m.ok(op, "creds/app", map[string]any{"ttl": c.ttl})
			require.Equal(t, c.warns, warned(resp))
			l := m.leased(resp)
			require.Equal(t, c.want, l.secret.TTL, "%s %v", op, c.ttl)
			require.Equal(t, time.Hour, l.secret.MaxTTL)
			tidyUp(t, server, l)
		}
	}
}

// A role that names its own organization asks for it at its first mint, and is told when nobody answers.
func TestCredsRequestWhileInfluxDBIsDown(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server := m.connected()
	m.write("roles/named", map[string]any{"read_buckets": "metrics", "org": "acme", "user": "admin"})
	server.Refuse("", "/")
	for _, role := range []string{"app", "named"} {
		status, text := m.refused(logical.ReadOperation, "creds/"+role, nil)
		require.Equal(t, 502, status, text)
		m.silent(server.IssuedTokens(), text)
	}
	require.Contains(t, warned(m.write("roles/named", map[string]any{"read_buckets": "metrics", "org": "acme"})), "stored without a look at InfluxDB")
}
