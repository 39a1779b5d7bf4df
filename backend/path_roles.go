package backend

import (
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathRoles() []*framework.Path {
	write := operation{handle: b.pathRolesWrite, summary: "Write a role; it replaces the whole role.", answer: map[string]*framework.FieldSchema{}, writes: true}
	patch := operation{handle: b.pathRolesPatch, summary: "Change some fields of a role.", answer: map[string]*framework.FieldSchema{}, writes: true}
	return []*framework.Path{
		{
			Pattern:      "roles/?$",
			Fields:       listFields,
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "roles"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: operation{handle: b.pathRolesList, summary: "List the roles.", answer: listAnswer}.handler(),
			},
			HelpSynopsis:    "List the roles.",
			HelpDescription: "The names of all roles, sorted. after and limit give them in pages.",
		},
		{
			Pattern:        "roles/(?P<name>.+)",
			Fields:         roleFields,
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "role"},
			ExistenceCheck: b.pathRolesExists,
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   operation{handle: b.pathRolesRead, summary: "Read a role as it was written.", answer: without(roleFields, nameField, "verify")}.handler(),
				logical.CreateOperation: write.handler(),
				logical.UpdateOperation: write.handler(),
				logical.PatchOperation:  patch.handler(),
				logical.DeleteOperation: operation{handle: b.pathRolesDelete, summary: "Delete a role; its leases live on to their end.", writes: true}.handler(),
			},
			HelpSynopsis: "What tokens of one name may do, and how long they live.",
			HelpDescription: `
A role says which buckets and other resources its tokens may read and write, who owns them and how long they
live. Buckets are given by name, as id:<ID>, or as * for all of the organization.

When the connection works, a role is checked as it is written; every problem comes in one answer.`,
		},
	}
}

var roleFields = map[string]*framework.FieldSchema{
	nameField:          {Type: framework.TypeString, Required: true, Description: "Name of the role."},
	"org":              {Type: framework.TypeString, Description: "Organization of the tokens, by name; else the config's."},
	"org_id":           {Type: framework.TypeString, Description: "Organization of the tokens, by ID."},
	"token_type":       {Type: framework.TypeString, Default: "custom", AllowedValues: []any{"custom", "all-access", "operator"}, Description: "custom: what the other fields say. all-access: everything in the organization. operator: everything in every organization."},
	"read_buckets":     {Type: framework.TypeCommaStringSlice, Description: "Buckets to read: names, id:<ID>, or * for all of the organization."},
	"write_buckets":    {Type: framework.TypeCommaStringSlice, Description: "Buckets to write: names, id:<ID>, or *. InfluxDB lets who may write a bucket also delete it."},
	"read_resources":   {Type: framework.TypeCommaStringSlice, Description: "Resource types to read in the organization, such as tasks or dashboards; * for every type."},
	"write_resources":  {Type: framework.TypeCommaStringSlice, Description: "Resource types to write in the organization; * for every type."},
	"permissions":      {Type: framework.TypeSlice, Description: `Permissions in the form of InfluxDB's API: [{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}].`},
	"clone_from":       {Type: framework.TypeString, Description: "ID of an authorization whose permissions are copied when this value changes; excludes the other permission fields."},
	"user":             {Type: framework.TypeString, Description: "InfluxDB user that owns the tokens, by name; else the config's, else the root token's."},
	"user_id":          {Type: framework.TypeString, Description: "InfluxDB user that owns the tokens, by ID."},
	"description":      {Type: framework.TypeString, Description: "Template of the tokens' description in InfluxDB; may hold {{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}}, {{.EntityID}}, {{if .Field}}…{{end}} and identity templates."},
	"ttl":              {Type: framework.TypeDurationSecond, Description: "How long a lease lives at first; 0 means the mount's default."},
	"max_ttl":          {Type: framework.TypeDurationSecond, Description: "How long a lease lives at most, with all renewals; 0 means the mount's maximum."},
	"max_leases":       {Type: framework.TypeInt, Description: "Most live tokens of this role; 0 means no cap."},
	"allow_privileged": {Type: framework.TypeBool, Description: "Allow grants that can outlive the lease, make or see other tokens, or leave the organization."},
	"verify":           {Type: framework.TypeBool, Default: true, Description: "Try the role against InfluxDB before it is stored: its names, its owner, and that the root token holds all of it. Not stored."},
}

