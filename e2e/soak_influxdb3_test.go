//go:build soak

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// Two thousand mints and as many revocations are cut off within the first milliseconds, of the plugin as it is released:
// nothing is left five minutes later. One that gets its answer follows each, or a real server would not get far: see restartStuck.
func TestSoakCallsCutOffAtInfluxDB3(t *testing.T) {
	const limit = 5 * time.Minute
	t.Run("core", func(t *testing.T) {
		influx := newCore3(t, lab.Influx3Options{})
		plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
		assert.NoError(t, err)
		s := newShear(t, influx)
		s.alone = true
		c := cutOffs{engineIn3(t, newVaultWith(t, lab.VaultOptions{Storage: "raft"}, plugin), "influxdb", influx, s.leading()), s}
		c.run(t, 2000)
		ended := time.Now()
		c.drain(t)
		assert.Less(t, time.Since(ended), limit)
	})
}
