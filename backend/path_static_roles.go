package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathStaticRoles() []*framework.Path {
	replace := write(b.pathStaticRolesWrite(false), "Write a static role; it replaces the whole role, and its token where the permissions change.", noFields)
	return []*framework.Path{
		listPath("static-roles", "List the static roles.", "The names of all static roles, sorted.", listNames(store.StaticRoles.List), listResponse),
		{
			Pattern:        "static-roles/(?P<name>.+)",
			Fields:         staticRoleFields,
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "static-role"},
			ExistenceCheck: existence(b.statics.Get),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   activeNode(b.pathStaticRolesRead, "Read a static role and how its rotation stands; never its token.", staticRoleResponse),
				logical.CreateOperation: replace,
				logical.UpdateOperation: replace,
				logical.PatchOperation:  write(b.pathStaticRolesWrite(true), "Change some fields of a static role.", noFields),
				logical.DeleteOperation: write(deletion(b.statics.Delete), "Delete a static role and its tokens.", noFields),
			},
			HelpSynopsis: "One long-lived token, rotated in place.",
			HelpDescription: `
A static role has one token, which static-creds/<name> answers to everybody who may read it. It is made as the role is
written, and replaced by a new one each rotation_period, at the times of rotation_schedule, or by rotate-role/<name>.
The previous token goes on working for the grace_period.

authorization_id and token import a token that exists already, without rotating it.

Deleting the role deletes its tokens.`,
		},
	}
}

// staticRoleFields are a role's, without what belongs to leases.
var staticRoleFields = mergeFields(mergeFields(omitFields(roleFields, "ttl", "max_ttl", "max_leases"), planFields), fields{
	"description":      {Type: framework.TypeString, Description: "Template of the tokens' description in InfluxDB; may hold {{.Permissions}}, {{.Mount}} and {{.Role}}."},
	"grace_period":     {Type: framework.TypeDurationSecond, Default: static.DefaultGracePeriod, Description: "How long the previous token goes on working after a rotation; at most rotation_period, or the shortest time between two rotations of rotation_schedule. 0 deletes it at once."},
	"authorization_id": {Type: framework.TypeString, Description: "ID of an existing token's authorization that the role imports when it is made; with token."},
	"token":            {Type: framework.TypeString, Description: "The existing token that the role imports when it is made; with authorization_id. Never returned here.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
})

var staticRoleResponse = mergeFields(mergeFields(omitFields(staticRoleFields, nameParam, "verify", "token"), planTimes), fields{
	"authorization_id":          {Type: framework.TypeString, Description: "ID of the current token's authorization."},
	"previous_authorization_id": {Type: framework.TypeString, Description: "ID of the previous token's authorization, until its deletion is confirmed; else empty."},
	"previous_ends":             {Type: framework.TypeString, Description: "When the previous token is deleted, RFC 3339; empty when there is none."},
	"last_error":                {Type: framework.TypeString, Description: "Why the last rotation failed or was skipped; empty when it did not."},
})

func (b *backend) pathStaticRolesRead(ctx context.Context, req request) (*logical.Response, error) {
	r, err := b.statics.Get(ctx, req.Storage, req.name())
	if err != nil || r == nil {
		return nil, err
	}
	return &logical.Response{Data: encodeStaticRole(r, b.statics.LastError(req.name()))}, nil
}

// encodeStaticRole answers each field as it was written, and how the rotation stands.
func encodeStaticRole(r *store.StaticRole, failure string) map[string]any {
	times := r.RotationTimes
	times.NextRotation = static.NextRotation(r)
	answer := encodePlan(r.RotationPlan, times, roleBindings(&r.Role).encode())
	for _, field := range []string{"ttl", "max_ttl", "max_leases"} {
		delete(answer, field)
	}
	answer["grace_period"] = r.GracePeriod
	answer["authorization_id"] = r.Current.AuthorizationID
	answer["previous_authorization_id"], answer["previous_ends"] = "", ""
	if r.Previous != nil {
		answer["previous_authorization_id"], answer["previous_ends"] = r.Previous.AuthorizationID, problem.RFC3339(r.Previous.Ends)
	}
	if failure == "" && r.Skipped != nil {
		failure = "the rotation that was due at " + problem.RFC3339(r.Skipped.Due) + " was skipped: " + r.Skipped.Reason
	}
	answer["last_error"] = failure
	return answer
}

// decodeStaticRole lays the fields that a request gives over a static role.
func decodeStaticRole(p params, r *store.StaticRole) {
	decodeRole(p, &r.Role)
	decodePlan(p, &r.RotationPlan)
	p.set("grace_period", &r.GracePeriod)
	if p.given("grace_period") && p.empty("grace_period") { // cleared: it is not 0 then
		r.GracePeriod = static.DefaultGracePeriod
	}
	if p.empty("grace_period") && r.RotationPeriod > 0 { // nobody asked for more than fits
		r.GracePeriod = min(r.GracePeriod, r.RotationPeriod)
	}
}

// pathStaticRolesWrite replaces the whole role, or merges the fields that are given into it.
func (b *backend) pathStaticRolesWrite(merge bool) handler {
	return func(ctx context.Context, req request) (*logical.Response, error) {
		w := static.Write{
			MountPath: req.MountPoint, Merge: merge, Verify: req.boolOr("verify", true),
			Apply: func(r *store.StaticRole) { decodeStaticRole(req.params, r) },
		}
		if !req.empty("authorization_id") || !req.empty("token") {
			w.Import = &static.Pair{}
			req.set("authorization_id", &w.Import.AuthorizationID)
			req.set("token", &w.Import.Token)
		}
		warnings, err := b.statics.Write(ctx, req.Storage, req.name(), w)
		return warningsOnly(warnings), err
	}
}

// pathRotateRole is beside the static roles: it is their one command.
func (b *backend) pathRotateRole() []*framework.Path {
	return []*framework.Path{{
		Pattern: "rotate-role/(?P<name>.+)",
		Fields: fields{
			nameParam:      {Type: framework.TypeString, Required: true, Description: "Name of the static role."},
			"grace_period": {Type: framework.TypeDurationSecond, Description: "How long the previous token goes on working, for this once; else the role's grace_period. 0 deletes it at once."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "rotate", OperationSuffix: "static-role"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: write(b.pathRotateRoleWrite, "Replace a static role's token now.", noFields),
		},
		HelpSynopsis: "Replace a static role's token now.",
		HelpDescription: `
Makes a new token, tries it, and puts it in the place of the current one, which goes on working for the grace_period. A
token that has leaked is ended with grace_period=0. The token before the current one, if it still works, goes at once:
there are never more than two.`,
	}}
}

func (b *backend) pathRotateRoleWrite(ctx context.Context, req request) (*logical.Response, error) {
	var grace *time.Duration
	if !req.empty("grace_period") {
		var seconds int
		req.set("grace_period", &seconds)
		given := time.Duration(seconds) * time.Second
		grace = &given
	}
	warnings, err := b.statics.Rotate(ctx, req.Storage, req.MountPoint, req.name(), grace)
	return warningsOnly(warnings), err
}

func (b *backend) pathStaticCreds() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "static-creds/(?P<name>.+)",
		Fields:       fields{nameParam: {Type: framework.TypeString, Required: true, Description: "Name of the static role."}},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "static-credentials"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: anyNode(b.pathStaticCredsRead, "Read a static role's current token.", staticCredsResponse),
		},
		HelpSynopsis: "Read a static role's current token.",
		HelpDescription: `
The token that everybody gets who reads this path, without a lease. It stays the same until the role's next rotation, and
goes on working for the role's grace_period after that. ttl says in how many seconds to read again.

InfluxDB is not asked: this works while it is down, and on standbys.`,
	}}
}