func (b *backend) pathRolesExists(ctx context.Context, req *logical.Request, data *framework.FieldData) (bool, error) {
	name := data.Get(nameField).(string)
	if checkName(name) != nil {
		return false, nil // the handler says what is wrong with it
	}
	role, err := store.GetRole(ctx, req.Storage, name)
	return role != nil, err
}

func (b *backend) pathRolesRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	role, err := store.GetRole(ctx, req.Storage, name)
	if err != nil || role == nil {
		return nil, err
	}
	return &logical.Response{Data: encodeRole(role)}, nil
}

// encodeRole answers each field as it was written.
func encodeRole(r *store.Role) map[string]any {
	permissions := make([]any, len(r.Permissions))
	for i, p := range r.Permissions {
		permissions[i] = p
	}
	return map[string]any{
		"org":              r.Org,
		"org_id":           r.OrgID,
		"token_type":       r.TokenType,
		"read_buckets":     listed(r.ReadBuckets),
		"write_buckets":    listed(r.WriteBuckets),
		"read_resources":   listed(r.ReadResources),
		"write_resources":  listed(r.WriteResources),
		"permissions":      permissions,
		"clone_from":       r.CloneFrom,
		"user":             r.User,
		"user_id":          r.UserID,
		"description":      r.Description,
		"ttl":              r.TTL,
		"max_ttl":          r.MaxTTL,
		"max_leases":       r.MaxLeases,
		"allow_privileged": r.AllowPrivileged,
	}
}

// listed makes an empty list of one that is missing: lists read back as lists.
func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// decodeRole lays the fields that a request gives over a role.
func decodeRole(f fields, r *store.Role) {
	f.either("org", &r.Org, "org_id", &r.OrgID)
	f.text("token_type", &r.TokenType)
	f.list("read_buckets", &r.ReadBuckets)
	f.list("write_buckets", &r.WriteBuckets)
	f.list("read_resources", &r.ReadResources)
	f.list("write_resources", &r.WriteResources)
	f.objects("permissions", &r.Permissions)
	f.text("clone_from", &r.CloneFrom)
	f.either("user", &r.User, "user_id", &r.UserID)
	f.text("description", &r.Description)
	f.seconds("ttl", &r.TTL)
	f.seconds("max_ttl", &r.MaxTTL)
	f.number("max_leases", &r.MaxLeases)
	f.flag("allow_privileged", &r.AllowPrivileged)
	if r.TokenType == "" {
		r.TokenType = "custom"
	}
}

func (b *backend) pathRolesWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.storeRole(ctx, req, data, func(*store.Role) (*store.Role, error) { return &store.Role{}, nil })
}

func (b *backend) pathRolesPatch(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	return b.storeRole(ctx, req, data, func(stored *store.Role) (*store.Role, error) {
		if stored == nil {
			return nil, &told{status: http.StatusNotFound, text: "role \"" + data.Get(nameField).(string) + "\" does not exist; write it first"}
		}
		patched := *stored
		return &patched, nil
	})
}

// storeRole lays a request over the role that start makes of the stored one, checks the whole and stores it.
func (b *backend) storeRole(ctx context.Context, req *logical.Request, data *framework.FieldData, start func(*store.Role) (*store.Role, error)) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	stored, err := store.GetRole(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	role, err := start(stored)
	if err != nil {
		return nil, err
	}
	f := fields{data}
	decodeRole(f, role)
	cloning := b.copyClone(ctx, req, role, stored)
	if cloning != nil && !isProblem(cloning) {
		return nil, cloning
	}
	warnings, err := b.checkRole(ctx, req, name, role, cloning, f.flagOr("verify", true))
	if err != nil {
		return nil, err
	}
	if err := store.PutRole(ctx, req.Storage, name, role); err != nil {
		return nil, err
	}
	return written(warnings), nil
}

func (b *backend) pathRolesDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	return nil, store.DeleteRole(ctx, req.Storage, name)
}

func (b *backend) pathRolesList(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	names, err := store.ListRoles(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(page(names, data)), nil
}
