package rotation

import (
	"cmp"
	"time"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/store"
)

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
