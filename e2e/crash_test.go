package e2e

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// Vault, the plugin or influxd is killed while calls are at every point of their way. Then what was killed is started,
// and nobody does anything else: whatever became of the calls, the tokens that live are those of the leases that do, the
// root token in storage works, and so does that of each static role; what was begun and not finished is taken away.
func TestCrashes(t *testing.T) {
	t.Parallel()
	leases := []crashAct{mints, revokes, revokesAgain, renews} // the renewals last: they wait for InfluxDB for 3 s
	all := append([]crashAct{rotatesRoot, rotatesRootAgain, rotatesStatic, setsUp}, leases...)
	type plan struct {
		victim victim
		acts   []crashAct
	}
	plans := []plan{{vaultDies, all}, {pluginDies, all}}
	if !onOpenBao() { // the host notices nothing of the third
		plans = append(plans, plan{influxdDies, leases})
	}
	var scenes []*crashScene
	for _, plan := range plans {
		s := newCrashScene(t)
		for _, act := range plan.acts {
			s.add(t, act)
		}
		s.crash(t, plan.victim)
		scenes = append(scenes, s)
	}
	for _, s := range scenes { // they wait for the ticks together
		s.assert(t, "in the end", func(act crashAct) func(*testing.T, *crashPoint) { return act.reconciled })
		irrevocable, err := s.vault.Client().Logical().ReadWithDataWithContext(t.Context(), "sys/leases", map[string][]string{"type": {"irrevocable"}})
		require.NoError(t, err)
		assert.Equal(t, "0", fmt.Sprint(irrevocable.Data["lease_count"]), s.victim.name)
	}
}

// awaitRecovery waits until something goes well: Vault fails the calls in which it learns that its plugin died.
func (p *crashPoint) awaitRecovery(t *testing.T, probe func(context.Context, *crashPoint) error) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), reachLimit, "the recovery", func(ctx context.Context) error { return probe(ctx, p) }))
}

// awaitReconciled waits until a probe finds everything in its place, and nothing is pending.
func (p *crashPoint) awaitReconciled(t *testing.T, probe func(context.Context) error) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "everything to be reconciled", func(ctx context.Context) error {
		if err := probe(ctx); err != nil {
			return err
		}
		pending, err := p.pending(ctx)
		if err == nil && pending != "0" {
			err = fmt.Errorf("%s deletions are pending", pending)
		}
		return err
	}))
}

// stamp begins the stamp of the mount's tokens of one kind and role, or of all.
func (p *crashPoint) stamp(kind, role string) string {
	if kind == "" {
		return "[vault:v1:" + p.uuid + ":"
	}
	return "[vault:v1:" + p.uuid + ":" + kind + ":" + role + ":"
}

// stamped are the IDs of the tokens in InfluxDB that bear such a stamp.
func (p *crashPoint) stamped(ctx context.Context, kind, role string) ([]string, error) {
	if p.scene.core != nil {
		rows, err := p.scene.core.rows(ctx, strings.TrimPrefix(p.stamp(kind, role), "[")+"%")
		return slices.Sorted(maps.Keys(rows)), err
	}
	all, err := p.influx.Authorizations(ctx)
	var ids []string
	for _, a := range all {
		if strings.Contains(a.Description, p.stamp(kind, role)) {
			ids = append(ids, a.ID)
		}
	}
	return ids, err
}
