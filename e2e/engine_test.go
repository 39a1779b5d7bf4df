package e2e

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// registered builds the plugin and makes it known to the shared Vault, when the first test asks for it.
var registered = sync.OnceValue(func() error {
	plugin, err := shared.lab.Plugin(context.Background(), lab.PluginVersion)
	if err != nil {
		return err
	}
	return shared.vault.Register(context.Background(), plugin)
})

// mountEngine enables the engine in the shared Vault at a path of the test's own, and disables it when
// the test ends: a disable that fails is a failed test.
func mountEngine(t *testing.T) string {
	t.Helper()
	require.NoError(t, registered())
	path := "influxdb-" + strings.ToLower(rand.Text()[:8])
	require.NoError(t, shared.vault.Mount(t.Context(), path, "1h", "24h"))
	t.Cleanup(func() { assert.NoError(t, shared.vault.Client().Sys().Unmount(path)) })
	return path
}
