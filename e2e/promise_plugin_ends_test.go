package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A host that is killed can't stop its plugins: they end by themselves, and none is left beside those of the next start.
func TestThePluginEndsWithAHostThatIsKilled(t *testing.T) {
	t.Parallel()
	plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
	require.NoError(t, err)
	for _, host := range hosts {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			binary, err := lab.Binary(t.Context(), host)
			require.NoError(t, err)
			vault := newVaultWith(t, lab.VaultOptions{Storage: "raft", Binary: binary}, plugin)
			require.NoError(t, vault.Mount(t.Context(), "influxdb", "1h", "24h"))
			orphans, err := vault.PluginPIDs(t.Context())
			require.NoError(t, err)
			require.NotEmpty(t, orphans)

			vault.Kill()
			require.NoError(t, vault.Start(t.Context()))
			assertAllGone(t, orphans)
			_, err = vault.Client().Logical().ReadWithContext(t.Context(), "influxdb/check")
			require.NoError(t, err, "the next one serves")
		})
	}
}
