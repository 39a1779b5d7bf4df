package store

import "time"

// RotationPlan says when a token is rotated by itself: every so often, or at the times of a schedule. Neither means
// by hand only.
type RotationPlan struct {
	// RotationPeriod is in seconds.
	RotationPeriod int `json:"rotation_period,omitempty"`
	// RotationSchedule is a cron expression of five fields, in UTC. One that an earlier version stored may have a time
	// zone before them, which is ignored.
	RotationSchedule string `json:"rotation_schedule,omitempty"`
	// RotationWindow is how long after a time of the schedule a rotation may still begin, in seconds; 0 means
	// until the next.
	RotationWindow int `json:"rotation_window,omitempty"`
}

// RotationTimes are a token's rotations: the last one, and the next one that is planned.
type RotationTimes struct {
	// LastRotation is zero for a token that was never rotated.
	LastRotation time.Time `json:"last_rotation,omitzero"`
	// NextRotation is zero where none is planned.
	NextRotation time.Time `json:"next_rotation,omitzero"`
	// Skipped is the last time of the schedule that passed without a rotation; nil after one that succeeded.
	Skipped *SkippedRotation `json:"skipped,omitempty"`
}

// SkippedRotation is a time of a schedule that passed, with its window, without a rotation.
type SkippedRotation struct {
	Due    time.Time `json:"due"`
	Reason string    `json:"reason"`
}

// ClockMargin is how far the clocks of two nodes, or of one before and after it was set, may differ: a moment that lies
// ahead by less comes by itself.
const ClockMargin = time.Minute

// NotAhead returns when something began, or now where that lies ahead: a clock was wrong then, and what has begun must age.
func NotAhead(began, now time.Time) time.Time {
	if began.After(now.Add(ClockMargin)) {
		return now.UTC()
	}
	return began
}
