package e2e

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

func TestLifeOfALeaseOnInfluxDB3(t *testing.T) {
	t.Parallel()
	onInfluxDB3(t, func(t *testing.T, e *engine3) {
		calls := startRecorder(t, e.server.proxied())
		e.write(t, "config", map[string]any{"url": calls.URL, "token": e.server.operator})
		e.role(t, "app", adminRole(map[string]any{"ttl": "10m", "max_ttl": "1h"}))
		e.revoke(t, e.mint(t, "app").lease)
		fewest := 0
		for range 3 { // the tick may come with one of them
			made := calls.during(func() { e.revoke(t, e.mint(t, "app").lease) })
			assert.Subset(t, made, []string{http.MethodPost, http.MethodDelete})
			fewest = min(cmp.Or(fewest, len(made)), len(made))
		}
		assert.Equal(t, 2, fewest, "a mint is one call, and a revocation one")

		answer, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
		require.NoError(t, err)
		for _, field := range []string{"org", "org_id"} {
			assert.NotContains(t, answer.Data, field)
		}
		assert.Equal(t, calls.URL, answer.Data["url"])
		m := mintedFrom(t, answer)
		e.server.assertWorks(t, m.token)
		assert.Equal(t, []string{m.id}, e.held(t, "lease:app:"))
		assert.Contains(t, m.description, "["+m.id+"]")
		e.assertExpiry(t, m, answer.Data["expires_at"], time.Hour+time.Minute)

		assert.Equal(t, 1200, e.renew(t, m.lease, 1200))
		e.server.assertWorks(t, m.token)
		bystander := e.mint(t, "app")
		e.revoke(t, m.lease)
		e.assertEnded(t, m)
		e.server.assertWorks(t, bystander.token)
		e.revoke(t, bystander.lease)
		assert.Empty(t, e.held(t, ""))
		assert.Empty(t, e.problems(t))
	})
}

// assertExpiry asserts that creds says when InfluxDB ends a token by itself, and that this is so long after its lease began.
func (e *engine3) assertExpiry(t *testing.T, m minted, said any, after time.Duration) {
	t.Helper()
	text, _ := said.(string)
	expires, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	assert.Equal(t, expires, e.row(t, m.id).end(t).Truncate(time.Second), "InfluxDB says the same")
	issued, _ := e.leaseTimes(t, m.lease)
	assert.WithinDuration(t, issued.Add(after), expires, 30*time.Second)
}

// A renewal moves the lease's end, and not the token's: no lease outlives its token.
func TestRenewalsEndBeforeATokenOfInfluxDB3Does(t *testing.T) {
	t.Parallel()
	onInfluxDB3Brief(t, func(t *testing.T, e *engine3) {
		e.role(t, "app", adminRole(map[string]any{"ttl": "20s", "max_ttl": "40s"}))
		m := e.mint(t, "app")
		end := e.row(t, m.id).end(t)
		death := e.server.watch(t, m.token)
		_, first := e.leaseTimes(t, m.lease)
		for range 2 {
			assert.LessOrEqual(t, e.renew(t, m.lease, 3600), 40)
			_, expires := e.leaseTimes(t, m.lease)
			assert.True(t, expires.After(first), "it is renewed")
			assert.False(t, expires.After(end), "the lease would end at %s, the token at %s", expires, end)
		}
		_, expires := e.leaseTimes(t, m.lease)
		assert.Equal(t, end, e.row(t, m.id).end(t), "nobody can change it")
		assertDiedAt(t, expires, <-death)
		e.awaitOnly3(t)
	})
}

// Vault and the plugin are killed and stay dead: InfluxDB 3 ends the token at its deadline by itself.
func TestATokenOfInfluxDB3EndsAtItsDeadlineWithoutVault(t *testing.T) {
	t.Parallel()
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		vault := newVaultWith(t, lab.VaultOptions{Storage: "inmem"}, crashTestPlugin(t))
		e := engineIn3(t, vault, "influxdb", influx, nil)
		e.role(t, "app", adminRole(map[string]any{"ttl": "8s", "max_ttl": "8s"}))
		m := e.mint(t, "app")
		end := e.row(t, m.id).end(t)
		vault.Kill()
		require.NoError(t, vault.KillPlugins(t.Context()))
		died := <-influx.watch(t, m.token)
		assertDiedAt(t, end, died)
		assert.WithinDuration(t, end, died, 10*time.Second, "InfluxDB ends it by itself, and waits for nobody")
		t.Logf("it was seen to be refused %s after its deadline", died.Sub(end).Round(time.Millisecond))
		assert.Equal(t, end, e.row(t, m.id).end(t), "nobody has deleted it")
	})
}

func TestManyLeasesOfInfluxDB3EndAtOnce(t *testing.T) {
	t.Parallel()
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		vault, err := briefVault()
		require.NoError(t, err)
		e := engineIn3(t, vault, unique("influxdb"), influx, nil)
		mount := e.mountUUID(t)
		var all []minted
		for range 50 {
			all = append(all, e.mint(t, "app"))
		}
		e.role(t, "other", adminRole(nil))
		other := e.mint(t, "other")
		assert.Len(t, e.held(t, ""), 51)
		e.revokePrefix(t, "creds/app")
		e.assertEnded(t, all...)
		influx.assertWorks(t, other.token)
		for range 10 {
			all = append(all, e.mint(t, "app"))
		}
		require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
		e.assertEnded(t, append(all, other)...)
		left, err := influx.names(t.Context(), mount, "")
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

// Leases run out while InfluxDB 3 is down; Vault forgets them, and their tokens, which have long to live, are deleted once
// it is back, without help.
func TestLeasesThatRunOutDuringAnOutageOfInfluxDB3(t *testing.T) {
	t.Parallel()
	const leases = 12
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		t.Parallel()
		vault := newVaultWith(t, lab.VaultOptions{Storage: "inmem"}, crashTestPlugin(t))
		e := engineIn3(t, vault, "influxdb", influx, map[string]any{"request_timeout": "10s"})
		e.role(t, "short", adminRole(map[string]any{"ttl": "30s", "max_ttl": "1h"}))
		var all []minted
		for range leases {
			all = append(all, e.mint(t, "short"))
		}
		influx.Kill()
		require.NoError(t, lab.Await(t.Context(), takeOverLimit, "the leases to end", func(ctx context.Context) error {
			if e.leases(ctx, t, "short") > 0 {
				return errors.New("some are left")
			}
			return nil
		}))
		assert.Equal(t, "0", e.irrevocable(t))
		e.assertPending(t, "12")
		require.NoError(t, influx.Start(t.Context()))
		e.awaitOnly3(t)
		e.assertEnded(t, all...)
		assert.Equal(t, "0", e.irrevocable(t))
	})
}
