package backend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// A schedule is exactly five fields, in UTC, wherever it is written. What has a time zone before them, whatever else the
// cron parser takes, and what it panics on, is a 400 and stores nothing.
func TestSchedulesOfOtherThanFiveFieldsAreRefused(t *testing.T) {
	m := newMount(t)
	m.statically(nil)
	for _, schedule := range []string{
		"TZ=Europe/Berlin 0 3 * * *", "CRON_TZ=Asia/Tokyo 0 3 * * *", "TZ=UTC 0 3 * * *", "TZ= 0 3 * * *", "TZ=Nowhere 0 3 * * *", "TZ=UTC 3 * * *",
		"TZ=UTC", "TZ=", "CRON_TZ=Europe/Berlin", "TZ=UTC\t0 3 * * *", "tz=UTC 0 3 * * *",
		"@daily", "@every 1h", "TZ=UTC @daily", "0 0 3 * * *", "0 3 * *", "* * * * * * *", "*/0 * * * *", "61 * * * *", "x",
	} {
		for _, path := range []string{"config", "static-roles/kept"} {
			require.Contains(t, m.rejected(logical.PatchOperation, path, map[string]any{"rotation_schedule": schedule}), "rotation_schedule: ", "%s: %q", path, schedule)
		}
		require.Contains(t, m.rejected(logical.UpdateOperation, "static-roles/new", staticFields(map[string]any{"rotation_schedule": schedule})), "rotation_schedule: ", schedule)
	}
	require.NotContains(t, m.log.String(), "panic")
}

// storeSchedule puts a schedule into storage as an earlier version could, which took time zones and any grace.
func (p *planned) storeSchedule(schedule string) {
	p.t.Helper()
	var err error
	if p.path == "config" {
		config := p.stored()
		config.RotationSchedule = schedule
		err = store.Config.Put(p.t.Context(), p.storage.Storage, config)
	} else {
		role := p.storedStatic("kept")
		role.RotationSchedule = schedule
		err = store.StaticRoles.Put(p.t.Context(), p.storage.Storage, "kept", role)
	}
	require.NoError(p.t, err)
	p.crash()
	if overGRPC {
		p.vault.InvalidateKey(p.t.Context(), "static-role/kept")
		p.vault.InvalidateKey(p.t.Context(), "config")
	}
}

// A schedule with a time zone that is stored already runs in UTC, as it did, and stays as it was written; check names it.
// Whatever else is written beside it is taken.
func TestStoredSchedulesWithAZoneGoOn(t *testing.T) {
	const zoned = "CRON_TZ=Asia/Tokyo 0 14 * * *"
	eachPlanned(t, map[string]any{"rotation_schedule": "0 14 * * *"}, func(t *testing.T, p *planned) {
		p.storeSchedule(zoned)
		p.passUntil(time.Date(2027, 1, 4, 13, 50, 0, 0, time.UTC), 10*time.Minute)
		require.Equal(t, []time.Time{
			time.Date(2027, 1, 1, 14, 0, 0, 0, time.UTC), time.Date(2027, 1, 2, 14, 0, 0, 0, time.UTC), time.Date(2027, 1, 3, 14, 0, 0, 0, time.UTC),
		}, p.rotated)
		require.Contains(t, fmt.Sprint(p.problems()), "rotation_schedule names a time zone, which is ignored: it runs in UTC; write its five fields alone")
		data := p.read(p.path).Data
		require.Equal(t, zoned, data["rotation_schedule"])
		require.Equal(t, "2027-01-04T14:00:00Z", data["next_vault_rotation"])
		if p.path != "config" {
			require.Equal(t, 86400, seconds(t, p.readStatic("kept")["rotation_period"]))
		}

		other := map[string]any{"request_timeout": 20}
		if p.path != "config" {
			other = map[string]any{"description": "for {{.Role}}"}
		}
		p.ok(logical.PatchOperation, p.path, other)
		require.Equal(t, zoned, p.read(p.path).Data["rotation_schedule"])
		require.Contains(t, p.rejected(logical.PatchOperation, p.path, map[string]any{"rotation_schedule": "TZ=UTC 0 14 * * *"}), "rotation_schedule: names a time zone")
		p.ok(logical.PatchOperation, p.path, map[string]any{"rotation_schedule": "0 14 * * *"})
		require.NotContains(t, fmt.Sprint(p.problems()), "time zone")
	})
}

// A schedule that comes due more often than the grace lasts would end the previous token before its time: it is refused as
// a period is, for its shortest gap.
func TestScheduleLeavesTimeForTheGrace(t *testing.T) {
	m := newMount(t)
	m.connected()
	for schedule, c := range map[string]struct {
		gap   int
		grace any
	}{
		"*/5 * * * *":     {300, nil}, // the default is an hour
		"*/7 * * * *":     {240, "5m"},
		"0 0,23 * * *":    {3600, "61m"},
		"0 3 * * SUN,MON": {86400, "25h"},
	} {
		fields := staticFields(map[string]any{"rotation_schedule": schedule})
		if c.grace != nil {
			fields["grace_period"] = c.grace
		}
		require.Contains(t, m.rejected(logical.UpdateOperation, "static-roles/kept", fields),
			fmt.Sprintf("s is longer than the shortest time between two rotations of rotation_schedule, %ds", c.gap), schedule)
		fields["grace_period"] = c.gap
		m.write("static-roles/kept", fields)
		require.Contains(t, m.rejected(logical.PatchOperation, "static-roles/kept", map[string]any{"grace_period": c.gap + 1}), "grace_period: ")
		m.ok(logical.DeleteOperation, "static-roles/kept", nil)
	}
	m.write("static-roles/kept", staticFields(map[string]any{"rotation_period": "24h", "grace_period": "24h"}))
	require.Contains(t, m.rejected(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_schedule": "0 */6 * * *"}), "grace_period: 86400s is longer than")
}

// One that is stored already goes on with the grace cut to the shortest gap, so that previous_ends is true; check names it.
func TestStoredGraceIsCutToTheSchedule(t *testing.T) {
	p := newPlannedStatic(t, map[string]any{"rotation_schedule": "0 14 * * *"})
	p.clock.freeze()
	p.storeSchedule("*/10 * * * *")
	p.pass(time.Minute)
	require.Contains(t, fmt.Sprint(p.problems()), `static role "kept": grace_period: 3600s is longer than the shortest time between two rotations of rotation_schedule, 600s, and the previous token works for that long`)
	p.passUntil(time.Date(2027, 1, 1, 13, 0, 0, 0, time.UTC), time.Minute)
	for range 3 {
		old := p.seen
		p.pass(10 * time.Minute)
		require.NotEqual(t, old, p.seen)
		ends, err := time.Parse(time.RFC3339, p.read("static-roles/kept").Data["previous_ends"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, p.clock.now().Add(10*time.Minute), ends, 2*time.Second)
		p.pass(9 * time.Minute)
		require.Equal(t, http.StatusNoContent, writes(t, p.server, old), "until then")
		p.clock.advance(-9 * time.Minute)
	}
	require.Equal(t, 3600, seconds(t, p.read("static-roles/kept").Data["grace_period"]), "as it was written")
	p.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"description": "for {{.Role}}"})
	p.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"grace_period": "10m"})
	require.NotContains(t, fmt.Sprint(p.problems()), "grace_period")
}
