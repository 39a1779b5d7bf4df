package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A static token that somebody deletes in InfluxDB is replaced by the next pass.
func TestStaticTokenDeletedByHandIsReplaced(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.staticRole(t, "meter", nil)
		e.staticRole(t, "other", nil)
		lost, other := e.stands(t, "meter"), e.stands(t, "other")
		require.NoError(t, e.influx.DeleteAuthorization(t.Context(), lost.id))

		assert.Equal(t, "done", e.tidy(t, nil)["state"])
		healed := e.stands(t, "meter")
		assert.NotEqual(t, lost.token, healed.token)
		assertWorks(t, e.influx, healed.token)
		assert.Equal(t, other, e.stands(t, "other"))
		assert.Len(t, e.staticTokens(t), 2)
	})
}

// A Vault that was restored from a snapshot hands out a token that was rotated away since, until the next pass.
func TestStaticRolesOfARestoredVaultHeal(t *testing.T) {
	t.Parallel()
	vault := newVaultOn(t, "raft")
	var engines []*engine
	for _, version := range versions {
		e := engineIn(t, vault, "influxdb-"+version, influxOf(t, version))
		e.staticRole(t, "meter", map[string]any{"grace_period": 0})
		engines = append(engines, e)
	}
	snapshot, err := vault.Snapshot(t.Context())
	require.NoError(t, err)
	old, newer := map[string]standing{}, map[string]standing{}
	for _, e := range engines {
		old[e.path], newer[e.path] = e.stands(t, "meter"), e.rotate(t, "meter", "0")
		assert.Equal(t, http.StatusUnauthorized, writes(t, e.influx, old[e.path].token))
	}

	require.NoError(t, vault.Restore(t.Context(), snapshot, vault))
	for _, e := range engines {
		require.Equal(t, old[e.path], e.stands(t, "meter"), "as it was then")
		assert.Equal(t, "done", e.tidy(t, nil)["state"])
		healed := e.stands(t, "meter")
		assertWorks(t, e.influx, healed.token)
		assert.ElementsMatch(t, []string{healed.id, newer[e.path].id}, e.staticTokens(t),
			"what was made after the snapshot belongs to nobody, and is left for a person to delete")
		require.NoError(t, e.influx.DeleteAuthorization(t.Context(), newer[e.path].id))
	}
}

// While InfluxDB is down a static role's token is read as ever, and its rotation waits and says why; once InfluxDB is
// back there is a new token, and the old one lives out its grace.
func outageIsOutlasted(t *testing.T) func(*testing.T) {
	influx := newInflux(t, lab.InfluxOptions{})
	e := connectedEngine(t, influx)
	e.staticRole(t, "meter", map[string]any{"rotation_schedule": "* * * * *", "grace_period": "1m"})
	require.NoError(t, influx.Stop())
	old := e.stands(t, "meter") // after the stop: no rotation can come between
	return func(t *testing.T) {
		e.awaitLastError(t, "meter", "connection refused")
		assert.Equal(t, old, e.stands(t, "meter"))
		checked, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/check")
		require.NoError(t, err)
		assert.Contains(t, fmt.Sprint(checked.Data["problems"]), `static role "meter"`)

		require.NoError(t, influx.Start(t.Context()))
		assert.Equal(t, http.StatusNoContent, writes(t, influx, old.token))
		now := e.awaitOther(t, "meter", old)
		assertWorks(t, influx, now.token)
		assert.LessOrEqual(t, len(e.staticTokens(t)), 2)
		e.awaitLastError(t, "meter", "") // it is cleared after the new token can be read
	}
}

// awaitLastError waits until a static role says of its last rotation what is wanted; nothing where that is empty.
func (e *engine) awaitLastError(t *testing.T, name, wanted string) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), tickLimit, "last_error of "+name, func(context.Context) error {
		said := fmt.Sprint(e.staticRoleNow(t, name)["last_error"])
		if !strings.Contains(said, wanted) || (wanted == "" && said != "") {
			return fmt.Errorf("last_error: %q", said)
		}
		return nil
	}))
}

// staticTokens are the IDs of the mount's static tokens.
func (e *engine) staticTokens(t *testing.T) []string {
	t.Helper()
	all, err := e.influx.Authorizations(t.Context())
	require.NoError(t, err)
	stamp := "[vault:v1:" + e.uuid(t) + ":static:"
	var ids []string
	for _, a := range all {
		if strings.Contains(a.Description, stamp) {
			ids = append(ids, a.ID)
		}
	}
	return ids
}