var staticCredsResponse = mergeFields(omitFields(credsResponse, "expires_at", "read_buckets", "write_buckets", "read_databases", "write_databases"), fields{
	"last_vault_rotation": {Type: framework.TypeString, Description: "When the token was made or imported, RFC 3339 with nanoseconds."},
	"rotation_period":     {Type: framework.TypeInt, Description: "Seconds between two rotations; of a role that is rotated by hand only, how often to read again."},
	"ttl":                 {Type: framework.TypeInt, Description: "Seconds until the next rotation is due, and so until the next read; above 0."},
})

// pathStaticCredsRead asks nobody. The answer holds nothing but ttl that changes between two rotations: Vault
// Secrets Operator restarts workloads when something does. Both rotation_period and ttl are always there: without them
// Vault Agent reads each five minutes.
func (b *backend) pathStaticCredsRead(ctx context.Context, req request) (*logical.Response, error) {
	c, err := b.statics.Credentials(ctx, req.Storage, req.MountPoint, req.name())
	if err != nil {
		return nil, err
	}
	answer := map[string]any{
		"token":               c.Token,
		"authorization_id":    c.AuthorizationID,
		"org":                 c.Org,
		"org_id":              c.OrgID,
		"url":                 c.URL,
		"description":         c.Description,
		"last_vault_rotation": c.LastRotation.UTC().Format(time.RFC3339Nano),
		"rotation_period":     c.Period,
		"ttl":                 c.TTL,
	}
	withoutOrg(answer)
	return &logical.Response{Data: answer}, nil
}

// planFields say when a token is rotated by itself.
var planFields = fields{
	"rotation_period":   {Type: framework.TypeDurationSecond, Description: "How often the token is rotated, 1m or more; 0 never. Excludes rotation_schedule."},
	"rotation_schedule": {Type: framework.TypeString, Description: "When the token is rotated: a cron expression of exactly five fields, in UTC. Excludes rotation_period."},
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
