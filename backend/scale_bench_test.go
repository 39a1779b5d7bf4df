package backend

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// crowd is what a process may hold besides what a mint is about.
type crowd struct{ tokens, roles, mounts int }

// crowded are mounts whose live tokens are spread over their roles, each role read once.
func crowded(t testing.TB, c crowd) []*testMount {
	mounts := make([]*testMount, c.mounts)
	for i := range mounts {
		m := newDirectMount(t)
		m.connected()
		m.remembering()
		app, err := store.Roles.Get(t.Context(), m.storage.Storage, "app")
		require.NoError(t, err)
		for n := range c.roles {
			require.NoError(t, store.Roles.Put(t.Context(), m.storage.Storage, nthRole(n), app))
			// Reads the role, and asks InfluxDB nothing: it is refused what the role does not cover.
			m.refused(logical.ReadOperation, "creds/"+nthRole(n), map[string]any{"read_resources": "tasks"})
		}
		m.mint(nthRole(0))
		for n := range c.tokens {
			m.countLive(nthRole(n%c.roles), fmt.Sprintf("%016x", n+1), m.clock.now().Add(time.Hour))
		}
		mounts[i] = m
	}
	return mounts
}

func nthRole(n int) string { return fmt.Sprintf("app-%d", n) }

// BenchmarkMintInACrowd shows that nothing on a mint's path grows with the number of tokens, roles or mounts.
func BenchmarkMintInACrowd(b *testing.B) {
	for _, c := range []crowd{
		{1_000, 10, 1}, {10_000, 10, 1}, {100_000, 10, 1},
		{1_000, 1_000, 1}, {1_000, 10_000, 1},
		{1_000, 10, 10}, {1_000, 10, 100},
		{100_000, 10_000, 1},
	} {
		b.Run(fmt.Sprintf("tokens=%d/roles=%d/mounts=%d", c.tokens, c.roles, c.mounts), func(b *testing.B) {
			mounts := crowded(b, c)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				mounts[n%c.mounts].mint(nthRole(n / c.mounts % c.roles))
			}
		})
	}
}

// Among 100,000 tokens of 10,000 roles a mint makes the calls and the allocations that it makes among few.
func TestAMintCostsTheSameInACrowd(t *testing.T) {
	if !atLength() {
		t.Skip("what is counted is the backend's own")
	}
	allocations := map[int]float64{}
	for _, c := range []crowd{{100, 10, 1}, {100_000, 10_000, 1}} {
		m := crowded(t, c)[0]
		n := 0
		mint := func() {
			m.mint(nthRole(n % c.roles))
			n++
		}
		m.storage.failing(func(op, key string) bool {
			t.Errorf("with %d roles a mint does: %s %s", c.roles, op, key)
			return false
		})
		m.asked.asked()
		allocations[c.roles] = testing.AllocsPerRun(200, mint)
		m.storage.failing(nil)
		require.Empty(t, m.asked.asked(), "what Vault is asked")
	}
	// The fake InfluxDB in this process allocates, too, and not always the same; and each role is resolved once.
	require.InEpsilon(t, allocations[10], allocations[10_000], 0.2)
}
