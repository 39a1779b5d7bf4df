// Package rotation says when a token is rotated, and takes the steps of a rotation: the same for the root token and for
// the tokens of static roles.
package rotation

import (
	"cmp"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/rotation"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// MinPeriod is how often Vault calls periodic functions, in seconds: nothing happens more often.
const MinPeriod = 60

// ValidatePlan lists what is wrong with a plan. A schedule that stands in storage already, in before, may have the time
// zone that earlier versions ignored: a write of something else is not refused for it.
func ValidatePlan(p, before store.RotationPlan, now time.Time) (problems problem.List) {
	if p.RotationPeriod > 0 && p.RotationSchedule != "" {
		problems.Add("rotation_period", "give either rotation_period or rotation_schedule")
	}
	if p.RotationPeriod > 0 && p.RotationPeriod < MinPeriod {
		problems.Add("rotation_period", "must be 1m or more, or 0 for none")
	}
	switch {
	case p.RotationWindow == 0:
	case p.RotationSchedule == "":
		problems.Add("rotation_window", "belongs to rotation_schedule; there is none")
	case rotation.DefaultScheduler.ValidateRotationWindow(p.RotationWindow) != nil:
		problems.Add("rotation_window", "must be 1h or more, or 0 for no limit")
	}
	if p.RotationSchedule == "" || p.RotationSchedule == before.RotationSchedule {
		return problems
	}
	next, err := parse(p.RotationSchedule)
	switch {
	case HasZone(p):
		problems.Add("rotation_schedule", "names a time zone; a schedule is in UTC: write its five fields alone, such as 0 3 * * SUN")
	case err != nil:
		problems.Add("rotation_schedule", "not a cron expression of five fields (minute, hour, day of month, month, day of week; in UTC), such as 0 3 * * SUN")
	case next(now).IsZero():
		problems.Add("rotation_schedule", "has no time within the next five years")
	}
	return problems
}

// HasZone reports whether a plan's schedule has a time zone before its five fields, which is ignored: earlier versions let
// it be written.
func HasZone(p store.RotationPlan) bool { return fields(p.RotationSchedule) != p.RotationSchedule }

// fields is a schedule without its time zone.
func fields(schedule string) string {
	if strings.HasPrefix(schedule, "TZ=") || strings.HasPrefix(schedule, "CRON_TZ=") {
		_, schedule, _ = strings.Cut(schedule, " ")
	}
	return schedule
}

var errNoSchedule = errors.New("not a schedule of five fields")

// parse returns a function that returns the first time of a schedule after a moment in UTC; zero for none. The parser
// takes more than five fields, and panics on some time zones.
func parse(schedule string) (next func(time.Time) time.Time, err error) {
	defer func() {
		if recover() != nil {
			err = errNoSchedule
		}
	}()
	if len(strings.Fields(schedule)) != 5 {
		return nil, errNoSchedule
	}
	parsed, err := rotation.DefaultScheduler.Parse(schedule)
	if err != nil {
		return nil, err
	}
	return parsed.Next, nil
}

// Next returns the first time after a moment at which a token is to be rotated; zero for never.
func Next(p store.RotationPlan, after time.Time) time.Time {
	if p.RotationPeriod > 0 {
		return after.Add(time.Duration(p.RotationPeriod) * time.Second).UTC()
	}
	next, err := parse(fields(p.RotationSchedule))
	if err != nil { // there is none: another one was refused as it was written
		return time.Time{}
	}
	return next(after.UTC())
}

// The days of the week fall on the same dates again after a cycle of 28 years; this is a whole one.
var (
	cycleStart = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	cycleEnd   = cycleStart.AddDate(28, 0, 0)
)

// ShortestGap returns the shortest time between two rotations of a plan; the longest duration where there are none.
func ShortestGap(p store.RotationPlan) time.Duration {
	if p.RotationPeriod > 0 {
		return time.Duration(p.RotationPeriod) * time.Second
	}
	shortest := time.Duration(math.MaxInt64)
	next, err := parse(fields(p.RotationSchedule))
	if err != nil {
		return shortest
	}
	const day = 24 * time.Hour
	last := next(cycleStart.Add(-time.Second))
	firstDay := last.Truncate(day)
	for at := next(last); !at.IsZero() && at.Before(cycleEnd); at = next(last) {
		shortest = min(shortest, at.Sub(last))
		today, yesterday := at.Truncate(day), last.Truncate(day)
		switch {
		case today.Equal(firstDay):
			last = at
		case today.Sub(yesterday) == day: // no two days are closer
			return shortest
		default: // each day has the times of the first
			last = today.Add(last.Sub(yesterday))
		}
	}
	return shortest
}

// Decision is what a plan asks for now.
type Decision int

const (
	// Nothing is due, or a rotation that failed waits for its backoff.
	Nothing Decision = iota
	// Skip the rotation that was due: its window is over.
	Skip
	// Rotate the token.
	Rotate
)

// early is how long before its time a token with a rotation period is rotated: what Vault's minute, the call and the
// writes of the last rotation take. Without it a period of one minute is missed by every second tick. A schedule names
// moments before which nothing is to happen, and each of its minutes has a tick of its own.
const early = 5 * time.Second

// IsDue reports whether a tick rotates a token whose next rotation is planned for next; zero for never.
func IsDue(p store.RotationPlan, next, now time.Time) bool {
	if p.RotationPeriod > 0 {
		now = now.Add(early)
	}
	return !next.IsZero() && !now.Before(next)
}

// Decide returns what is to be done for a token whose next rotation is planned for next. b counts the attempts that
// failed.
func Decide(p store.RotationPlan, next time.Time, b *background.Backoff, now time.Time) Decision {
	switch {
	case !IsDue(p, next, now):
		return Nothing
	case p.RotationWindow > 0 && !now.Before(next.Add(time.Duration(p.RotationWindow)*time.Second)):
		return Skip
	case !b.Ready(now):
		return Nothing
	}
	return Rotate
}

// Times returns the times of a token that was rotated now.
func Times(p store.RotationPlan, now time.Time) store.RotationTimes {
	return store.RotationTimes{LastRotation: now.UTC(), NextRotation: Next(p, now)}
}

// Bounded returns a token's times as they can be, whatever a clock that was ahead has set: a next rotation that lies
// further ahead than the plan could have set it is due now, and a last one that lies ahead was now.
func Bounded(p store.RotationPlan, t store.RotationTimes, now time.Time) store.RotationTimes {
	t.LastRotation = store.NotAhead(t.LastRotation, now)
	if t.NextRotation.After(now) {
		if latest := Next(p, now.Add(store.ClockMargin)); !latest.IsZero() && t.NextRotation.After(latest) {
			t.NextRotation = now.UTC()
		}
	}
	return t
}

// SkipMissed returns the times after a planned rotation whose window is over: when it was due and why nothing was rotated in the
// window, and when the next one is due.
func SkipMissed(p store.RotationPlan, t store.RotationTimes, b *background.Backoff, now time.Time) store.RotationTimes {
	t.Skipped = &store.SkippedRotation{
		Due:    t.NextRotation,
		Reason: cmp.Or(b.LastError(), "the engine was not running, or not allowed to write, in all of its window"),
	}
	t.NextRotation = Next(p, now)
	return t
}
