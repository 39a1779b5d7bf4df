package e2e

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// maxBinary is the most that the plugin may weigh as it is released: stripped. A plugin that does nothing weighs 23.0 MB,
// with Vault's SDK alone; fasthttp with its compressors, which nothing here uses, adds 1.8.
const maxBinary = 27_500_000

func TestThePluginsBinaryIsSmall(t *testing.T) {
	t.Parallel()
	plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
	require.NoError(t, err)
	built, err := os.Stat(plugin.Path)
	require.NoError(t, err)
	assert.LessOrEqual(t, built.Size(), int64(maxBinary))
}
