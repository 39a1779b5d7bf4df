package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestTheRootTokensIDIsFoundWhereValuesAreShown(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.HashedTokens(false))
	m.configure(server)
	require.Equal(t, server.RootID(), m.read("config").Data["authorization_id"])
}

// A list of 100,000 tokens takes seconds: what was found is not looked for again in each check.
func TestTheRootTokensIDIsLookedForOnce(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.HashedTokens(false))
	m.configure(server)
	require.Equal(t, 1, lists(server))
	for range 2 {
		require.True(t, m.examine(server, "").healthy)
	}
	m.configure(server)
	require.Equal(t, 1, lists(server))
	require.Equal(t, server.RootID(), m.read("config").Data["authorization_id"])

	id, other := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	m.write("config", map[string]any{"token": other})
	require.Equal(t, id, m.read("config").Data["authorization_id"], "the one that was found is another token's")
	server.DeleteToken(id)
	m.configure(server)
	require.Equal(t, server.RootID(), m.read("config").Data["authorization_id"], "the one that was found is gone")
}

func TestTheRootTokensIDIsNotGuessedWhereValuesAreHidden(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	m.configure(server)
	require.Empty(t, m.read("config").Data["authorization_id"])
	m.write("config", map[string]any{"authorization_id": server.RootID()})
	require.Equal(t, server.RootID(), m.read("config").Data["authorization_id"])
}

func TestAnIDOfAnotherTokenIsRefused(t *testing.T) {
	for _, hashed := range []bool{true, false} {
		m := newMount(t)
		server := influxtest.New(t, influxtest.HashedTokens(hashed))
		foreign, _ := server.AddToken(server.OrgID(), server.AddUser("other"), influxtest.Everywhere("read", "buckets"))
		own, _ := server.AddToken(server.OrgID(), server.UserID(), influxtest.Everywhere("read", "buckets"))
		for id, says := range map[string]string{
			"03a2bbf46309a000": "authorization_id: no authorization has the ID 03a2bbf46309a000",
			foreign:            "authorization_id: " + foreign + " is another token than the one in token",
		} {
			status, text := m.refused(logical.UpdateOperation, "config", connectionTo(server, map[string]any{"authorization_id": id}))
			require.Equal(t, 400, status)
			require.Equal(t, says, text)
		}
		if !hashed { // where values are hidden, another token of the same user can't be told apart
			_, text := m.refused(logical.UpdateOperation, "config", connectionTo(server, map[string]any{"authorization_id": own}))
			require.Contains(t, text, "is another token")
		}
		require.Nil(t, m.read("config"))
	}
}

// The ID of the old token would let a rotation delete the wrong one.
func TestANewTokenForgetsTheOldOnesID(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	m.configure(server, map[string]any{"authorization_id": server.RootID()})
	id, other := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	m.write("config", map[string]any{"token": server.RootToken()})
	require.Equal(t, server.RootID(), m.read("config").Data["authorization_id"], "the same token again")
	m.write("config", map[string]any{"token": other})
	require.Empty(t, m.read("config").Data["authorization_id"])
	m.write("config", map[string]any{"token": server.RootToken(), "authorization_id": server.RootID()})
	m.write("config", map[string]any{"token": other, "authorization_id": id})
	require.Equal(t, id, m.read("config").Data["authorization_id"])
}

// A root token that may not read authorizations is taken at its word.
func TestAnIDThatCanNotBeReadIsStored(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	id, token := server.AddToken(server.OrgID(), server.UserID(), append(
		influxtest.MintingPermissions(server.OrgID(), server.UserID()), influxtest.ByID("read", "orgs", server.OrgID()))...)
	m.configure(server, map[string]any{"token": token, "authorization_id": id})
	require.Equal(t, id, m.read("config").Data["authorization_id"])
}

func TestCheckSaysWhyADeletionFails(t *testing.T) {
	m := newMount(t)
	_, server := pendingDeletion(t, m)
	server.Fail("DELETE", authorizations, 401, "application/json", `{"code":"unauthorized","message":"write:users/0000000000000001 is unauthorized"}`)
	require.NoError(t, m.tick())
	require.Contains(t, m.read("check").Data["problems"], "1 deletions are pending, the oldest since "+m.read("check").Data["oldest_pending"].(string)+
		": InfluxDB refuses them or is out of reach; each is tried again every minute")
	require.Contains(t, listOf(m.read("check").Data["problems"])[1], "write:users/0000000000000001 is unauthorized")
}
