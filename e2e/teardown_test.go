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

// Terraform deletes a mount's paths before the mount, in an order of its own, while its leases live.
func TestTeardownLeavesNothing(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		for name, order := range map[string][]string{
			"config first": {"config", "roles/app", "static-roles/meter"},
			"roles first":  {"static-roles/meter", "roles/app", "config"},
		} {
			t.Run(name, func(t *testing.T) {
				e := connectedEngine(t, influx)
				e.role(t, "app", bucketRole(nil))
				e.write(t, "static-roles/meter", bucketRole(nil))
				uuid, all := e.uuid(t), []minted{e.mint(t, "app"), e.mint(t, "app"), {id: e.stands(t, "meter").id}}
				for _, path := range order {
					e.remove(t, path)
				}
				require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
				assertGone(t, influx, all...)
				assertNothingOf(t, influx, uuid)
			})
		}
	})
}

// A move keeps everything but the leases, which Vault itself revokes first.
func TestMoveLosesNothing(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", bucketRole(nil))
		e.write(t, "static-roles/meter", bucketRole(nil))
		before, config, meter := e.mint(t, "app"), e.config(t), e.stands(t, "meter")
		require.NoError(t, e.move(t))
		assertGone(t, e.influx, before)
		assert.Equal(t, config, e.config(t))
		assert.Equal(t, meter, e.stands(t, "meter"))
		assertWorks(t, e.influx, meter.token)
		e.assertLeases(t)
		assertWorks(t, e.influx, e.rotate(t, "meter", "0").token)
		assertGone(t, e.influx, minted{id: meter.id})
		assertCounts(t, e.tidy(t, nil), 0, 0)
		e.remove(t, "static-roles/meter")
		assertNothingOf(t, e.influx, e.uuid(t))
	})
}

// move moves the mount to another path.
func (e *engine) move(t *testing.T) error {
	t.Helper()
	to := unique("moved")
	err := e.vault.Sys().RemountWithContext(t.Context(), e.path, to)
	if err == nil {
		e.path = to
		t.Cleanup(func() { assert.NoError(t, e.vault.Sys().Unmount(to)) })
	}
	return err
}

// assertLeases asserts that tokens of the role app are handed out, renewed and revoked.
func (e *engine) assertLeases(t *testing.T) {
	t.Helper()
	m := e.mint(t, "app")
	assertWorks(t, e.influx, m.token)
	assert.Equal(t, 7200, e.renew(t, m.lease, 7200))
	assertWorks(t, e.influx, m.token)
	e.revoke(t, m.lease)
	assertGone(t, e.influx, m)
}

// departure is an InfluxDB of its own that is down while its mounts are to go.
type departure struct {
	influx *lab.Influx
	// leaving has a lease that holds it back; forced and moving have a deletion that is pending, and no lease.
	leaving, forced, moving *engine
	left, lost, pending     minted
	lostFrom                string
}

// What is still to be deleted in an InfluxDB that is down holds its mount back, or is told to the log and finished by
// another mount, or moves along.
func TestTeardownDuringAnOutage(t *testing.T) {
	t.Parallel()
	var all []*departure
	for _, version := range versions {
		d := newDeparture(t, newInflux(t, lab.InfluxOptions{Version: version}))
		require.NoError(t, d.influx.Stop())
		all = append(all, d)
	}
	for _, d := range all {
		d.isHeldBack(t)
		d.isForced(t)
		d.moves(t)
		require.NoError(t, d.influx.Start(t.Context()))
	}
	for _, d := range all {
		require.NoError(t, d.leaving.vault.Sys().UnmountWithContext(t.Context(), d.leaving.path))
		assertGone(t, d.influx, d.left)
		d.isFinishedElsewhere(t)
	}
	for _, d := range all { // by the tick, that of all at once
		require.NoError(t, lab.Await(t.Context(), drainLimit, "the deletion that moved along", func(context.Context) error {
			if d.moving.exists(t, d.pending.id) {
				return fmt.Errorf("%s is there", d.pending.id)
			}
			return nil
		}))
		d.moving.assertLeases(t)
	}
}

func newDeparture(t *testing.T, influx *lab.Influx) *departure {
	t.Helper()
	d := &departure{influx: influx, leaving: connectedEngine(t, influx), forced: connectedEngine(t, influx), moving: connectedEngine(t, influx)}
	for _, e := range []*engine{d.leaving, d.forced, d.moving} {
		e.role(t, "app", bucketRole(nil))
	}
	d.left, d.lost, d.pending = d.leaving.mint(t, "app"), d.forced.mint(t, "app"), d.moving.mint(t, "app")
	d.lostFrom = d.forced.uuid(t)
	return d
}

// isHeldBack tears a mount down whose lease can't end.
func (d *departure) isHeldBack(t *testing.T) {
	t.Helper()
	d.leaving.remove(t, "roles/app")
	d.leaving.remove(t, "config")
	err := d.leaving.vault.Sys().UnmountWithContext(t.Context(), d.leaving.path)
	require.ErrorContains(t, err, "authorization "+d.left.id+" is not deleted yet")
	require.ErrorContains(t, err, "connection refused")
}

// isForced disables a mount whose lease was given up.
func (d *departure) isForced(t *testing.T) {
	t.Helper()
	d.forced.force(t)
	require.NoError(t, d.forced.vault.Sys().UnmountWithContext(t.Context(), d.forced.path))
	said := awaitLogged(t, "run tidy mount_uuid="+d.lostFrom+" on another mount after the deadline")
	for _, part := range []string{"[ERROR]", "authorization_id=" + d.lost.id, "role=app", "mount_uuid=" + d.lostFrom} {
		assert.Contains(t, said, part)
	}
}

// moves moves a mount: not with a lease that can't end, but with a deletion that is pending.
func (d *departure) moves(t *testing.T) {
	t.Helper()
	require.Error(t, d.moving.move(t))
	assert.Contains(t, awaitLogged(t, "authorization "+d.pending.id+" is not deleted yet"), "connection refused", "Vault's log tells why")
	d.moving.force(t)
	require.NoError(t, d.moving.move(t))
}

// isFinishedElsewhere has another mount delete what a mount left behind that is gone.
func (d *departure) isFinishedElsewhere(t *testing.T) {
	t.Helper()
	other := connectedEngine(t, d.influx)
	other.role(t, "app", bucketRole(nil))
	gone := map[string]any{"mount_uuid": d.lostFrom}
	assertCounts(t, other.tidy(t, gone), 0, 0)
	require.True(t, other.exists(t, d.lost.id), "its deadline has not passed")

	neighbours := []string{other.mint(t, "app").id, other.handMade(t, "by hand")}
	other.outlive(t, d.lost)
	assertCounts(t, other.tidy(t, gone), 1, 1)
	assertGone(t, d.influx, d.lost)
	assert.Subset(t, everyID(t, d.influx), neighbours)
}

// force ends all leases of the role app, whatever becomes of their tokens.
func (e *engine) force(t *testing.T) {
	t.Helper()
	require.NoError(t, e.vault.Sys().RevokeForceWithContext(t.Context(), e.path+"/creds/app"))
}

// awaitLogged waits for a line of the shared Vault's log that holds a text: what a plugin says takes its way there.
func awaitLogged(t *testing.T, text string) (found string) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), time.Minute, "a line in Vault's log", func(context.Context) error {
		for line := range strings.Lines(shared.vault.Logs()) {
			if strings.Contains(line, text) {
				found = line
				return nil
			}
		}
		return fmt.Errorf("no line says %q", text)
	}))
	return found
}
