// Package rotation says when a token is rotated, and takes the steps of a rotation: the same for the root token and for
// the tokens of static roles.
package rotation

import (
	"time"

	"github.com/hashicorp/vault/sdk/rotation"

	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// MinPeriod is how often Vault calls periodic functions, in seconds: nothing happens more often.
const MinPeriod = 60

// ValidatePlan lists what is wrong with a plan.
func ValidatePlan(p store.RotationPlan, now time.Time) (problems problem.List) {
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
	if p.RotationSchedule == "" {
		return problems
	}
	schedule, err := rotation.DefaultScheduler.Parse(p.RotationSchedule)
	switch {
	case err != nil:
		problems.Add("rotation_schedule", "not a cron expression of five fields (minute, hour, day of month, month, day of week; in UTC), such as 0 3 * * SUN")
	case schedule.Next(now).IsZero():
		problems.Add("rotation_schedule", "has no time within the next five years")
	}
	return problems
}

// Next returns the first time after a moment at which a token is to be rotated; zero for never.
func Next(p store.RotationPlan, after time.Time) time.Time {
	if p.RotationPeriod > 0 {
		return after.Add(time.Duration(p.RotationPeriod) * time.Second).UTC()
	}
	if p.RotationSchedule == "" {
		return time.Time{}
	}
	schedule, err := rotation.DefaultScheduler.Parse(p.RotationSchedule)
	if err != nil { // was checked as it was written
		return time.Time{}
	}
	return schedule.Next(after.UTC())
}

// WindowPassed reports whether the window of a planned rotation is over.
func WindowPassed(p store.RotationPlan, due, now time.Time) bool {
	return p.RotationWindow > 0 && !now.Before(due.Add(time.Duration(p.RotationWindow)*time.Second))
}
