package backend

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// The whole life of a mount on InfluxDB Cloud: it has fewer endpoints, and shows a token's value once. The other tests
// of tokens run on it, too, but for those that say NotOnCloud: see make unit.
func TestCloud(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.Cloud())
	m.configure(server, map[string]any{"authorization_id": server.RootID()})
	config := m.read("config").Data
	require.Equal(t, []any{"", influxtest.UserName, server.UserID()}, []any{config["server_version"], config["root_user"], config["root_user_id"]})
	check := m.read("check").Data
	require.Equal(t, true, check["healthy"], check)
	require.Equal(t, true, check["token_values_hidden"])

	m.write("roles/app", map[string]any{"read_buckets": influxtest.BucketName, "read_resources": "flows", "user_id": server.UserID()})
	l := m.mint("app")
	m.write("static-roles/telegraf", map[string]any{"write_buckets": influxtest.BucketName})
	m.write("rotate-role/telegraf", map[string]any{"grace_period": 0})
	m.write("roles/all", map[string]any{"token_type": "all-access", "allow_privileged": true})
	all := m.mint("all")
	m.write("config/rotate-root", nil)
	require.NotContains(t, existing(server), server.RootID())
	_, err := l.renew()
	require.NoError(t, err)
	require.NoError(t, all.revoke(t.Context()))
	require.NotContains(t, existing(server), all.id)
	require.Equal(t, tidyDone, m.tidy(nil)["state"])
	m.ok(logical.DeleteOperation, "static-roles/telegraf", nil)
	tidyUpHeld(t, m, server, l)
}

// What Cloud does not have is told as that.
func TestCloudHasNoUsersAndNoSetup(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.Cloud())
	status, text := m.refused(logical.UpdateOperation, "config/setup", founded(server))
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "url: InfluxDB at "+server.URL+" has no setup, as InfluxDB Cloud has none; write its url and a token of it to config instead", text)
	const noUsers = "user: this InfluxDB looks up no users, as InfluxDB Cloud Serverless does not; write user_id instead"
	require.Equal(t, noUsers, m.rejected(logical.UpdateOperation, "config", connectionTo(server, map[string]any{"user": influxtest.UserName})))
	m.configure(server, map[string]any{"user_id": server.UserID()})
	require.Equal(t, noUsers, m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"user": influxtest.UserName, "read_buckets": "*"}))
}
