package e2e

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// releases are the versions of InfluxDB that a store is upgraded through, in the order in which they came out.
var releases = []string{"2.7.12", "2.8.0", "2.9.1", "2.10.0"}

// An InfluxDB whose mount has the smallest root token is upgraded in place, one version after the other. Whatever was
// handed out before goes on, what was pending is done, and in the end no token is left.
func TestInfluxDBIsUpgradedInPlace(t *testing.T) {
	t.Parallel()
	here := append([]string{lab.InfluxVersion, lab.OldInfluxVersion}, versions...)
	path := slices.DeleteFunc(slices.Clone(releases), func(release string) bool { return !slices.Contains(here, release) })
	influx := newInflux(t, lab.InfluxOptions{Version: path[0]})
	l := newLongLived(t, influx)
	for _, release := range path[1:] {
		l.cutOff(t)
		require.NoError(t, influx.Upgrade(t.Context(), release))
		t.Run(release, func(t *testing.T) {
			t.Run("leases", l.assertLeasesGoOn)
			t.Run("static roles", l.assertStaticRolesGoOn)
			t.Run("root token", l.assertRootGoesOn)
			t.Run("pending deletion", l.assertDrained)
			t.Run("nothing stray", l.assertNothingStray)
		})
	}
	l.assertTeardown(t)
}

// longLived is a mount that outlives the versions of its InfluxDB.
type longLived struct {
	*rooted
	// leases are those that live, each minted on another version but for the last.
	leases []minted
	// revoked is a lease whose deletion is pending.
	revoked minted
	// byHand and period are the tokens of static roles as they were when InfluxDB stopped.
	byHand, period standing
}

func newLongLived(t *testing.T, influx *lab.Influx) *longLived {
	t.Helper()
	l := &longLived{rooted: newRooted(t, influx, smallest(influx))}
	l.write(t, "config", map[string]any{"request_timeout": patient})
	l.staticRole(t, "by-hand", nil)
	l.staticRole(t, "period", map[string]any{"rotation_period": "1m", "grace_period": "1m"})
	l.leases = []minted{l.mint(t, "app"), l.mint(t, "app")}
	return l
}

// cutOff stops InfluxDB, and leaves something to do there.
func (l *longLived) cutOff(t *testing.T) {
	t.Helper()
	l.revoked = l.mint(t, "app")
	require.NoError(t, l.influx.Stop())
	require.ErrorContains(t, l.tryRevoke(t.Context(), l.revoked), "is not deleted yet")
	l.byHand, l.period = l.stands(t, "by-hand"), l.stands(t, "period") // no rotation can come any more
}

func (l *longLived) assertLeasesGoOn(t *testing.T) {
	for _, m := range l.leases {
		deadline := l.stamped(t, m)
		assert.Equal(t, 3600, l.renew(t, m.lease, 3600))
		assert.Equal(t, deadline, l.stamped(t, m))
		assertWorks(t, l.influx, m.token)
	}
	l.revoke(t, l.leases[0].lease)
	assertDead(t, l.influx, l.leases[0])
	fresh := l.mint(t, "app")
	assertWorks(t, l.influx, fresh.token)
	l.leases = append(l.leases[1:], fresh)
}

func (l *longLived) assertStaticRolesGoOn(t *testing.T) {
	assert.Equal(t, l.byHand, l.stands(t, "by-hand"))
	assertWorks(t, l.influx, l.byHand.token)
	next := l.engine.rotate(t, "by-hand", "1h")
	assert.Equal(t, http.StatusNoContent, writes(t, l.influx, l.byHand.token))
	last := l.engine.rotate(t, "by-hand", "0")
	assertGone(t, l.influx, minted{id: l.byHand.id}, minted{id: next.id})
	assertWorks(t, l.influx, last.token)
	assertWorks(t, l.influx, l.awaitOther(t, "period", l.period).token)
}

func (l *longLived) assertRootGoesOn(t *testing.T) {
	held := smallest(l.influx)(l.owner.ID)
	before, _ := l.config(t)["authorization_id"].(string)
	require.NotEmpty(t, before, "where values are shown it is found, and a rotation knows what it made")
	after := l.rotate(t)
	assert.NotEqual(t, before, after)
	assert.ElementsMatch(t, held, l.authorization(t, after).Permissions)
	assertGone(t, l.influx, minted{id: before})
	l.assertMints(t)
}

func (l *longLived) assertDrained(t *testing.T) {
	awaitDeath(t, l.influx, l.revoked, tickLimit)
	l.revoke(t, l.revoked.lease)
}

func (l *longLived) assertNothingStray(t *testing.T) {
	assert.Equal(t, "done", l.tidy(t, nil)["state"])
	assert.Empty(t, l.problems(t))
	assert.Equal(t, http.StatusOK, accepted(t, l.influx, l.sibling.Token), "what is not the engine's is left alone")
}

// assertTeardown ends what the mount handed out, and finds nothing but its root token.
func (l *longLived) assertTeardown(t *testing.T) {
	t.Helper()
	l.revokePrefix(t, "creds/")
	for _, m := range l.leases {
		assertDead(t, l.influx, m)
	}
	l.remove(t, "static-roles/by-hand")
	l.remove(t, "static-roles/period")
	assert.Equal(t, []string{l.config(t)["authorization_id"].(string)}, ids(l.inInflux(t)))
}
