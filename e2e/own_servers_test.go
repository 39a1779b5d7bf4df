package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// newVault starts a Vault of the test's own, which knows the plugin.
func newVault(t *testing.T) *lab.Vault { return newVaultOn(t, "inmem") }

// newVaultOn is newVault with a storage of the test's choice.
func newVaultOn(t *testing.T, storage string) *lab.Vault {
	t.Helper()
	plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
	require.NoError(t, err)
	return newVaultWith(t, lab.VaultOptions{Storage: storage}, plugin)
}

// newVaultWith is newVault with options of Vault, and another build of the plugin.
func newVaultWith(t *testing.T, options lab.VaultOptions, plugin lab.Plugin) *lab.Vault {
	t.Helper()
	vault, err := shared.lab.StartVault(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, vault.Stop()) })
	require.NoError(t, vault.Register(t.Context(), plugin))
	return vault
}

// crashTestPlugin is the plugin with short waits, and pauses where a test says.
func crashTestPlugin(t *testing.T) lab.Plugin {
	t.Helper()
	plugin, err := shared.lab.TestPlugin(t.Context(), lab.CrashTest)
	require.NoError(t, err)
	return plugin
}

// engineIn mounts the engine in such a Vault and connects it.
func engineIn(t *testing.T, vault *lab.Vault, path string, influx *lab.Influx) *engine {
	t.Helper()
	e := &engine{path: path, influx: influx, vault: vault.Client()}
	require.NoError(t, vault.Mount(t.Context(), path, "1h", "24h"))
	e.write(t, "config", leadingTo(influx, map[string]any{"org": org, "request_timeout": patient}))
	return e
}

// newInflux starts an InfluxDB of the test's own, set up.
func newInflux(t *testing.T, options lab.InfluxOptions) *lab.Influx {
	t.Helper()
	influx := freshInflux(t, options)
	_, err := influx.Setup(t.Context(), org, bucket, user)
	require.NoError(t, err)
	return influx
}

// freshInflux starts an InfluxDB of the test's own, as it is after its installation.
func freshInflux(t *testing.T, options lab.InfluxOptions) *lab.Influx {
	t.Helper()
	influx, err := shared.lab.StartInflux(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, influx.Stop()) })
	return influx
}

// onOwnInfluxes runs a test once for each of the versions, with a server of its own.
func onOwnInfluxes(t *testing.T, test func(t *testing.T, influx *lab.Influx)) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { test(t, newInflux(t, lab.InfluxOptions{Version: version})) })
	}
}
