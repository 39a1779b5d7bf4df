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
