package e2e

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// tenant is one of several mounts on one InfluxDB.
type tenant struct {
	*engine
	held  minted
	meter standing
	// dead is the one token that its tidy has to delete; the others bear its UUID too, or look so.
	dead   string
	others []string
}

// newTenant gives an engine a token of each kind, and look-alikes of each. Its own tidy never runs by itself.
func newTenant(t *testing.T, e *engine, l landmarks) *tenant {
	t.Helper()
	root := byHand(t, e.influx, l.home.ID, l.root.ID, l.operator()...)
	e.write(t, "config", map[string]any{"token": root.Token, "tidy_interval": 0})
	e.write(t, "config/rotate-root", map[string]any{"authorization_id": root.ID})
	e.role(t, "app", bucketRole(nil))
	e.staticRole(t, "meter", nil)
	n := &tenant{engine: e, held: e.mint(t, "app"), meter: e.stands(t, "meter")}
	uuid, past, future := e.uuid(t), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	n.dead = e.handMade(t, lookAlike(uuid, "lease", past))
	n.others = []string{
		n.held.id, n.meter.id, e.config(t)["authorization_id"].(string),
		e.handMade(t, lookAlike(uuid, "lease", future)),
		e.handMade(t, lookAlike(uuid, "static", past)),
		e.handMade(t, lookAlike(uuid, "root", past)),
		e.handMade(t, lookAlike(uuid, "lease", past)+" (cloned at 2026-11-23 12:00:00)"),
		e.handMade(t, strings.Replace(lookAlike(uuid, "lease", past), ":v1:", ":v2:", 1)),
		e.handMade(t, "by hand, like "+uuid),
	}
	return n
}

// Two mounts of one Vault and one of another share an InfluxDB: each tidies up behind itself alone.
func TestEachTidyDeletesItsOwnDeadTokensAlone(t *testing.T) {
	t.Parallel()
	vault := newVault(t)
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		l := newLandmarks(t, influx)
		var tenants []*tenant
		var dead, others []string
		for _, e := range []*engine{
			engineIn(t, vault, "one-"+influx.Version, influx), engineIn(t, vault, "two-"+influx.Version, influx), connectedEngine(t, influx),
		} {
			n := newTenant(t, e, l)
			tenants, dead, others = append(tenants, n), append(dead, n.dead), append(others, n.others...)
		}
		for _, n := range tenants {
			assertCounts(t, n.tidy(t, map[string]any{"dry_run": true}), 1, 0)
		}
		assert.Subset(t, everyID(t, influx), slices.Concat(dead, others))
		for i, n := range tenants {
			assertCounts(t, n.tidy(t, nil), 1, 1)
			assert.False(t, n.exists(t, n.dead))
			assert.Subset(t, everyID(t, influx), slices.Concat(dead[i+1:], others))
		}
		for _, n := range tenants {
			assertWorks(t, influx, n.held.token)
			assert.Equal(t, n.meter, n.stands(t, "meter"))
			assertWorks(t, influx, n.meter.token)
			n.revoke(t, n.held.lease)
			assertGone(t, influx, n.held)
		}
	})
}

// assertCounts asserts that a tidy has ended well, and what it found and deleted.
func assertCounts(t *testing.T, state map[string]any, matched, deleted int) {
	t.Helper()
	assert.Equal(t, "done", state["state"], state["last_error"])
	assert.Equal(t, fmt.Sprint(matched), fmt.Sprint(state["matched_count"]), "matched")
	assert.Equal(t, fmt.Sprint(deleted), fmt.Sprint(state["deleted_count"]), "deleted")
}

// What was handed out after a snapshot was taken, the Vault that was restored from it knows nothing of; it works on
// until the deadline that it bears.
func TestRestoredVaultDeletesNothingBeforeItsDeadline(t *testing.T) {
	t.Parallel()
	vault := newVaultOn(t, "raft")
	type handedOut struct {
		*engine
		before, after, dead minted
	}
	var all []*handedOut
	for _, version := range versions {
		h := &handedOut{engine: engineIn(t, vault, "influxdb-"+version, influxOf(t, version))}
		h.write(t, "config", map[string]any{"tidy_interval": 0})
		h.role(t, "app", bucketRole(nil))
		h.before = h.mint(t, "app")
		all = append(all, h)
	}
	snapshot, err := vault.Snapshot(t.Context())
	require.NoError(t, err)
	for _, h := range all {
		h.after, h.dead = h.mint(t, "app"), h.mint(t, "app")
		for _, m := range []minted{h.before, h.after, h.dead} {
			assert.Equal(t, 7200, h.renew(t, m.lease, 7200))
		}
	}
	require.NoError(t, vault.Restore(t.Context(), snapshot, vault))
	for _, h := range all {
		assertCounts(t, h.tidy(t, nil), 0, 0)
		for _, m := range []minted{h.before, h.after, h.dead} {
			assertWorks(t, h.influx, m.token)
		}
		h.outlive(t, h.dead)
		assertCounts(t, h.tidy(t, map[string]any{"dry_run": true}), 1, 0)
		assertCounts(t, h.tidy(t, nil), 1, 1)
		assertGone(t, h.influx, h.dead)
		assertWorks(t, h.influx, h.after.token)
		assert.Equal(t, 3600, h.renew(t, h.before.lease, 3600), "what Vault still knows goes on as before")

		h.outlive(t, h.after)
		assertCounts(t, h.tidy(t, nil), 1, 1)
		assertGone(t, h.influx, h.after)
		h.revoke(t, h.before.lease)
		assertGone(t, h.influx, h.before)
	}
}

var writtenDeadline = regexp.MustCompile(`:\d+\]$`)

// outlive sets a token's deadline to an hour ago, where the engine finds it: in its description.
func (e *engine) outlive(t *testing.T, m minted) {
	t.Helper()
	require.Regexp(t, writtenDeadline, m.description)
	past := fmt.Sprintf(":%d]", time.Now().Add(-time.Hour).Unix())
	status, _, err := e.influx.Call(t.Context(), e.influx.Operator, http.MethodPatch, "/api/v2/authorizations/"+m.id,
		map[string]any{"description": writtenDeadline.ReplaceAllLiteralString(m.description, past)})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
}
