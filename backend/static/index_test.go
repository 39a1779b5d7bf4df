package static

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
)

// What does not fit into one minute is left for the next, the oldest first.
func TestDueRolesComeOldestFirst(t *testing.T) {
	var x index
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, minutes := range []time.Duration{3, 1, 2, -1} {
		r := &store.StaticRole{Current: store.StaticToken{AuthorizationID: "id", Connection: "here"}}
		r.NextRotation = now.Add(-minutes * time.Minute)
		x.note(fmt.Sprintf("role-%d", i), r)
	}
	x.note("by hand", &store.StaticRole{Current: store.StaticToken{Connection: "here"}})
	require.Equal(t, []string{"role-0", "role-2", "role-1"}, x.due(now, "here"))
	require.Len(t, x.due(now, "elsewhere"), 5, "a token of another connection is to be replaced")
	require.Len(t, x.due(now, ""), 3)
}

// A clock that goes back makes due what lies further ahead than it can. Once the times are seen to be right nothing is
// computed again.
func TestDueAfterTheClockWentBack(t *testing.T) {
	var x index
	now := time.Date(2027, 1, 1, 0, 10, 0, 0, time.UTC)
	plan := store.RotationPlan{RotationSchedule: "*/30 * * * *"}
	r := &store.StaticRole{RotationPlan: plan, RotationTimes: rotation.Times(plan, now), Current: store.StaticToken{AuthorizationID: "id", Connection: "here"}}
	x.note("app", r)
	require.Empty(t, x.due(now, "here"))
	require.Empty(t, x.due(now.Add(time.Second), "here"))
	require.Empty(t, x.due(now.Add(-30*time.Second), "here"), "clocks differ a little")
	require.Equal(t, []string{"app"}, x.due(now.Add(-time.Hour), "here"))
	require.Zero(t, testing.AllocsPerRun(10, func() { x.byName["app"].isDue(now) }))
}

// A token that InfluxDB will end is replaced before, whatever the plan says, but not each minute where the clocks differ by years.
func TestDueBeforeInfluxDBEndsTheToken(t *testing.T) {
	made := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for name, plan := range map[string]store.RotationPlan{
		"by hand": {}, "rare": {RotationPeriod: 20 * 365 * 86400}, "window": {RotationSchedule: "0 0 29 2 *", RotationWindow: 3600},
	} {
		for lives, dueAfter := range map[time.Duration]time.Duration{365 * day: 335 * day, 31 * day: day, 10 * day: day, -day: day, -3650 * day: day} {
			var x index
			r := &store.StaticRole{RotationPlan: plan, RotationTimes: rotation.Times(plan, made)}
			r.Current = store.StaticToken{AuthorizationID: "id", Connection: "here", Expires: made.Add(lives)}
			x.note("app", r)
			require.Empty(t, x.due(made.Add(dueAfter-time.Second), "here"), "%s, %s", name, lives)
			require.Equal(t, []string{"app"}, x.due(made.Add(dueAfter), "here"), "%s, %s", name, lives)
			require.Equal(t, made.Add(dueAfter), x.NextRotations()["app"])
		}
	}
}

// A token that was tried may have been rotated away before its answer came.
func TestADeadTokenOfBeforeIsNobodys(t *testing.T) {
	var x index
	x.note("app", &store.StaticRole{Current: store.StaticToken{AuthorizationID: "new"}})
	x.markDead("app", "old", "2026-01-01T00:00:00Z")
	x.markDead("deleted", "old", "2026-01-01T00:00:00Z")
	require.Empty(t, x.Problems())
	x.markDead("app", "new", "2026-01-01T00:00:00Z")
	require.Len(t, x.Problems(), 1)
}
