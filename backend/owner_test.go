package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// InfluxDB would make the tokens of an inactive owner, and refuse each use of them.
func TestConfigRefusesAnInactiveOwner(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	id := server.AddUser("telegraf")
	server.SetUserActive(id, false)
	for _, owner := range []map[string]any{{"user": "telegraf"}, {"user_id": id}} {
		status, text := m.refused(logical.UpdateOperation, "config", connectionTo(server, owner))
		require.Equal(t, 400, status)
		require.Equal(t, `user: "telegraf" is inactive: its tokens would be refused`, text)
	}
	require.Nil(t, m.read("config"))
}
