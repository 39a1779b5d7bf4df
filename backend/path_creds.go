package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mint"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/role"
)

func (b *backend) pathCreds() []*framework.Path {
	return []*framework.Path{{
		Pattern: "creds/(?P<name>.+)",
		Fields: fields{
			nameParam:         {Type: framework.TypeString, Required: true, Description: "Name of the role."},
			"ttl":             {Type: framework.TypeDurationSecond, Query: true, Description: "How long the lease lives at first. Longer than allowed is cut to the role's maximum, with a warning."},
			"read_buckets":    {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: buckets to read, of those that the role covers."},
			"write_buckets":   {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: buckets to write, of those that the role covers."},
			"read_resources":  {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: resource types to read, of those that the role covers."},
			"write_resources": {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: resource types to write, of those that the role covers."},
			"read_databases":  {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: databases of InfluxDB 3 Enterprise to read, of those that the role covers."},
			"write_databases": {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: databases of InfluxDB 3 Enterprise to write, of those that the role covers."},
			"permissions":     {Type: framework.TypeSlice, Query: true, Description: "Narrow the token: permissions in the form of InfluxDB's API, of those that the role covers."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "credentials"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation:   activeNode(b.pathCredsRead, "Mint an InfluxDB token for a role.", credsResponse),
			logical.UpdateOperation: activeNode(b.pathCredsRead, "Mint an InfluxDB token for a role; the fields stand in the body.", credsResponse),
		},
		HelpSynopsis: "Mint an InfluxDB token for a role.",
		HelpDescription: `
Each read makes a token of its own, with what the role allows and nothing more, under a renewable lease. When
the lease ends, the token is deleted in InfluxDB and refused from that moment on.

A client that reads again and again should keep its lease and renew it.

As soon as one of the permission fields is given, the token holds what the request says and nothing else;
what the role does not cover is refused.`,
	}}
}

var credsResponse = fields{
	"token":            {Type: framework.TypeString, Description: "The InfluxDB API token."},
	"authorization_id": {Type: framework.TypeString, Description: "ID of the token's authorization; InfluxDB's own logs name it."},
	"org":              {Type: framework.TypeString, Description: "Name of the organization; not on InfluxDB 3."},
	"org_id":           {Type: framework.TypeString, Description: "ID of the organization; not on InfluxDB 3."},
	"url":              {Type: framework.TypeString, Description: "Where applications reach InfluxDB."},
	"description":      {Type: framework.TypeString, Description: "The token's description in InfluxDB."},
	"expires_at":       {Type: framework.TypeString, Description: "When InfluxDB itself ends the token, RFC 3339; on InfluxDB 3 alone."},
	"read_buckets":     {Type: framework.TypeCommaStringSlice, Description: "The buckets to read; only where the role's names depend on the caller."},
	"write_buckets":    {Type: framework.TypeCommaStringSlice, Description: "The buckets to write; only where the role's names depend on the caller."},
	"read_databases":   {Type: framework.TypeCommaStringSlice, Description: "The databases to read; only where the role's names depend on the caller, on InfluxDB 3."},
	"write_databases":  {Type: framework.TypeCommaStringSlice, Description: "The databases to write; only where the role's names depend on the caller, on InfluxDB 3."},
}

func (b *backend) pathCredsRead(ctx context.Context, req request) (*logical.Response, error) {
	narrow, err := decodeNarrow(req.params)
	if err != nil {
		return nil, err
	}
	var ttl int
	req.set("ttl", &ttl)
	minted, err := b.minter.Lease(ctx, req.Storage, mint.Request{
		Role: req.name(), MountPath: req.MountPoint, TTL: time.Duration(ttl) * time.Second, Narrow: narrow,
		Caller: role.NewCaller(b.mount.System, req.EntityID, req.DisplayName),
	})
	if err != nil {
		return nil, err
	}
	return b.encodeCreds(minted), nil
}

// decodeNarrow is what a request says of permissions. One that says that there are none is refused: a token without
// permissions can't be made.
func decodeNarrow(p params) (permission.Definition, error) {
	var narrow permission.Definition
	p.decode(bindings{
		"read_buckets": &narrow.ReadBuckets, "write_buckets": &narrow.WriteBuckets, "permissions": &narrow.Permissions,
		"read_resources": &narrow.ReadResources, "write_resources": &narrow.WriteResources,
		"read_databases": &narrow.ReadDatabases, "write_databases": &narrow.WriteDatabases,
	})
	for _, name := range []string{"read_buckets", "write_buckets", "read_resources", "write_resources", "read_databases", "write_databases", "permissions"} {
		if p.data.Raw[name] != nil && narrow.Empty() {
			return narrow, problem.InField(name, "empty; the token would grant nothing. Leave it out for all that the role grants")
		}
	}
	return narrow, nil
}

func (b *backend) encodeCreds(t *mint.Token) *logical.Response {
	resp := b.Secret(secretTokenType).Response(map[string]any{
		"token":            t.Authorization.Token,
		"authorization_id": t.Authorization.ID,
		"org":              t.Org,
		"org_id":           t.OrgID,
		"url":              t.Connection.ApplicationURL,
		"description":      t.Authorization.Description,
	}, t.Lease.InternalData())
	resp.Secret.TTL, resp.Secret.MaxTTL = t.TTLs.Initial, t.TTLs.Max
	resp.Warnings = t.Warnings
	withoutOrg(resp.Data)
	things, kind := "_buckets", permission.Buckets
	if !t.Connection.Product.IsV2() {
		things, kind = "_databases", permission.Databases
		resp.Data["expires_at"] = problem.RFC3339(t.Authorization.Expires)
	}
	if t.Templated {
		resp.Data[permission.Read+things], resp.Data[permission.Write+things] = t.Names(permission.Read, kind), t.Names(permission.Write, kind)
	}
	return resp
}

// withoutOrg takes the organization out of an answer where InfluxDB has none.
func withoutOrg(answer map[string]any) {
	if answer["org_id"] == "" {
		delete(answer, "org")
		delete(answer, "org_id")
	}
}

// secretTokenType stands in every lease; it can never change.
const secretTokenType = "influxdb_token"

func (b *backend) secretToken() *framework.Secret {
	return &framework.Secret{
		Type:   secretTokenType,
		Fields: fields{},
		Renew:  b.secretTokenRenew,
		Revoke: b.secretTokenRevoke,
	}
}

// secretTokenRenew answers with the lease's own secret: a new one would lose what revocation needs.
func (b *backend) secretTokenRenew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	l, err := lease.ParseData(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	ttls, err := b.minter.Renew(ctx, req.Storage, l, req.Secret.IssueTime, req.Secret.Increment)
	if err != nil {
		return nil, err
	}
	req.Secret.TTL, req.Secret.MaxTTL = ttls.Initial, ttls.Max
	return &logical.Response{Secret: req.Secret}, nil
}

// secretTokenRevoke needs nothing but the lease: neither the role nor the current configuration.
func (b *backend) secretTokenRevoke(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	l, err := lease.ParseData(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	if b.minter.SuspectsTaint() && b.mount.Tainted() {
		b.minter.Quiesce(ctx)
	}
	if err := b.revoker.RevokeLease(ctx, req.Storage, l); err != nil {
		return nil, err
	}
	// A mount that is being disabled must not end while a deletion is pending: nobody would be left to do it.
	if !b.revoker.Empty() && b.mount.Tainted() {
		return nil, b.drain(ctx, req.Storage)
	}
	return nil, nil
}
