package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// engine3 is a mount that is connected to an InfluxDB 3 of the test's own.
type engine3 struct {
	*engine
	server *influx3
}

// onInfluxDB3 runs a test once on the fake Core and once on a real one, with a mount of the plugin as it is released.
func onInfluxDB3(t *testing.T, test func(t *testing.T, e *engine3)) {
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) { test(t, connectedEngine3(t, influx, nil)) })
}

// onInfluxDB3Brief is onInfluxDB3 with the build of the plugin whose waits are short.
func onInfluxDB3Brief(t *testing.T, test func(t *testing.T, e *engine3)) {
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) { test(t, briefEngine3(t, influx, nil)) })
}

// connectedEngine3 mounts the engine in the shared Vault, and connects it with the operator token.
func connectedEngine3(t *testing.T, influx *influx3, more map[string]any) *engine3 {
	t.Helper()
	e := &engine3{&engine{path: mountEngine(t), vault: shared.vault.Client()}, influx}
	e.connect(t, more)
	return e
}

// briefEngine3 is connectedEngine3 in the shared Vault whose waits are short.
func briefEngine3(t *testing.T, influx *influx3, more map[string]any) *engine3 {
	t.Helper()
	vault, err := briefVault()
	require.NoError(t, err)
	e := engineIn3(t, vault, unique("influxdb"), influx, more)
	t.Cleanup(func() { assert.NoError(t, vault.Client().Sys().Unmount(e.path)) })
	return e
}

// engineIn3 mounts the engine in such a Vault and connects it.
func engineIn3(t *testing.T, vault *lab.Vault, path string, influx *influx3, more map[string]any) *engine3 {
	t.Helper()
	e := &engine3{&engine{path: path, vault: vault.Client()}, influx}
	require.NoError(t, vault.Mount(t.Context(), path, "1h", "24h"))
	e.connect(t, more)
	return e
}

// connect writes config, and a role app that nothing narrows.
func (e *engine3) connect(t *testing.T, more map[string]any) {
	t.Helper()
	fields := map[string]any{"url": e.server.url, "token": e.server.operator, "request_timeout": patient}
	for name, value := range more {
		fields[name] = value
	}
	e.write(t, "config", fields)
	e.role(t, "app", adminRole(nil))
}

// adminRole grants all that a token of InfluxDB 3 Core can do, because no other can be made.
func adminRole(more map[string]any) map[string]any {
	fields := map[string]any{"token_type": "admin", "allow_privileged": true}
	for name, value := range more {
		fields[name] = value
	}
	return fields
}

// held are the names of the mount's tokens that begin so after its UUID; all with "".
func (e *engine3) held(t *testing.T, kind string) []string {
	t.Helper()
	names, err := e.server.names(t.Context(), e.mountUUID(t), kind)
	require.NoError(t, err)
	return names
}

// row is a token as InfluxDB lists it, which has to be there.
func (e *engine3) row(t *testing.T, name string) row3 {
	t.Helper()
	rows, err := e.server.rows(t.Context(), name)
	require.NoError(t, err)
	require.Contains(t, rows, name)
	return rows[name]
}

// assertEnded asserts that a token is refused now, and that InfluxDB keeps nothing of it.
func (e *engine3) assertEnded(t *testing.T, all ...minted) {
	t.Helper()
	for _, m := range all {
		e.server.assertRefused(t, m.token)
		rows, err := e.server.rows(t.Context(), m.id)
		require.NoError(t, err)
		assert.Empty(t, rows)
	}
}

// checkPause is how long is waited between two reads of check, each of which asks InfluxDB what it asks on a write of config.
const checkPause = 5 * time.Second

// awaitOnly3 waits until InfluxDB has no tokens of the mount but these, and nothing is pending.
func (e *engine3) awaitOnly3(t *testing.T, names ...string) {
	t.Helper()
	require.NoError(t, e.awaitOnlyUnless3(t, func(context.Context) error { return nil }, names...))
}

// awaitOnlyUnless3 is awaitOnly3 until stop has an error.
func (e *engine3) awaitOnlyUnless3(t *testing.T, stop func(context.Context) error, names ...string) error {
	t.Helper()
	mount := e.mountUUID(t)
	started := time.Now()
	var checked time.Time
	err := lab.Await(t.Context(), reconcileLimit, "nothing else to be left", func(ctx context.Context) error {
		if err := stop(ctx); err != nil {
			return lab.Final(err)
		}
		left, err := e.server.names(ctx, mount, "")
		if err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(name string) bool { return slices.Contains(names, name) })
		if len(left) > 0 {
			return fmt.Errorf("%d tokens are left, such as %v", len(left), left[:min(len(left), 3)])
		}
		if wait := checkPause - time.Since(checked); wait > 0 {
			return fmt.Errorf("check is read in %s", wait)
		}
		checked = time.Now()
		pending, err := e.pending(ctx)
		if err == nil && pending != "0" {
			err = fmt.Errorf("%s deletions are pending", pending)
		}
		return err
	})
	if err == nil {
		t.Logf("nothing else was left after %s", time.Since(started).Round(time.Second))
	}
	return err
}

// awaitMint waits until the mount mints, and gives the token back.
func (e *engine3) awaitMint(t *testing.T) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), reachLimit, "a token", func(ctx context.Context) error {
		answer, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/creds/app")
		if err != nil {
			return err
		}
		if answer == nil {
			return lab.Final(errors.New("creds has no answer"))
		}
		e.revoke(t, answer.LeaseID)
		return nil
	}))
}
