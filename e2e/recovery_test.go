package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// These are the cases of docs/recovery.md.

// unknownRoot is how check tells a root token that InfluxDB does not know.
const unknownRoot = `does not know it (401 "unauthorized access"); write one that works to config, see docs/recovery.md`

// assertRootUnknown asserts that the stored root token is of no use, and that check says so.
func (e *engine) assertRootUnknown(t *testing.T) {
	t.Helper()
	_, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
	require.ErrorContains(t, err, `401 "unauthorized access"`)
	assert.Contains(t, fmt.Sprint(e.problems(t)), unknownRoot)
}

// operatorToken makes one by hand.
func operatorToken(t *testing.T, influx *lab.Influx) lab.Authorization {
	t.Helper()
	types, err := influx.ResourceTypes(t.Context())
	require.NoError(t, err)
	return byHand(t, influx, influx.Onboarding.Org.ID, influx.Onboarding.User.ID, landmarks{types: types}.operator()...)
}

// reconnect writes another root token.
func (e *engine) reconnect(t *testing.T, root lab.Authorization) {
	t.Helper()
	assert.Empty(t, e.write(t, "config", map[string]any{"token": root.Token, "authorization_id": root.ID}))
	assertWorks(t, e.influx, e.mint(t, "app").token)
}

// The root token was deleted, and it was the last operator token: InfluxDB makes a new one while it is stopped.
func TestRecoveryOfALostRootToken(t *testing.T) {
	t.Parallel()
	onOwnInfluxes(t, func(t *testing.T, influx *lab.Influx) {
		e := connectedEngine(t, influx)
		e.role(t, "app", bucketRole(nil))
		held := e.mint(t, "app")
		require.NoError(t, influx.DeleteAuthorization(t.Context(), influx.Onboarding.Authorization.ID))
		e.assertRootUnknown(t)
		require.ErrorContains(t, e.tryRevoke(t.Context(), held), "is not deleted yet")
		assertWorks(t, influx, held.token)

		require.NoError(t, influx.Stop())
		require.NoError(t, influx.RecoverOperator(t.Context()))
		e.reconnect(t, lab.Authorization{Token: influx.Operator})
		e.revoke(t, held.lease)
		assertDead(t, influx, held)
	})
}

// `influx restore --full` puts all tokens back as they were: those that ended since live again, and those that were made
// since are gone, the root token of a rotation too.
func TestRecoveryOfARestoredInfluxDB(t *testing.T) {
	t.Parallel()
	onOwnInfluxes(t, func(t *testing.T, influx *lab.Influx) {
		root := operatorToken(t, influx)
		e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}
		e.write(t, "config", map[string]any{"url": influx.URL, "token": root.Token, "authorization_id": root.ID, "org": org})
		e.role(t, "app", bucketRole(nil))
		ended := e.mint(t, "app")
		backup := t.TempDir()
		_, err := shared.lab.CLI(t.Context(), influx, "backup", backup)
		require.NoError(t, err)
		e.revoke(t, ended.lease)
		assertDead(t, influx, ended)
		e.write(t, "config/rotate-root", nil)
		later := e.mint(t, "app")
		_, err = shared.lab.CLI(t.Context(), influx, "restore", "--full", backup)
		require.NoError(t, err)

		assertWorks(t, influx, ended.token)
		assert.Equal(t, http.StatusUnauthorized, accepted(t, influx, later.token))
		e.assertRootUnknown(t)
		said := e.refuses(t, "config", map[string]any{"token": root.Token})
		assert.Contains(t, said, "token: the one in this write was rotated away, and the stored one was tried")

		e.reconnect(t, operatorToken(t, influx))
		e.write(t, "config/rotate-root", nil)
		e.revoke(t, later.lease)
		e.remove(t, "tokens/"+ended.id) // tidy does, after its deadline
		assertDead(t, influx, ended)
		assert.Equal(t, http.StatusOK, accepted(t, influx, root.Token), "it was rotated away, and has to be deleted by hand")
	})
}

// An older InfluxDB knows no hashed tokens: after a downgrade none works, and their IDs are left.
func TestRecoveryOfADowngradedInfluxDB(t *testing.T) {
	t.Parallel()
	influx := newInflux(t, lab.InfluxOptions{})
	e := connectedEngine(t, influx)
	e.role(t, "app", bucketRole(nil))
	held := e.mint(t, "app")
	require.NoError(t, influx.Stop())
	require.NoError(t, influx.Downgrade(t.Context(), lab.OldInfluxVersion))
	require.NoError(t, influx.Start(t.Context()))
	assert.Equal(t, http.StatusUnauthorized, accepted(t, influx, held.token))
	e.assertRootUnknown(t)

	require.NoError(t, influx.Stop())
	require.NoError(t, influx.RecoverOperator(t.Context()))
	e.reconnect(t, lab.Authorization{Token: influx.Operator})
	e.revoke(t, held.lease)
	assertDead(t, influx, held)
}

// A snapshot of Vault that is older than a rotation holds a root token that is gone. The one that took its place works
// in InfluxDB, and nobody knows its value.
func TestRecoveryOfARestoredVault(t *testing.T) {
	t.Parallel()
	influx := newInflux(t, lab.InfluxOptions{})
	vault := newVaultOn(t, "raft")
	e := engineIn(t, vault, "influxdb", influx)
	root := operatorToken(t, influx)
	e.role(t, "app", bucketRole(nil))
	e.reconnect(t, root)
	snapshot, err := vault.Snapshot(t.Context())
	require.NoError(t, err)
	e.write(t, "config/rotate-root", nil)
	orphan := e.config(t)["authorization_id"].(string)

	require.NoError(t, vault.Restore(t.Context(), snapshot, vault))
	e.assertRootUnknown(t)
	e.reconnect(t, operatorToken(t, influx))
	one, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/tokens/"+orphan)
	require.NoError(t, err)
	assert.Equal(t, "root", one.Data["kind"], "this is how to find it")
	require.NoError(t, influx.DeleteAuthorization(t.Context(), orphan))
	assert.Empty(t, e.problems(t))
}

// A copy of Vault that reaches the same InfluxDB ends the leases that it knows, when they end as far as it knows, and a
// rotation there takes the root token from the original.
func TestACopyOfVaultWorksAgainstTheOriginal(t *testing.T) {
	t.Parallel()
	influx := newInflux(t, lab.InfluxOptions{})
	vault, copied := newVaultOn(t, "raft"), newVaultOn(t, "raft")
	e := engineIn(t, vault, "influxdb", influx)
	e.write(t, "config", map[string]any{"authorization_id": influx.Onboarding.Authorization.ID})
	e.role(t, "app", bucketRole(map[string]any{"ttl": "1m"}))
	m := e.mint(t, "app")
	snapshot, err := vault.Snapshot(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 3600, e.renew(t, m.lease, 3600))
	require.NoError(t, copied.Restore(t.Context(), snapshot, vault))

	refusal := e.watch(t, m)
	assert.NotZero(t, <-refusal, "the copy has ended it")
	_, expires := e.leaseTimes(t, m.lease)
	assert.Greater(t, time.Until(expires), time.Minute, "though the original has not")

	other := &engine{path: e.path, influx: influx, vault: copied.Client()}
	influx.Operator = operatorToken(t, influx).Token // the one that it had is the root token
	other.write(t, "config/rotate-root", nil)
	e.assertRootUnknown(t)
}
