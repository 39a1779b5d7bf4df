//go:build soak

package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// soakReads is how many reads there are, half of them given up.
	soakReads = 10_000
	// soakHangUpLimit is how long after the last lease has ended a token may be left that nobody holds: five minutes,
	// Vault's tick, and the tick of the deletions.
	soakHangUpLimit = 7 * time.Minute
	// soakKilledLimit is the same where the process that minted was killed: a minute to the deadline, five minutes, a tick,
	// and the time to look through the list.
	soakKilledLimit = soakHangUpLimit + 30*time.Second
	// soakRenewals is how often the leases are renewed that are to live.
	soakRenewals = 15 * time.Second
)

// Callers hang up all day, of both hosts, and Vault is killed in between. Seven minutes after the last lease has ended no
// token is left but those of the leases that are renewed.
//
// What was minted before the kill has nobody who saw its lease: it has its deadline, which is short for its role. What
// is minted later has none within a day.
func TestSoakHangUps(t *testing.T) {
	for host, version := range map[string]string{"vault": lab.InfluxVersion, "bao": lab.OldInfluxVersion} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
			require.NoError(t, err)
			binary, err := lab.Binary(t.Context(), host)
			require.NoError(t, err)
			vault := newVaultWith(t, lab.VaultOptions{Storage: "raft", Binary: binary}, plugin)
			e := engineIn(t, vault, "influxdb", newInflux(t, lab.InfluxOptions{Version: version}))
			e.write(t, "config", map[string]any{"tidy_interval": "1m"})
			e.role(t, heldRole, bucketRole(map[string]any{"ttl": "1m"}))
			once := e.mint(t, heldRole)
			require.Equal(t, 1200, e.renew(t, once.lease, 1200))

			before := e.soakHangUps(t, "before", map[string]any{"ttl": "1m", "max_ttl": "1m"})
			vault.Kill()
			require.NoError(t, vault.Start(t.Context()))
			held := e.renewed(t, 20)
			after := e.soakHangUps(t, "after", map[string]any{"ttl": "1m"})
			before.awaitNone(t, soakKilledLimit)
			after.awaitNone(t, soakHangUpLimit)
			e.revokePrefix(t, "creds/before")
			e.revokePrefix(t, "creds/after")

			e.role(t, "after", bucketRole(map[string]any{"max_leases": 1}))
			e.revoke(t, e.mint(t, "after").lease)
			for _, m := range append(held(), once) {
				assertWorks(t, e.influx, m.token)
				e.revoke(t, m.lease)
			}
			e.awaitOnly(t)
			for _, role := range []string{"before", "after", heldRole} {
				assert.Zero(t, e.leases(t.Context(), t, role), role)
			}
			assert.Equal(t, "0", e.irrevocable(t))
		})
	}
}

// soakHangUps is half of the reads.
func (e *engine) soakHangUps(t *testing.T, role string, times map[string]any) *hangUps {
	t.Helper()
	times["max_leases"] = soakReads
	e.role(t, role, bucketRole(times))
	h := &hangUps{engine: e, role: role, clients: 8, ttl: time.Minute}
	h.read(t, soakReads/2)
	return h
}

// renewed mints tokens whose leases are renewed until end is called, which returns them.
func (e *engine) renewed(t *testing.T, count int) (end func() []minted) {
	t.Helper()
	var all []minted
	for range count {
		all = append(all, e.mint(t, heldRole))
	}
	ending, ended := make(chan struct{}), make(chan error, 1)
	ticker := time.NewTicker(soakRenewals)
	t.Cleanup(ticker.Stop)
	ctx := t.Context()
	go func() {
		for {
			select {
			case <-ending:
				ended <- nil
				return
			case <-ticker.C:
			}
			for _, m := range all {
				if _, err := e.vault.Sys().RenewWithContext(ctx, m.lease, 0); err != nil {
					ended <- err
					return
				}
			}
		}
	}()
	return func() []minted {
		close(ending)
		require.NoError(t, <-ended)
		return all
	}
}
