package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// shortTTL leaves time to mint all before the first runs out.
	shortTTL = time.Minute
	// takeOverLimit is how long the third attempt of a revocation may take: Vault waits 20 and 40 seconds between
	// them, give or take half.
	takeOverLimit = shortTTL + 5*time.Minute
)

// Vault gives up on a lease after six failed revocations. Leases that run out while InfluxDB is down are taken
// over before that, so that none gets stuck, however long it stays down; and their tokens are deleted once it
// is back.
func TestLeasesThatRunOutDuringAnOutageDoNotGetStuck(t *testing.T) {
	t.Parallel()
	const leases = 30
	influx := newInflux(t, lab.InfluxOptions{})
	vault := newVault(t)
	e := engineIn(t, vault, "influxdb", influx)
	e.role(t, "short", map[string]any{"read_buckets": bucket, "ttl": shortTTL.String(), "max_ttl": shortTTL.String()})
	var minted []minted
	for range leases {
		minted = append(minted, e.mint(t, "short"))
	}
	require.NoError(t, influx.Stop())

	started := time.Now()
	require.NoError(t, lab.Await(t.Context(), takeOverLimit, "the leases to end", func(ctx context.Context) error {
		if left := e.leases(ctx, t, "short"); left > 0 {
			return fmt.Errorf("%d leases are left", left)
		}
		return nil
	}))
	t.Logf("%d leases ended %s after InfluxDB went down", leases, time.Since(started).Round(time.Second))
	assert.Equal(t, "0", e.irrevocable(t))
	checked, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/check")
	require.NoError(t, err)
	assert.Equal(t, fmt.Sprint(leases), fmt.Sprint(checked.Data["pending_deletions"]), "what is taken over is not forgotten")

	require.NoError(t, influx.Start(t.Context()))
	require.NoError(t, lab.Await(t.Context(), drainLimit, "the deletions", func(ctx context.Context) error {
		all, err := influx.Authorizations(ctx)
		if err != nil {
			return err
		}
		for _, a := range all {
			if strings.Contains(a.Description, "creds/short") {
				return fmt.Errorf("%s is there", a.ID)
			}
		}
		return nil
	}))
	assertGone(t, influx, minted...)
	assert.Equal(t, "0", e.irrevocable(t))
}

// leases counts a role's leases.
func (e *engine) leases(ctx context.Context, t *testing.T, role string) int {
	t.Helper()
	listed, err := e.vault.Logical().ListWithContext(ctx, "sys/leases/lookup/"+e.path+"/creds/"+role)
	require.NoError(t, err)
	if listed == nil {
		return 0
	}
	return len(listed.Data["keys"].([]any))
}

// irrevocable is how many leases Vault has given up on.
func (e *engine) irrevocable(t *testing.T) string {
	t.Helper()
	count, err := e.vault.Logical().ReadWithDataWithContext(t.Context(), "sys/leases/count", map[string][]string{"type": {"irrevocable"}})
	require.NoError(t, err)
	return fmt.Sprint(count.Data["lease_count"])
}
