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

// Decide returns what is to be done for a token whose next rotation is planned for next. b counts the attempts that
// failed.
func Decide(p store.RotationPlan, next time.Time, b *background.Backoff, now time.Time) Decision {
	switch {
	case next.IsZero() || now.Before(next):
		return Nothing
	case WindowPassed(p, next, now):
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
