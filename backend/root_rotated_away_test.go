package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// What Terraform writes with each apply holds the token it was given at first. That one is gone, and stays so; the
// other fields apply.
func TestARotatedRootTokenStaysAway(t *testing.T) {
	eachStorageOfTokens(t, func(t *testing.T, m *testMount, server *influxtest.Server, _ bool) {
		applied := connectionTo(server, map[string]any{"authorization_id": server.RootID(), "request_timeout": "20s"})
		m.write("config", applied)
		require.Empty(t, warned(m.write("config", applied)), "before the rotation it is like any write")
		m.write("config/rotate-root", nil)
		root := m.stored()
		for _, op := range []logical.Operation{logical.UpdateOperation, logical.PatchOperation} {
			for _, verified := range []bool{true, false} {
				applied["request_timeout"], applied["verify_connection"] = "30s", verified
				require.Contains(t, warned(m.ok(op, "config", applied)), "token: this one was rotated away; the current root token stays")
				now := m.stored()
				require.Equal(t, []any{root.Token, root.AuthorizationID, root.RootNonce, 30}, []any{now.Token, now.AuthorizationID, now.RootNonce, now.RequestTimeout})
				require.Equal(t, root.LastRotation, now.LastRotation)
			}
		}
		m.write("config/rotate-root", nil)
		require.Contains(t, warned(m.write("config", applied)), "rotated away", "also after another rotation")
		require.Len(t, server.Tokens(), 1)
		for _, id := range []string{server.RootID(), ""} {
			root = m.stored()
			require.Contains(t, warned(m.write("config", map[string]any{"authorization_id": id, "request_timeout": "40s"})),
				"authorization_id: the root token was made by a rotation and is "+root.AuthorizationID+", which stays")
			require.Equal(t, []any{root.Token, root.AuthorizationID, root.RootNonce, 40},
				[]any{m.stored().Token, m.stored().AuthorizationID, m.stored().RootNonce, m.stored().RequestTimeout})
		}

		// Another token is another matter, and so is a configuration that was deleted on purpose.
		id, value := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
		require.Empty(t, warned(m.write("config", map[string]any{"token": value, "authorization_id": id, "verify_connection": true})))
		m.write("config/rotate-root", nil)
		require.NotContains(t, existing(server), id)
		tidyUpHeld(t, m, server, m.mint("app"))
	})
}

// A configuration that was deleted and written anew is a new beginning: so a restored InfluxDB can be connected again.
func TestADeletedConfigurationForgetsWhatWasRotatedAway(t *testing.T) {
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	m.write("config/rotate-root", nil)
	m.ok(logical.DeleteOperation, "config", nil)
	require.NotContains(t, warned(m.write("config", connectionTo(server, map[string]any{"verify_connection": false}))), "rotated away")
	require.Equal(t, server.RootToken(), m.stored().Token)
}

// A token that was rotated away lies about in old files. It must not serve to have the current one sent elsewhere.
func TestARotatedTokenDoesNotLeadTheCurrentOneElsewhere(t *testing.T) {
	for _, verified := range []bool{true, false} {
		m := newMount(t)
		server, elsewhere := m.connected(influxtest.HashedTokens(false)), influxtest.New(t)
		m.write("config/rotate-root", nil)
		elsewhere.ResetRequests()
		require.Contains(t, m.rejected(logical.UpdateOperation, "config", connectionTo(server, map[string]any{"url": elsewhere.URL, "verify_connection": verified})),
			"token: this one was rotated away, and the current one is not sent to another host than "+server.URL)
		require.Empty(t, elsewhere.Requests())
		tidyUpHeld(t, m, server, m.mint("app"))
	}
}

// A restored InfluxDB knows the token again that was rotated away, and not the current one.
func TestARestoredInfluxDBIsSaidHowToConnectTo(t *testing.T) {
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	m.write("config/rotate-root", nil)
	m.storedToken(canary)
	text := m.rejected(logical.UpdateOperation, "config", connectionTo(server))
	require.Contains(t, text, "does not know it")
	require.Contains(t, text, "where InfluxDB was restored and knows that one again, delete the configuration and write it anew, see docs/recovery.md")
}
