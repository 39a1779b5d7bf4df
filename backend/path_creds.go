package backend

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/permission"
)

func (b *backend) pathCreds() []*framework.Path {
	mint := func(summary string) framework.OperationHandler {
		return operation{handle: b.pathCredsRead, summary: summary, answer: credsAnswer, mints: true}.handler()
	}
	return []*framework.Path{{
		Pattern: "creds/(?P<name>.+)",
		Fields: map[string]*framework.FieldSchema{
			nameField: {Type: framework.TypeString, Required: true, Description: "Name of the role."},
			"ttl": {Type: framework.TypeDurationSecond, Query: true,
				Description: "How long the lease lives at first. Longer than allowed is cut to the role's maximum, with a warning."},
			"read_buckets":    {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: buckets to read, of those that the role covers."},
			"write_buckets":   {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: buckets to write, of those that the role covers."},
			"read_resources":  {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: resource types to read, of those that the role covers."},
			"write_resources": {Type: framework.TypeCommaStringSlice, Query: true, Description: "Narrow the token: resource types to write, of those that the role covers."},
			"permissions":     {Type: framework.TypeSlice, Query: true, Description: "Narrow the token: permissions in the form of InfluxDB's API, of those that the role covers."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "credentials"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation:   mint("Mint an InfluxDB token for a role."),
			logical.UpdateOperation: mint("Mint an InfluxDB token for a role; the fields stand in the body."),
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

// operationPrefix starts every operation ID in the OpenAPI document.
const operationPrefix = "influxdb"

var credsAnswer = map[string]*framework.FieldSchema{
	"token":            {Type: framework.TypeString, Description: "The InfluxDB API token."},
	"authorization_id": {Type: framework.TypeString, Description: "ID of the token's authorization; InfluxDB's own logs name it."},
	"org":              {Type: framework.TypeString, Description: "Name of the organization."},
	"org_id":           {Type: framework.TypeString, Description: "ID of the organization."},
	"url":              {Type: framework.TypeString, Description: "Where applications reach InfluxDB."},
	"description":      {Type: framework.TypeString, Description: "The token's description in InfluxDB."},
	"read_buckets":     {Type: framework.TypeCommaStringSlice, Description: "The buckets to read; only where the role's names depend on the caller."},
	"write_buckets":    {Type: framework.TypeCommaStringSlice, Description: "The buckets to write; only where the role's names depend on the caller."},
}

func (b *backend) pathCredsRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	role, err := b.role(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, noRole(name, req.MountPoint)
	}
	s, err := b.spanOf(role)
	if err != nil {
		return nil, err
	}
	var wanted int
	fields{data}.seconds("ttl", &wanted)
	s, warnings := s.asking(time.Duration(wanted) * time.Second)
	place := b.live.claim(name, role.MaxLeases, b.now())
	if place == nil {
		return nil, overCap("role %q has %d live tokens, its max_leases; a client that reads creds/ again and again should read static-creds/", name, role.MaxLeases)
	}
	defer place.giveBack()
	d := demand{
		name: name, mount: req.MountPoint, deadline: b.now().Add(s.max + deadlineGrace),
		caller: &caller{system: b.System(), entityID: req.EntityID, displayName: req.DisplayName},
	}
	if d.wish, err = decodeWish(fields{data}); err != nil {
		return nil, err
	}
	if d.role, err = personal(role, d.caller); err != nil {
		return nil, err
	}
	m, err := b.mint(ctx, req.Storage, d)
	if err != nil {
		return nil, err
	}
	// The lease starts now, and a slow mint must not use the grace up; a quick one takes nothing from the lease.
	s, some := s.endingBy(d.deadline.Add(-deadlineGrace/2), b.now())
	if !some {
		return nil, errors.Join(errTooSlow, b.discard(ctx, req.Storage, m.endpoint, name, m.id()))
	}
	place.fill(m.id(), d.deadline)
	resp := b.credsResponse(m, d, s)
	resp.Warnings = warnings
	if templated(role) {
		resp.Data["read_buckets"], resp.Data["write_buckets"] = m.buckets(permission.Read), m.buckets(permission.Write)
	}
	return resp, nil
}

var errTooSlow = &told{status: http.StatusBadGateway, text: "InfluxDB took so long to make the token that nothing is left of the longest lease that the role and the mount allow; the token is not handed out. Try again"}

func noRole(name, mount string) error {
	return badInput("role %q does not exist; vault list %sroles shows those that do", name, mount)
}

// decodeWish is what a request says of permissions. One that says that there are none is no wish: a token
// without permissions can't be made.
func decodeWish(f fields) (permission.Definition, error) {
	var wish permission.Definition
	f.list("read_buckets", &wish.ReadBuckets)
	f.list("write_buckets", &wish.WriteBuckets)
	f.list("read_resources", &wish.ReadResources)
	f.list("write_resources", &wish.WriteResources)
	f.objects("permissions", &wish.Permissions)
	for _, name := range []string{"read_buckets", "write_buckets", "read_resources", "write_resources", "permissions"} {
		if f.given(name) && wish.Empty() {
			return wish, badInput("%s: empty; the token would grant nothing. Leave it out for all that the role grants", name)
		}
	}
	return wish, nil
}

func (b *backend) credsResponse(m *minted, d demand, s span) *logical.Response {
	resp := b.Secret(secretTokenType).Response(map[string]any{
		"token":            *m.authorization.Token,
		"authorization_id": m.id(),
		"org":              m.org,
		"org_id":           m.orgID,
		"url":              applicationURL(m.endpoint.Connection),
		"description":      *m.authorization.Description,
	}, lease{
		authorizationID: m.id(),
		connection:      m.endpoint.ID,
		role:            d.name,
		deadline:        d.deadline,
	}.encode())
	resp.Secret.TTL = s.ttl
	resp.Secret.MaxTTL = s.max
	return resp
}
