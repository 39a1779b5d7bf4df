package e2e

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A token that was made by hand goes on working as it is under a static role, and is then rotated like any other.
func tokenIsImported(t *testing.T, e *engine) func(*testing.T) {
	old := e.byHand(t, e.influx.Onboarding.User.ID, e.grants("read", "write"))
	pair := map[string]any{"authorization_id": old.ID, "token": old.Token, "rotation_period": "24h"}
	e.write(t, "static-roles/imported", pair)
	e.deleteStaticRole(t, "imported")

	imported := e.stands(t, "imported")
	assert.Equal(t, old.Token, imported.token)
	assert.Equal(t, old.ID, imported.id)
	assert.NotEmpty(t, imported.rotated)
	untouched := e.authorization(t, old.ID)
	untouched.Token = old.Token // hidden, or the same
	assert.Equal(t, old, untouched, "InfluxDB's own entry is left as it was")
	read := e.staticRoleNow(t, "imported")
	assert.NotContains(t, read, "token")
	assert.Equal(t, old.ID, read["authorization_id"])

	assert.Empty(t, e.write(t, "static-roles/imported", pair))
	assert.Equal(t, imported, e.stands(t, "imported"), "the same write once more changes nothing")
	next := e.rotate(t, "imported", briefGrace)
	assertEnded := e.watchGrace(t, "imported", old.Token)
	assertWorks(t, e.influx, next.token)
	assert.ElementsMatch(t, old.Permissions, e.authorization(t, next.id).Permissions)
	return func(t *testing.T) {
		assertEnded(t)
		assert.False(t, e.exists(t, old.ID))
		assert.Empty(t, e.write(t, "static-roles/imported", pair))
		assert.Equal(t, next, e.stands(t, "imported"), "nor does it when the token is gone")
	}
}

// An ID and a token that don't belong together are refused: the next rotation would delete another's token.
func TestStaticRoleRefusesAWrongPair(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		owner, other := e.influx.Onboarding.User.ID, newUser(t, e.influx)
		right := e.byHand(t, owner, e.grants("read"))
		stronger := e.byHand(t, owner, e.grants("read", "write"))
		others := e.byHand(t, other.ID, e.grants("read"))
		inactive, err := e.influx.CreateAuthorization(t.Context(), lab.Authorization{
			OrgID: right.OrgID, UserID: owner, Status: "inactive", Permissions: right.Permissions,
		})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, e.influx.DeleteAuthorization(context.Background(), inactive.ID)) })
		lease := e.leaseToken(t)

		for name, wrong := range map[string]struct{ id, token, says string }{
			"a token that may more":     {right.ID, stronger.Token, "authorization_id: " + right.ID + " is not the authorization of the token"},
			"a token that may less":     {stronger.ID, right.Token, "authorization_id: " + stronger.ID + " is not the authorization of the token"},
			"another user's token":      {right.ID, others.Token, "authorization_id: " + right.ID + " is not the authorization of the token"},
			"an inactive authorization": {inactive.ID, right.Token, "authorization_id: " + inactive.ID + " is inactive"},
			"an inactive token":         {right.ID, inactive.Token, "token: InfluxDB does not accept it"},
			"an unknown authorization":  {"0000000000000001", right.Token, "authorization_id: no authorization has the ID"},
			"an unknown token":          {right.ID, "unknown", "token: InfluxDB does not accept it"},
			"an authorization alone":    {right.ID, "", "authorization_id: give it together with token"},
			"a token of a lease":        {lease.id, lease.token, "authorization_id: " + lease.id + " is a lease token"},
			"the root token":            {e.influx.Onboarding.Authorization.ID, e.influx.Operator, "is the root token, which config/rotate-root rotates"},
			"something that is no ID":   {"metrics", right.Token, "authorization_id: must be an ID"},
		} {
			said := e.refuses(t, "static-roles/wrong", map[string]any{"authorization_id": wrong.id, "token": wrong.token})
			assert.Contains(t, said, wrong.says, name)
			assert.False(t, strings.Contains(said, right.Token), "%s: it tells the value", name)
		}
		said := e.refuses(t, "static-roles/wrong", map[string]any{
			"authorization_id": right.ID, "token": right.Token, "read_buckets": bucket, "write_buckets": bucket,
		})
		assert.Contains(t, said, "write_buckets[0]: authorization "+right.ID+" does not grant")
		said = e.refuses(t, "static-roles/wrong", map[string]any{
			"authorization_id": stronger.ID, "token": stronger.Token, "read_buckets": bucket,
		})
		assert.Contains(t, said, "authorization_id: "+stronger.ID+" grants")

		listed, err := e.vault.Logical().ListWithContext(t.Context(), e.path+"/static-roles")
		require.NoError(t, err)
		assert.Nil(t, listed, "nothing was stored")
		for _, a := range []lab.Authorization{right, stronger, others, inactive} {
			now := e.authorization(t, a.ID)
			assert.Equal(t, a.Status, now.Status, "nothing was changed")
		}
	})
}

// grants are some actions on the bucket of Setup.
func (e *engine) grants(actions ...string) []lab.Permission {
	var grants []lab.Permission
	for _, action := range actions {
		grants = append(grants, to(action, "buckets", e.influx.Onboarding.Bucket.ID, e.influx.Onboarding.Org.ID))
	}
	return grants
}

// byHand makes a token as an administrator would, for the time of a test.
func (e *engine) byHand(t *testing.T, userID string, permissions []lab.Permission) lab.Authorization {
	t.Helper()
	made, err := e.influx.CreateAuthorization(t.Context(), lab.Authorization{
		OrgID: e.influx.Onboarding.Org.ID, UserID: userID, Description: "by hand", Permissions: permissions,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.influx.DeleteAuthorization(context.Background(), made.ID) }) // a rotation may have been first
	return made
}

func (e *engine) leaseToken(t *testing.T) minted {
	t.Helper()
	e.role(t, "leased", bucketRole(nil))
	return e.mint(t, "leased")
}
