package e2e

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A host that is killed can't stop its plugins: they end by themselves, and none is left beside those of the next start.
func TestThePluginEndsWithAHostThatIsKilled(t *testing.T) {
	t.Parallel()
	vault := newVaultOn(t, "raft")
	require.NoError(t, vault.Mount(t.Context(), "influxdb", "1h", "24h"))
	orphans, err := vault.PluginPIDs(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, orphans)

	vault.Kill()
	require.NoError(t, vault.Start(t.Context()))
	assertAllGone(t, orphans)
	_, err = vault.Client().Logical().ReadWithContext(t.Context(), "influxdb/check")
	require.NoError(t, err, "the next one serves")
}
