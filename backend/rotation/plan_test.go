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
		require.NoError(t, ValidatePlan(good, store.RotationPlan{}, noon).Err(), good)
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
		require.EqualError(t, ValidatePlan(c.plan, store.RotationPlan{}, noon).Err(), c.says, c.plan)
	}
	require.Len(t, ValidatePlan(store.RotationPlan{RotationPeriod: 1, RotationSchedule: "x", RotationWindow: 1}, store.RotationPlan{}, noon), 4, "all that is wrong at once")
}

// A schedule is exactly five fields. What the parser takes besides, or panics on, is refused; none of it reaches a tick.
func TestSchedulesAreFiveFields(t *testing.T) {
	for _, schedule := range []string{
		"TZ=Europe/Berlin 0 3 * * *", "CRON_TZ=Asia/Tokyo 0 3 * * *", "TZ=UTC 0 3 * * *", "TZ= 0 3 * * *", "CRON_TZ=Local 0 3 * * *",
		"TZ=UTC", "CRON_TZ=", "TZ=", "TZ=UTC\t0 3 * * *", "TZ=UTC 3 * * *", "TZ=Nowhere 0 3 * * *", "tz=UTC 0 3 * * *", " TZ=UTC 0 3 * * *",
		"@daily", "@every 1h", "TZ=UTC @daily", "0 0 3 * * *", "0 3 * *", "0 3 * * * *", "* * * * 8", "*/0 * * * *", "60 * * * *", "x", " ", "\x00 3 * * *", "0 3 * * SUNDAY",
	} {
		p := store.RotationPlan{RotationSchedule: schedule}
		require.NotPanics(t, func() {
			require.ErrorContains(t, ValidatePlan(p, store.RotationPlan{}, noon).Err(), "rotation_schedule: ", schedule)
			Next(p, noon)
			Decide(p, noon.Add(time.Hour), &background.Backoff{}, noon)
			ShortestGap(p)
		}, schedule)
	}
	for _, schedule := range []string{"0 3 * * *", "*/5 8-18 1,15 JAN-MAR MON", " 0  3 * * ? ", "0\t3\t*\t*\t*"} {
		require.NoError(t, ValidatePlan(store.RotationPlan{RotationSchedule: schedule}, store.RotationPlan{}, noon).Err(), schedule)
	}
}

// Earlier versions took a time zone before the fields, and ignored it.
func TestStoredSchedulesWithAZoneRunInUTC(t *testing.T) {
	for _, zone := range []string{"TZ=Europe/Berlin ", "CRON_TZ=Asia/Tokyo ", "TZ= "} {
		p := store.RotationPlan{RotationSchedule: zone + "0 3 * * *"}
		require.True(t, HasZone(p))
		require.Equal(t, Next(nightly, noon), Next(p, noon), zone)
		require.Equal(t, ShortestGap(nightly), ShortestGap(p))
		require.NoError(t, ValidatePlan(p, p, noon).Err(), "a write of something else")
		require.Error(t, ValidatePlan(p, nightly, noon).Err())
	}
	require.False(t, HasZone(nightly))
	require.False(t, HasZone(store.RotationPlan{RotationPeriod: 3600}))
}

func TestShortestGap(t *testing.T) {
	for schedule, want := range map[string]time.Duration{
		"* * * * *":         time.Minute,
		"*/5 * * * *":       5 * time.Minute,
		"0 3 * * *":         24 * time.Hour,
		"0 3 * * SUN":       7 * 24 * time.Hour,
		"0 3 * * SUN,MON":   24 * time.Hour,
		"0 0,23 * * *":      time.Hour,
		"0 0,23 * * SUN":    23 * time.Hour,
		"50 23 * * *":       24 * time.Hour,
		"0,50 0,23 * * *":   10 * time.Minute,
		"*/7 * * * *":       4 * time.Minute,
		"0 0 1 1 *":         365 * 24 * time.Hour,
		"0 0 29 2 *":        4*365*24*time.Hour + 24*time.Hour,
		"0 0 1 * *":         28 * 24 * time.Hour,
		"0 0 31 * *":        31 * 24 * time.Hour,
		"0 0 1,31 * *":      24 * time.Hour,
		"0 0 13 * FRI":      24 * time.Hour,
		"0 0 13 2 FRI":      24 * time.Hour,
		"0 12 28 2 *":       365 * 24 * time.Hour,
		"0 0,12 28 2 *":     12 * time.Hour,
		"0 0 28,29,1 2,3 *": 24 * time.Hour,
	} {
		require.Equal(t, want, ShortestGap(store.RotationPlan{RotationSchedule: schedule}), schedule)
	}
	require.Equal(t, time.Hour, ShortestGap(store.RotationPlan{RotationPeriod: 3600}))
	require.Greater(t, ShortestGap(store.RotationPlan{}), 200*365*24*time.Hour)
}

