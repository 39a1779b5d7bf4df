package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathStaticRoles() []*framework.Path {
	write := operation{handle: b.pathStaticRolesWrite, summary: "Write a static role; it replaces the whole role, and its token where the permissions change.", answer: map[string]*framework.FieldSchema{}, writes: true}
	patch := operation{handle: b.pathStaticRolesPatch, summary: "Change some fields of a static role.", answer: map[string]*framework.FieldSchema{}, writes: true}
	return []*framework.Path{
		{
			Pattern:      "static-roles/?$",
			Fields:       listFields,
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "static-roles"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: operation{handle: b.pathStaticRolesList, summary: "List the static roles.", answer: listAnswer}.handler(),
			},
			HelpSynopsis:    "List the static roles.",
			HelpDescription: "The names of all static roles, sorted. after and limit give them in pages.",
		},
		{
			Pattern:        "static-roles/(?P<name>.+)",
			Fields:         staticRoleFields,
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "static-role"},
			ExistenceCheck: b.pathStaticRolesExists,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   operation{handle: b.pathStaticRolesRead, summary: "Read a static role and how its rotation stands; never its token.", answer: staticRoleAnswer}.handler(),
				logical.CreateOperation: write.handler(),
				logical.UpdateOperation: write.handler(),
				logical.PatchOperation:  patch.handler(),
				logical.DeleteOperation: operation{handle: b.pathStaticRolesDelete, summary: "Delete a static role and its tokens.", writes: true}.handler(),
			},
			HelpSynopsis: "One long-lived token, rotated in place.",
			HelpDescription: `
A static role has one token, which static-creds/<name> answers to everybody who may read it. It is made as the role is
written, and replaced by a new one each rotation_period, at the times of rotation_schedule, or by rotate-role/<name>.
The previous token goes on working for the grace_period.

authorization_id and token take a token over that exists already, without rotating it.

Deleting the role deletes its tokens.`,
		},
	}
}

// staticRoleFields are a role's, without what belongs to leases.
var staticRoleFields = with(with(without(roleFields, "ttl", "max_ttl", "max_leases"), planFields), map[string]*framework.FieldSchema{
	"description": {Type: framework.TypeString, Description: "Template of the tokens' description in InfluxDB; may hold {{.Permissions}}, {{.Mount}}, {{.Role}} and {{if .Field}}…{{end}}."},
	"grace_period": {Type: framework.TypeDurationSecond, Default: defaultGracePeriod,
		Description: "How long the previous token goes on working after a rotation; at most rotation_period. 0 deletes it at once."},
	"authorization_id": {Type: framework.TypeString, Description: "ID of an existing token's authorization that the role takes over when it is made; with token."},
	"token":            {Type: framework.TypeString, Description: "The existing token that the role takes over when it is made; with authorization_id. Never returned here.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
})

var staticRoleAnswer = with(with(without(staticRoleFields, nameField, "verify", "token"), planTimes), map[string]*framework.FieldSchema{
	"authorization_id":          {Type: framework.TypeString, Description: "ID of the current token's authorization."},
	"previous_authorization_id": {Type: framework.TypeString, Description: "ID of the previous token's authorization, until its deletion is confirmed; else empty."},
	"previous_ends":             {Type: framework.TypeString, Description: "When the previous token is deleted, RFC 3339; empty when there is none."},
	"last_error":                {Type: framework.TypeString, Description: "Why the last rotation failed or was skipped; empty when it did not."},
})

func (b *backend) pathStaticRolesExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	name := data.Get(nameField).(string)
	if checkName(name) != nil {
		return false, nil // the handler says what is wrong with it
	}
	role, err := staticRole(ctx, req.Storage, name)
	return role != nil, err
}

func (b *backend) pathStaticRolesRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	role, err := staticRole(ctx, req.Storage, name)
	if err != nil || role == nil {
		return nil, err
	}
	return &logical.Response{Data: encodeStaticRole(role, b.statics.of(name).lastError())}, nil
}

// encodeStaticRole answers each field as it was written, and how the rotation stands.
func encodeStaticRole(r *store.StaticRole, failure string) map[string]any {
	answer := withPlan(r.RotationPlan, r.RotationTimes, encodeRole(&r.Role))
	for _, field := range []string{"ttl", "max_ttl", "max_leases"} {
		delete(answer, field)
	}
	answer["grace_period"] = r.GracePeriod
	answer["authorization_id"] = r.Current.AuthorizationID
	answer["previous_authorization_id"], answer["previous_ends"] = "", ""
	if r.Previous != nil {
		answer["previous_authorization_id"], answer["previous_ends"] = r.Previous.AuthorizationID, rfc3339(r.Previous.Ends)
	}
	if failure == "" && r.Skipped != nil {
		failure = "the rotation that was due at " + rfc3339(r.Skipped.Due) + " was skipped: " + r.Skipped.Reason
	}
	answer["last_error"] = failure
	return answer
}

func (b *backend) pathStaticRolesWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.pathStaticRolesStore(ctx, req, data, false)
}

func (b *backend) pathStaticRolesPatch(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.pathStaticRolesStore(ctx, req, data, true)
}

func (b *backend) pathStaticRolesStore(ctx context.Context, req *logical.Request, data *framework.FieldData, merge bool) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	warnings, err := b.writeStatic(ctx, req, staticWrite{name: name, fields: fields{data}, merge: merge})
	if err != nil {
		return nil, err
	}
	return written(warnings), nil
}

func (b *backend) pathStaticRolesDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	return nil, b.deleteStatic(ctx, req.Storage, name)
}

func (b *backend) pathStaticRolesList(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	names, err := store.ListStaticRoles(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(page(names, data)), nil
}

func noStaticRole(name, mount string) error {
	return badInput("static role %q does not exist; vault list %sstatic-roles shows those that do", name, mount)
}

// pathRotateRole is beside the static roles: it is their one command.
func (b *backend) pathRotateRole() []*framework.Path {
	return []*framework.Path{{
		Pattern: "rotate-role/(?P<name>.+)",
		Fields: map[string]*framework.FieldSchema{
			nameField: {Type: framework.TypeString, Required: true, Description: "Name of the static role."},
			"grace_period": {Type: framework.TypeDurationSecond,
				Description: "How long the previous token goes on working, for this once; else the role's grace_period. 0 deletes it at once."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "rotate", OperationSuffix: "static-role"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: operation{handle: b.pathRotateRoleWrite, summary: "Replace a static role's token now.", answer: map[string]*framework.FieldSchema{}, writes: true}.handler(),
		},
		HelpSynopsis: "Replace a static role's token now.",
		HelpDescription: `
Makes a new token, tries it, and puts it in the place of the current one, which goes on working for the grace_period. A
token that has leaked is ended with grace_period=0. The token before the current one, if it still works, goes at once:
there are never more than two.`,
	}}
}

func (b *backend) pathRotateRoleWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	f := fields{data}
	var grace *time.Duration
	if f.given("grace_period") && !f.empty("grace_period") {
		var seconds int
		f.seconds("grace_period", &seconds)
		given := time.Duration(seconds) * time.Second
		grace = &given
	}
	warnings, err := b.rotateStatic(ctx, req.Storage, req.MountPoint, name, grace)
	if err != nil {
		return nil, err
	}
	return written(warnings), nil
}
