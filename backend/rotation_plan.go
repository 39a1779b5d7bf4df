package backend

import (
	"cmp"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/rotation"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// minRotationPeriod is how often Vault ticks, in seconds: nothing happens more often.
const minRotationPeriod = 60

// planFields say when a token is rotated by itself.
var planFields = map[string]*framework.FieldSchema{
	"rotation_period":   {Type: framework.TypeDurationSecond, Description: "How often the token is rotated, 1m or more; 0 never. Excludes rotation_schedule."},
	"rotation_schedule": {Type: framework.TypeString, Description: "When the token is rotated: a cron expression of five fields, in UTC. Excludes rotation_period."},
	"rotation_window":   {Type: framework.TypeDurationSecond, Description: "How long after a time of rotation_schedule a rotation may still begin, 1h or more; else it waits for the next time. 0 means no limit."},
}

// decodePlan lays what a request gives over a plan. A period takes the place of a schedule, and a schedule that of a
// period; giving both is for checkPlan to refuse.
func decodePlan(f fields, p *store.RotationPlan) {
	f.seconds("rotation_period", &p.RotationPeriod)
	f.text("rotation_schedule", &p.RotationSchedule)
	f.seconds("rotation_window", &p.RotationWindow)
	period, schedule := f.given("rotation_period") && p.RotationPeriod > 0, f.given("rotation_schedule") && p.RotationSchedule != ""
	switch {
	case period && !schedule:
		p.RotationSchedule = ""
		if !f.given("rotation_window") {
			p.RotationWindow = 0
		}
	case schedule && !period:
		p.RotationPeriod = 0
	case p.RotationSchedule == "" && !f.given("rotation_window"):
		p.RotationWindow = 0
	}
}

// planTimes are what an answer says besides the plan itself.
var planTimes = map[string]*framework.FieldSchema{
	"last_vault_rotation": {Type: framework.TypeString, Description: "When the token was last rotated, RFC 3339; empty when never."},
	"next_vault_rotation": {Type: framework.TypeString, Description: "When it is rotated next by itself, RFC 3339; empty when that is not planned."},
}

// withPlan adds a plan and its times to an answer.
func withPlan(p store.RotationPlan, times store.RotationTimes, answer map[string]any) map[string]any {
	answer["rotation_period"] = p.RotationPeriod
	answer["rotation_schedule"] = p.RotationSchedule
	answer["rotation_window"] = p.RotationWindow
	answer["last_vault_rotation"] = rfc3339(times.LastRotation)
	answer["next_vault_rotation"] = rfc3339(times.NextRotation)
	return answer
}

// checkPlan finds what is wrong with a plan.
func checkPlan(p store.RotationPlan, now time.Time) (problems permission.Problems) {
	problem := problems.Add
	if p.RotationPeriod > 0 && p.RotationSchedule != "" {
		problem("rotation_period", "give either rotation_period or rotation_schedule")
	}
	if p.RotationPeriod > 0 && p.RotationPeriod < minRotationPeriod {
		problem("rotation_period", "must be 1m or more, or 0 for none")
	}
	switch {
	case p.RotationWindow == 0:
	case p.RotationSchedule == "":
		problem("rotation_window", "belongs to rotation_schedule; there is none")
	case rotation.DefaultScheduler.ValidateRotationWindow(p.RotationWindow) != nil:
		problem("rotation_window", "must be 1h or more, or 0 for no limit")
	}
	if p.RotationSchedule == "" {
		return problems
	}
	schedule, err := rotation.DefaultScheduler.Parse(p.RotationSchedule)
	switch {
	case err != nil:
		problem("rotation_schedule", "not a cron expression of five fields (minute, hour, day of month, month, day of week; in UTC), such as 0 3 * * SUN")
	case schedule.Next(now).IsZero():
		problem("rotation_schedule", "has no time within the next five years")
	}
	return problems
}

// nextRotation is the first time after a moment at which a token is to be rotated; zero for never.
func nextRotation(p store.RotationPlan, after time.Time) time.Time {
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

// missed reports whether the window of a planned rotation has passed.
func missed(p store.RotationPlan, due, now time.Time) bool {
	return p.RotationWindow > 0 && !now.Before(due.Add(time.Duration(p.RotationWindow)*time.Second))
}

// The pause after a rotation that failed: it doubles, from the first to the last, and is spread by up to a half so
// that many do not come back together.
const (
	firstPause = time.Minute
	lastPause  = 30 * time.Minute
)

// attempts are the failures of something that is tried again, such as a rotation, since the last time that it succeeded,
// as far as this process knows. They make the pause before the next one longer.
type attempts struct {
	mu     sync.Mutex
	failed int
	retry  time.Time
	err    string
}

// ready reports whether the pause is over.
func (a *attempts) ready(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !now.Before(a.retry)
}

// ended notes how an attempt ended.
func (a *attempts) ended(err error, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.failed, a.retry, a.err = 0, time.Time{}, ""
		return
	}
	pause := min(firstPause<<min(a.failed, 10), lastPause)
	a.failed++
	a.retry, a.err = now.Add(pause+rand.N(pause/2)), err.Error()
}

// lastError is why the last attempt failed; "" when it did not.
func (a *attempts) lastError() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// skipped is a time of a schedule whose window has passed, and why nothing was rotated in it.
func skipped(due time.Time, tries *attempts) *store.SkippedRotation {
	return &store.SkippedRotation{Due: due, Reason: cmp.Or(tries.lastError(), "the engine was not running, or not allowed to write, in all of its window")}
}
