package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A token that was made by hand goes on working as it is under a static role, and is then rotated like any other.
func tokenIsImported(t *testing.T, e *engine) func(*testing.T) {
	made := func(actions ...string) lab.Authorization {
		return byHand(t, e.influx, e.influx.Onboarding.Org.ID, e.influx.Onboarding.User.ID, e.grants(actions...)...)
	}
	old, weaker := made("read", "write"), made("read")
	if !e.influx.HashesTokens { // it shows the values of tokens; elsewhere a pair of one owner is trusted
		for _, wrong := range [][2]string{{old.ID, weaker.Token}, {weaker.ID, old.Token}} {
			assert.Contains(t, e.refuses(t, "static-roles/imported", map[string]any{"authorization_id": wrong[0], "token": wrong[1]}),
				"authorization_id: "+wrong[0]+" is not the authorization of the token")
		}
	}
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

// grants are some actions on the bucket of Setup.
func (e *engine) grants(actions ...string) []lab.Permission {
	var grants []lab.Permission
	for _, action := range actions {
		grants = append(grants, to(action, "buckets", e.influx.Onboarding.Bucket.ID, e.influx.Onboarding.Org.ID))
	}
	return grants
}
