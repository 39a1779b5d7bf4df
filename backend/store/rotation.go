package store

import "time"

// RotationPlan says when a token is rotated by itself: every so often, or at the times of a schedule. Neither means
// by hand only.
type RotationPlan struct {
	// RotationPeriod is in seconds.
	RotationPeriod int `json:"rotation_period,omitempty"`
	// RotationSchedule is a cron expression of five fields, in UTC.
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
