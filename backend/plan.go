package backend

import (
	"github.com/hashicorp/vault/sdk/framework"

	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// planFields say when a token is rotated by itself.
var planFields = fields{
	"rotation_period":   {Type: framework.TypeDurationSecond, Description: "How often the token is rotated, 1m or more; 0 never. Excludes rotation_schedule."},
	"rotation_schedule": {Type: framework.TypeString, Description: "When the token is rotated: a cron expression of five fields, in UTC. Excludes rotation_period."},
	"rotation_window":   {Type: framework.TypeDurationSecond, Description: "How long after a time of rotation_schedule a rotation may still begin, 1h or more; else it waits for the next time. 0 means no limit."},
}

// decodePlan lays what a request gives over a plan. A period takes the place of a schedule, and a schedule that of a
// period; giving both is for rotation.ValidatePlan to refuse.
func decodePlan(p params, plan *store.RotationPlan) {
	p.set("rotation_period", &plan.RotationPeriod)
	p.set("rotation_schedule", &plan.RotationSchedule)
	p.set("rotation_window", &plan.RotationWindow)
	period, schedule := p.given("rotation_period") && plan.RotationPeriod > 0, p.given("rotation_schedule") && plan.RotationSchedule != ""
	switch {
	case period && !schedule:
		plan.RotationSchedule = ""
		if !p.given("rotation_window") {
			plan.RotationWindow = 0
		}
	case schedule && !period:
		plan.RotationPeriod = 0
	case plan.RotationSchedule == "" && !p.given("rotation_window"):
		plan.RotationWindow = 0
	}
}

// planTimes are what an answer says besides the plan itself.
var planTimes = fields{
	"last_vault_rotation": {Type: framework.TypeString, Description: "When the token was last rotated, RFC 3339; empty when never."},
	"next_vault_rotation": {Type: framework.TypeString, Description: "When it is rotated next by itself, RFC 3339; empty when that is not planned."},
}

// encodePlan adds a plan and its times to an answer.
func encodePlan(plan store.RotationPlan, times store.RotationTimes, answer map[string]any) map[string]any {
	answer["rotation_period"] = plan.RotationPeriod
	answer["rotation_schedule"] = plan.RotationSchedule
	answer["rotation_window"] = plan.RotationWindow
	answer["last_vault_rotation"] = problem.RFC3339(times.LastRotation)
	answer["next_vault_rotation"] = problem.RFC3339(times.NextRotation)
	return answer
}
