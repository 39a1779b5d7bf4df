package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathRoles() []*framework.Path {
	replace := write(b.pathRolesWrite(false), "Write a role; it replaces the whole role.", noFields)
	return []*framework.Path{
		listPath("roles", "List the roles.", "The names of all roles, sorted.", listNames(store.Roles.List), listResponse),
		{
			Pattern:        "roles/(?P<name>.+)",
			Fields:         roleFields,
			DisplayAttrs:   &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "role"},
			ExistenceCheck: existence(store.Roles.Get),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   activeNode(b.pathRolesRead, "Read a role as it was written.", omitFields(roleFields, nameParam, "verify")),
				logical.CreateOperation: replace,
				logical.UpdateOperation: replace,
				logical.PatchOperation:  write(b.pathRolesWrite(true), "Change some fields of a role.", noFields),
				logical.DeleteOperation: write(deletion(store.Roles.Delete), "Delete a role; its leases live on to their end.", noFields),
			},
			HelpSynopsis: "What tokens of one name may do, and how long they live.",
			HelpDescription: `
A role says which buckets and other resources its tokens may read and write, who owns them and how long they
live. Buckets are given by name, as id:<ID>, or as * for all of the organization.

When the connection works, a role is checked as it is written; every problem comes in one answer.`,
		},
	}
}

var roleFields = fields{
	nameParam:          {Type: framework.TypeString, Required: true, Description: "Name of the role."},
	"org":              {Type: framework.TypeString, Description: "Organization of the tokens, by name; else the config's."},
	"org_id":           {Type: framework.TypeString, Description: "Organization of the tokens, by ID."},
	"token_type":       {Type: framework.TypeString, Default: permission.Custom, AllowedValues: []any{permission.Custom, permission.AllAccess, permission.Operator, permission.Admin}, Description: "custom: what the other fields say. all-access: everything in the organization. operator: everything in every organization. On InfluxDB 3 custom or admin, which is everything; Core has no other."},
	"read_buckets":     {Type: framework.TypeCommaStringSlice, Description: "Buckets to read: names, id:<ID>, or * for all of the organization."},
	"write_buckets":    {Type: framework.TypeCommaStringSlice, Description: "Buckets to write: names, id:<ID>, or *. InfluxDB lets who may write a bucket also delete it."},
	"read_resources":   {Type: framework.TypeCommaStringSlice, Description: "Resource types to read in the organization, such as tasks or dashboards; * for every type."},
	"write_resources":  {Type: framework.TypeCommaStringSlice, Description: "Resource types to write in the organization; * for every type."},
	"read_databases":   {Type: framework.TypeCommaStringSlice, Description: "Databases of InfluxDB 3 Enterprise to read: names, or * for all."},
	"write_databases":  {Type: framework.TypeCommaStringSlice, Description: "Databases of InfluxDB 3 Enterprise to write: names, or * for all."},
	"permissions":      {Type: framework.TypeSlice, Description: `Permissions in the form of InfluxDB's API: [{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}]; of InfluxDB 3 Enterprise [{"resource_type": "db", "resource_names": ["metrics"], "actions": ["read"]}].`},
	"clone_from":       {Type: framework.TypeString, Description: "ID of an authorization whose permissions are copied when this value changes; excludes the other permission fields."},
	"user":             {Type: framework.TypeString, Description: "InfluxDB user that owns the tokens, by name; else the config's, else the root token's."},
	"user_id":          {Type: framework.TypeString, Description: "InfluxDB user that owns the tokens, by ID."},
	"description":      {Type: framework.TypeString, Description: "Template of the tokens' description in InfluxDB; may hold {{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}}, {{.EntityID}} and identity templates."},
	"ttl":              {Type: framework.TypeDurationSecond, Description: "How long a lease lives at first; 0 means the mount's default."},
	"max_ttl":          {Type: framework.TypeDurationSecond, Description: "How long a lease lives at most, with all renewals; 0 means the mount's maximum."},
	"max_leases":       {Type: framework.TypeInt, Description: "Most live tokens of this role; 0 means no cap."},
	"allow_privileged": {Type: framework.TypeBool, Description: "Allow grants that can outlive the lease, make or see other tokens, or leave the organization."},
	"verify":           {Type: framework.TypeBool, Default: true, Description: "Try the role against InfluxDB before it is stored: its names, its owner, and that the root token holds all of it. Not stored."},
}

func (b *backend) pathRolesRead(ctx context.Context, req request) (*logical.Response, error) {
	r, err := store.Roles.Get(ctx, req.Storage, req.name())
	if err != nil || r == nil {
		return nil, err
	}
	return &logical.Response{Data: roleBindings(r).encode()}, nil
}

// roleBindings are the fields of a role that are stored.
func roleBindings(r *store.Role) bindings {
	return bindings{
		"org":              &r.Org,
		"org_id":           &r.OrgID,
		"token_type":       &r.TokenType,
		"read_buckets":     &r.ReadBuckets,
		"write_buckets":    &r.WriteBuckets,
		"read_resources":   &r.ReadResources,
		"write_resources":  &r.WriteResources,
		"read_databases":   &r.ReadDatabases,
		"write_databases":  &r.WriteDatabases,
		"permissions":      &r.Permissions,
		"clone_from":       &r.CloneFrom,
		"user":             &r.User,
		"user_id":          &r.UserID,
		"description":      &r.Description,
		"ttl":              &r.TTL,
		"max_ttl":          &r.MaxTTL,
		"max_leases":       &r.MaxLeases,
		"allow_privileged": &r.AllowPrivileged,
	}
}

// decodeRole lays the fields that a request gives over a role.
func decodeRole(p params, r *store.Role) {
	p.nameOrID("org", &r.Org, "org_id", &r.OrgID)
	p.nameOrID("user", &r.User, "user_id", &r.UserID)
	p.decode(roleBindings(r))
	if r.TokenType == "" {
		r.TokenType = permission.Custom
	}
}

// pathRolesWrite replaces the whole role, or merges the fields that are given into it.
func (b *backend) pathRolesWrite(merge bool) handler {
	return func(ctx context.Context, req request) (*logical.Response, error) {
		warnings, err := b.roles.Write(ctx, req.Storage, role.Write{
			Name: req.name(), MountPath: req.MountPoint, Merge: merge, Verify: req.boolOr("verify", true),
			Apply: func(r *store.Role) { decodeRole(req.params, r) },
		})
		return warningsOnly(warnings), err
	}
}