// Whatever the schedule, no two of its times are closer than its shortest gap, and some are that close.
func TestShortestGapIsThatOfTheTimes(t *testing.T) {
	for _, schedule := range []string{"17 4 * * *", "5,9 1,23 2 * *", "0 0 13 * FRI", "30 23,0 * 2 WED", "*/40 */9 */10 * *"} {
		p := store.RotationPlan{RotationSchedule: schedule}
		found := 100 * 365 * 24 * time.Hour
		for at := Next(p, cycleStart); at.Before(cycleEnd); {
			next := Next(p, at)
			found = min(found, next.Sub(at))
			at = next
		}
		require.Equal(t, found, ShortestGap(p), schedule)
	}
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
		"not due":                           {hourly, noon.Add(early + time.Second), &fine, Nothing},
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

// What is due within the next seconds is taken by this tick, unless a schedule names the moment: the next tick is a minute
// away, and a period of one minute is to be a rotation a minute.
func TestDueWithinTheNextSeconds(t *testing.T) {
	minutely := store.RotationPlan{RotationPeriod: 60}
	for name, c := range map[string]struct {
		plan store.RotationPlan
		in   time.Duration
		want bool
	}{
		"now":                     {minutely, 0, true},
		"in some seconds":         {minutely, early, true},
		"later":                   {minutely, early + time.Millisecond, false},
		"by schedule, in seconds": {nightly, time.Second, false},
		"by schedule, now":        {nightly, 0, true},
		"moved, now":              {store.RotationPlan{}, 0, true},
	} {
		require.Equal(t, c.want, IsDue(c.plan, noon.Add(c.in), noon), name)
	}
	require.False(t, IsDue(minutely, time.Time{}, noon))
}

// A clock that was ahead leaves times that can't be: a next rotation further ahead than the plan allows is due now, and a
// last one that lies ahead was now. What clocks differ by changes nothing.
func TestBounded(t *testing.T) {
	hourly := store.RotationPlan{RotationPeriod: 3600}
	at := func(last, next time.Duration) store.RotationTimes {
		return store.RotationTimes{LastRotation: noon.Add(last), NextRotation: noon.Add(next)}
	}
	const year = 365 * 24 * time.Hour
	for name, c := range map[string]struct {
		plan      store.RotationPlan
		have, now store.RotationTimes
	}{
		"right":               {hourly, at(-time.Minute, 59*time.Minute), at(-time.Minute, 59*time.Minute)},
		"just rotated":        {hourly, at(0, time.Hour), at(0, time.Hour)},
		"overdue":             {hourly, at(-year, -year+time.Hour), at(-year, -year+time.Hour)},
		"another node's now":  {hourly, at(30*time.Second, time.Hour+30*time.Second), at(30*time.Second, time.Hour+30*time.Second)},
		"ahead by an hour":    {hourly, at(time.Hour, 2*time.Hour), at(0, 0)},
		"ahead by a year":     {hourly, at(year, year+time.Hour), at(0, 0)},
		"next alone":          {hourly, at(-time.Minute, year), at(-time.Minute, 0)},
		"by schedule":         {nightly, at(-time.Hour, 15*time.Hour), at(-time.Hour, 15*time.Hour)},
		"schedule, ahead":     {nightly, at(24*time.Hour, 39*time.Hour), at(0, 0)},
		"by hand":             {store.RotationPlan{}, store.RotationTimes{LastRotation: noon.Add(-year)}, store.RotationTimes{LastRotation: noon.Add(-year)}},
		"by hand, ahead":      {store.RotationPlan{}, store.RotationTimes{LastRotation: noon.Add(year)}, store.RotationTimes{LastRotation: noon}},
		"never rotated":       {hourly, store.RotationTimes{NextRotation: noon.Add(time.Minute)}, store.RotationTimes{NextRotation: noon.Add(time.Minute)}},
		"schedule with zone":  {store.RotationPlan{RotationSchedule: "TZ=Asia/Tokyo 0 3 * * *"}, at(-time.Hour, 15*time.Hour), at(-time.Hour, 15*time.Hour)},
		"schedule of nothing": {store.RotationPlan{RotationSchedule: "x"}, at(-time.Hour, 15*time.Hour), at(-time.Hour, 15*time.Hour)},
	} {
		require.Equal(t, c.now, Bounded(c.plan, c.have, noon), name)
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
