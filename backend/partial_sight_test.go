package backend

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// A root token may see the tokens of one organization and not those of another: absence from its list then
// proves nothing about the other.
func TestAnUnansweredMintWhereTheRootDoesNotSeeStaysPending(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	beta := server.AddOrg("beta")
	_, root := server.AddToken(server.OrgID(), server.UserID(), append(
		influxtest.AllAccessPermissions(server.OrgID(), server.UserID()),
		influxtest.InOrg("write", "authorizations", beta), influxtest.InOrg("read", "buckets", beta), influxtest.ByID("read", "orgs", beta))...)
	m.write("config", map[string]any{"token": root})
	m.write("roles/beta", map[string]any{"org_id": beta, "read_buckets": "*"})
	server.LoseAnswer("POST", authorizations)
	m.refused(logical.ReadOperation, "creds/beta", nil)
	server.Intercept(nil)
	require.Len(t, m.pendingIDs(), 1)

	m.clock.advance(3 * time.Minute)
	require.NoError(t, m.tick())
	require.Len(t, m.pendingIDs(), 1, "the token is there, and not in the list")
	require.Contains(t, m.log.String(), "read:orgs/"+beta+"/authorizations", "what the root token lacks is named")

	// With the permission the next minute resolves it.
	m.write("config", map[string]any{"token": server.RootToken()})
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Empty(t, live(server))
}

// Where an organization or an owner is gone, a token has nothing left that it could do.
func TestAnUnansweredMintWhereTheOwnerIsGoneIsResolved(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id := server.AddUser("telegraf")
	m.write("roles/owned", map[string]any{"user_id": id, "read_buckets": "*"})
	server.Refuse("POST", authorizations)
	m.refused(logical.ReadOperation, "creds/owned", nil)
	server.Intercept(nil)
	server.DeleteUser(id)
	m.clock.advance(3 * time.Minute)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
}
