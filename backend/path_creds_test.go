package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestCredsHandOutATokenWithJustTheRolesPermissions(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")

	token := live(server)[l.id]
	require.Equal(t, token.Token, l.data["token"])
	require.Equal(t, token.Description, l.data["description"])
	require.Equal(t, []influxtest.Permission{
		{Action: "read", Resource: influxtest.Resource{Type: "buckets", ID: server.BucketID(), OrgID: server.OrgID()}},
		{Action: "write", Resource: influxtest.Resource{Type: "buckets", ID: server.BucketID(), OrgID: server.OrgID()}},
	}, token.Permissions)
	require.Equal(t, "acme", l.data["org"])
	require.Equal(t, server.OrgID(), l.data["org_id"])
	require.Equal(t, server.URL, l.data["url"])
	require.True(t, strings.HasPrefix(token.Description,
		"Read buckets metrics Write buckets metrics (vault influxdb/creds/app for token-alice) [vault:v1:"+testUUID+":lease:app:"), token.Description)

	require.Equal(t, 5*time.Minute, l.secret.TTL)
	require.Equal(t, time.Hour, l.secret.MaxTTL)
	require.True(t, l.secret.Renewable)
	require.NotContains(t, l.secret.InternalData, "token")
	for _, value := range l.secret.InternalData {
		require.IsType(t, "", value, "numbers would come back as floats")
	}
}

// A mint with warm caches is one request and writes nothing.
func TestCredsCostOneRequestAndNoWrite(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	server.ResetRequests()
	before := m.storage.writeCount()

	m.mint("app")

	require.Equal(t, before, m.storage.writeCount())
	require.Len(t, server.Requests(), 1)
	require.Equal(t, http.MethodPost, server.Requests()[0].Method)
	require.Equal(t, "/api/v2/authorizations", server.Requests()[0].Path)
}

func TestRevokeDeletesTheToken(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	require.NoError(t, l.revoke(t.Context()))
	require.Empty(t, live(server))
	require.NoError(t, l.revoke(t.Context()), "a second time")
	require.Empty(t, m.pendingIDs())
}

func TestRenewKeepsTheDeadline(t *testing.T) {
	m := newMount(t)
	m.connected()
	l := m.mint("app")
	m.clock.advance(50 * time.Minute)
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "ttl": "5m", "max_ttl": "10h"})
	resp, err := l.renew()
	require.NoError(t, err)
	require.NoError(t, resp.Error())
	require.InDelta(t, time.Hour.Seconds(), resp.Secret.MaxTTL.Seconds(), 30)
	require.Equal(t, l.secret.InternalData, resp.Secret.InternalData)
}

func TestConfigIsTried(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	status, text := m.refused(logical.UpdateOperation, "config", connectionTo(server, map[string]any{"token": "wrong"}))
	require.Equal(t, 400, status)
	require.Equal(t, `token: InfluxDB at `+server.URL+` does not know it (401 "unauthorized access")`, text, "there is no stored one")
	require.Nil(t, m.read("config"))
}
