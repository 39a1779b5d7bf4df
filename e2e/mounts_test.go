package e2e

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	manyMounts = 100
	// maxResident is the most memory that the plugin's process may hold for all of them, in KiB.
	maxResident = 80 << 10
)

// One process serves all mounts, however many: a mount costs little. In a Vault of its own, where no other
// test's mounts count.
func TestManyMountsShareOneSmallProcess(t *testing.T) {
	t.Parallel()
	vault := newVault(t)
	var engines []*engine
	for i := range manyMounts {
		e := engineIn(t, vault, fmt.Sprintf("influxdb-%d", i), shared.influx)
		e.role(t, "app", bucketRole(nil))
		engines = append(engines, e)
	}
	var all []minted
	for _, e := range engines {
		all = append(all, e.mint(t, "app"))
	}
	pids, err := vault.PluginPIDs(t.Context())
	require.NoError(t, err)
	require.Len(t, pids, 1, "one process serves all mounts")
	resident := residentMemory(t, pids[0])
	fmt.Printf("mounts: the plugin's process holds %.1f MiB for %d mounts\n", float64(resident)/1024, manyMounts)
	assert.Less(t, resident, maxResident, "KiB")

	for _, e := range engines {
		require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
	}
	assertGone(t, shared.influx, all...)
}

// residentMemory is what a process holds, in KiB.
func residentMemory(t *testing.T, pid int) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	require.NoError(t, err)
	resident, err := strconv.Atoi(strings.TrimSpace(string(out)))
	require.NoError(t, err)
	return resident
}
