package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

const influxdb3 = "docs/influxdb3.md"

// recipe3 are the commands under a heading of docs/influxdb3.md, but for those that enable the engine, with a mount's path.
func recipe3(t *testing.T, heading string, block int, path string) string {
	t.Helper()
	commands := blocks(t, influxdb3, heading)[block]
	if first, rest, _ := strings.Cut(commands, "\n"); strings.HasPrefix(first, "vault secrets enable -path=influxdb3 ") {
		commands = rest
	}
	commands = replaced(t, commands, map[string]string{" influxdb3/": " " + path + "/"})
	if onOpenBao() {
		commands = vaultCommand.ReplaceAllString(commands, "bao$1")
	}
	return commands
}

func TestInfluxDB3RecipeForCore(t *testing.T) {
	t.Parallel()
	onFreshInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		path := mountEngine(t)
		f := newFolder(t, "INFLUXDB3_URL="+influx.url)
		assert.Contains(t, f.runs(t, recipe3(t, "## Core", 0, path)), "expires_at")
		assert.Contains(t, f.runs(t, recipe3(t, "## Core", 2, path)), "last_vault_rotation")
		config, err := shared.vault.Client().Logical().ReadWithContext(t.Context(), path+"/config")
		require.NoError(t, err)
		assert.Equal(t, "core", config.Data["product"])
		assert.Contains(t, config.Data["authorization_id"], ":root:-root:")
		_, err = shared.vault.Client().Logical().DeleteWithContext(t.Context(), path+"/static-roles/telegraf")
		require.NoError(t, err)
	})
}

func TestInfluxDB3RecipeForEnterprise(t *testing.T) {
	t.Parallel()
	influx := newFake3(t, influx3test.Enterprise())
	influx.fake.AddDatabase("metrics")
	influx.fake.AddDatabase("logs")
	f := newFolder(t, "INFLUXDB3_URL="+influx.url)
	require.NoError(t, os.WriteFile(filepath.Join(f.path, "root.token"), []byte(influx.operator+"\n"), 0o600))
	path := mountEngine(t)
	assert.Contains(t, f.runs(t, recipe3(t, "## Enterprise", 0, path)), "expires_at")
	f.runs(t, recipe3(t, "## Enterprise", 1, path))
}
