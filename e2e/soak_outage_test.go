//go:build soak

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// The outage outlasts Vault's own patience: it gives up on a lease after six attempts in about ten minutes.
const (
	soakOutage   = 12 * time.Minute
	soakExpiring = 500
	soakRevoked  = 100
	soakRecovery = 10 * time.Minute
)

// InfluxDB is down for longer than Vault tries. Leases run out and are revoked meanwhile; nobody helps afterwards, and
// nothing is left: no stuck lease, no token, nothing pending.
func TestSoakOutage(t *testing.T) {
	influx := newInflux(t, lab.InfluxOptions{})
	e := engineIn(t, newVault(t), "influxdb", influx)
	e.role(t, "short", map[string]any{"read_buckets": bucket, "ttl": "90s", "max_ttl": "90s"})
	e.role(t, "long", map[string]any{"read_buckets": bucket, "ttl": "1h", "max_ttl": "1h"})
	var byHand []minted
	for range soakRevoked {
		byHand = append(byHand, e.mint(t, "long"))
	}
	for range soakExpiring {
		e.mint(t, "short")
	}
	require.NoError(t, influx.Stop())
	t.Logf("InfluxDB is down, with %d leases about to run out", soakExpiring)
	for _, m := range byHand {
		require.NoError(t, e.vault.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: m.lease}))
	}
	e.lasts(t, soakOutage)

	require.NoError(t, influx.Start(t.Context()))
	back := time.Now()
	require.NoError(t, lab.Await(t.Context(), soakRecovery, "everything to be gone", func(ctx context.Context) error {
		return e.leftOver(ctx, t)
	}))
	t.Logf("nothing is left %s after InfluxDB came back", time.Since(back).Round(time.Second))
	assert.Equal(t, "0", e.irrevocable(t))
	assertGone(t, influx, byHand...)
}

// lasts is an outage of a length, with a line each minute of how it stands.
func (e *engine) lasts(t *testing.T, length time.Duration) {
	t.Helper()
	end := time.After(length)
	minute := time.NewTicker(time.Minute)
	defer minute.Stop()
	for passed := time.Minute; ; passed += time.Minute {
		select {
		case <-end:
			return
		case <-minute.C:
			checked, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/check")
			require.NoError(t, err)
			t.Logf("%s: %d leases, %s irrevocable, %v deletions pending", passed, e.leases(t.Context(), t, "short")+e.leases(t.Context(), t, "long"),
				e.irrevocable(t), checked.Data["pending_deletions"])
		case <-t.Context().Done():
			return
		}
	}
}

// leftOver says what is left of what was minted; nil when nothing is.
func (e *engine) leftOver(ctx context.Context, t *testing.T) error {
	all, err := e.influx.Authorizations(ctx)
	if err != nil {
		return err
	}
	tokens := 0
	for _, a := range all {
		if strings.Contains(a.Description, "[vault:v1:") {
			tokens++
		}
	}
	checked, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/check")
	if err != nil {
		return err
	}
	pending, leases := fmt.Sprint(checked.Data["pending_deletions"]), e.leases(ctx, t, "short")+e.leases(ctx, t, "long")
	if tokens > 0 || leases > 0 || pending != "0" {
		return errors.New(fmt.Sprint(tokens, " tokens, ", leases, " leases, ", pending, " pending deletions"))
	}
	return nil
}
