package e2e

import (
	"cmp"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// mostAllocations are the most objects that the plugin's process may allocate for one call by one client: its own work, the
// plugin protocol on its side of it. Vault and InfluxDB are other processes.
var mostAllocations = map[string]float64{"mint": 235, "renewal": 185, "revocation": 150, "static read": 155}

func TestACallAllocatesLittle(t *testing.T) {
	profiles := t.TempDir()
	plugin, err := shared.lab.TestPlugin(t.Context())
	require.NoError(t, err)
	vault := newVaultWith(t, lab.VaultOptions{Env: []string{"PPROF_DIRECTORY=" + profiles}}, plugin)
	e := engineIn(t, vault, "influxdb", shared.influx)
	e.role(t, "app", map[string]any{"read_buckets": bucket, "write_buckets": bucket})
	e.write(t, "static-roles/meter", map[string]any{"read_buckets": bucket, "write_buckets": bucket})
	pids, err := vault.PIDsOf(t.Context(), plugin)
	require.NoError(t, err)
	require.Len(t, pids, 1)
	allocated := func() float64 { return allocatedBy(t, filepath.Join(profiles, strconv.Itoa(pids[0]))) }

	const calls = 300
	leases := make([]string, calls)
	steps := []struct {
		name string
		call func(i int)
	}{
		{"mint", func(i int) { leases[i] = e.mint(t, "app").lease }},
		{"renewal", func(i int) { e.renew(t, leases[i], 60) }},
		{"revocation", func(i int) { e.revoke(t, leases[i]) }},
		{"static read", func(int) { e.stands(t, "meter") }},
	}
	e.revoke(t, e.mint(t, "app").lease) // what is looked up once is remembered from here on
	least := map[string]float64{}
	for range 3 { // a tick may come with any of them, and tidy with that
		for _, step := range steps {
			before := allocated()
			for i := range calls {
				step.call(i)
			}
			least[step.name] = min(cmp.Or(least[step.name], math.Inf(1)), (allocated()-before)/calls)
		}
	}
	for name, each := range least {
		t.Logf("a %s allocates %.0f objects", name, each)
		assert.LessOrEqual(t, each, mostAllocations[name], "objects for one %s", name)
	}
}

// allocatedBy is how many objects a plugin has allocated since its start, whose process has written into a file where it
// serves its statistics.
func allocatedBy(t *testing.T, file string) float64 {
	t.Helper()
	address, err := os.ReadFile(file)
	require.NoError(t, err)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+string(address)+"/debug/vars", nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var vars struct {
		Memstats struct{ Mallocs float64 }
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(&vars))
	return vars.Memstats.Mallocs
}
