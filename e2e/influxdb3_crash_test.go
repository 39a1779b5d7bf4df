package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// core3Dies, and its data stay.
var core3Dies = victim{
	"InfluxDB 3",
	func(_ context.Context, s *crashScene) error { s.core.Kill(); return nil },
	func(ctx context.Context, s *crashScene) error { return s.core.Start(ctx) },
}

// leaseActs3 are the acts of leases with the points that they have on InfluxDB 3, where a token's ID is its name.
func leaseActs3() []crashAct {
	lost := at{when: "before", what: "DELETE", about: "{id}"}
	revokes3, again, renews3 := revokes, revokesAgain, renews
	revokes3.steps = slices.Concat(
		aroundCall("call", "DELETE", "{id}"),
		aroundAnswer("revoke creds/app"),
		afterFault(lost, aroundWrite("it is written down that it failed", "put", "pending/{id}", 1)),
	)
	again.ready = func(t *testing.T, p *crashPoint) {
		mintsIt(t, p)
		mend := p.scene.stops.lose(p.about(lost))
		require.Error(t, revokesIt(t.Context(), p))
		mend()
	}
	again.steps = slices.Concat(
		aroundCall("call", "DELETE", "{id}"),
		aroundWrite("it is struck off", "delete", "pending/{id}", 1),
	)
	renews3.steps = slices.Concat(aroundCall("look at the token", "POST", `"p":"{id}"`), aroundAnswer("renew creds/app"))
	return []crashAct{mints, revokes3, again, renews3} // the renewals last: they wait for InfluxDB for 3 s
}

func newCrashScene3(t *testing.T, core *influx3) *crashScene {
	t.Helper()
	s := &crashScene{stops: startStops(t), core: core}
	s.vault = newVaultWith(t, lab.VaultOptions{Env: []string{"CRASHTEST_ADDR=" + s.stops.URL}}, crashTestPlugin(t))
	s.proxy = s.stops.proxy(t, core.proxied())
	return s
}

// TestCrashes with InfluxDB 3: a mint of unknown outcome is in no list until its name is asked for again.
func TestCrashesWithInfluxDB3(t *testing.T) {
	t.Parallel()
	victims := []victim{vaultDies, pluginDies}
	if !onOpenBao() { // the host notices nothing of the third
		victims = append(victims, core3Dies)
	}
	starts := map[string]func(*testing.T) *influx3{
		"fake": func(t *testing.T) *influx3 { return newFake3(t) },
		"core": func(t *testing.T) *influx3 { return newCore3(t, lab.Influx3Options{}) },
	}
	for name, start := range starts {
		for _, victim := range victims {
			t.Run(name+"/"+victim.name, func(t *testing.T) {
				core := start(t)
				t.Parallel()
				s := newCrashScene3(t, core)
				for _, act := range leaseActs3() {
					s.add(t, act)
				}
				s.crash(t, victim)
				s.assert(t, "in the end", func(act crashAct) func(*testing.T, *crashPoint) { return act.reconciled })
				irrevocable, err := s.vault.Client().Logical().ReadWithDataWithContext(t.Context(), "sys/leases", map[string][]string{"type": {"irrevocable"}})
				require.NoError(t, err)
				assert.Equal(t, "0", fmt.Sprint(irrevocable.Data["lease_count"]))
			})
		}
	}
}
