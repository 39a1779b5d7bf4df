package rotation

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/store"
)

var (
	noon    = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	nightly = store.RotationPlan{RotationSchedule: "0 3 * * *", RotationWindow: 3600}
)

func TestValidatePlan(t *testing.T) {
	for _, good := range []store.RotationPlan{{}, {RotationPeriod: MinPeriod}, {RotationSchedule: "0 3 * * SUN"}, nightly} {
		require.NoError(t, ValidatePlan(good, noon).Err(), good)
	}
	for _, c := range []struct {
		plan store.RotationPlan
		says string
	}{
		{store.RotationPlan{RotationPeriod: 3600, RotationSchedule: "0 3 * * *"}, "rotation_period: give either rotation_period or rotation_schedule"},
		{store.RotationPlan{RotationPeriod: 59}, "rotation_period: must be 1m or more, or 0 for none"},
		{store.RotationPlan{RotationWindow: 7200}, "rotation_window: belongs to rotation_schedule; there is none"},
		{store.RotationPlan{RotationPeriod: 3600, RotationWindow: 7200}, "rotation_window: belongs to rotation_schedule; there is none"},
		{store.RotationPlan{RotationSchedule: "0 3 * * *", RotationWindow: 3540}, "rotation_window: must be 1h or more, or 0 for no limit"},
		{store.RotationPlan{RotationSchedule: "@daily"}, "rotation_schedule: not a cron expression of five fields (minute, hour, day of month, month, day of week; in UTC), such as 0 3 * * SUN"},
		{store.RotationPlan{RotationSchedule: "0 0 3 * * *"}, "rotation_schedule: not a cron expression of five fields (minute, hour, day of month, month, day of week; in UTC), such as 0 3 * * SUN"},
		{store.RotationPlan{RotationSchedule: "0 0 30 2 *"}, "rotation_schedule: has no time within the next five years"},
	} {
		require.EqualError(t, ValidatePlan(c.plan, noon).Err(), c.says, c.plan)
	}
	require.Len(t, ValidatePlan(store.RotationPlan{RotationPeriod: 1, RotationSchedule: "x", RotationWindow: 1}, noon), 4, "all that is wrong at once")
}

func TestNext(t *testing.T) {
	berlin := time.FixedZone("", 3600)
	require.Equal(t, noon.Add(time.Hour), Next(store.RotationPlan{RotationPeriod: 3600}, noon.In(berlin)))
	require.Equal(t, time.Date(2027, 3, 2, 3, 0, 0, 0, time.UTC), Next(nightly, noon.In(berlin)), "a schedule is in UTC")
	require.True(t, Next(store.RotationPlan{}, noon).IsZero())
	require.True(t, Next(store.RotationPlan{RotationSchedule: "x"}, noon).IsZero())
	require.Equal(t, store.RotationTimes{LastRotation: noon, NextRotation: noon.Add(time.Hour)}, Times(store.RotationPlan{RotationPeriod: 3600}, noon.In(berlin)))
}

func TestDecide(t *testing.T) {
	hourly := store.RotationPlan{RotationPeriod: 3600}
	var fine, failed background.Backoff
	failed.Done(errors.New("down"), noon)
	for name, c := range map[string]struct {
		plan    store.RotationPlan
		next    time.Time
		backoff *background.Backoff
		want    Decision
	}{
		"by hand":                           {store.RotationPlan{}, time.Time{}, &fine, Nothing},
		"not due":                           {hourly, noon.Add(time.Second), &fine, Nothing},
		"due":                               {hourly, noon, &fine, Rotate},
		"overdue for long":                  {hourly, noon.AddDate(-1, 0, 0), &fine, Rotate},
		"failed lately":                     {hourly, noon, &failed, Nothing},
		"in its window":                     {nightly, noon.Add(-time.Hour + time.Second), &fine, Rotate},
		"after its window":                  {nightly, noon.Add(-time.Hour), &fine, Skip},
		"failed lately, and now its window": {nightly, noon.Add(-time.Hour), &failed, Skip},
		"without a window":                  {store.RotationPlan{RotationSchedule: "0 3 * * *"}, noon.AddDate(0, 0, -7), &fine, Rotate},
	} {
		require.Equal(t, c.want, Decide(c.plan, c.next, c.backoff, noon), name)
	}
}

func TestSkipMissed(t *testing.T) {
	missed := store.RotationTimes{LastRotation: noon.AddDate(0, 0, -2), NextRotation: noon.Add(-9 * time.Hour)}
	var fine, failed background.Backoff
	failed.Done(errors.New("down"), noon)
	for reason, backoff := range map[string]*background.Backoff{
		"the engine was not running, or not allowed to write, in all of its window": &fine,
		"down": &failed,
	} {
		require.Equal(t, store.RotationTimes{
			LastRotation: missed.LastRotation,
			NextRotation: time.Date(2027, 3, 2, 3, 0, 0, 0, time.UTC),
			Skipped:      &store.SkippedRotation{Due: missed.NextRotation, Reason: reason},
		}, SkipMissed(nightly, missed, backoff, noon))
	}
}
