package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
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

A client that reads again and again should keep its lease and renew it.`,
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
}

func (b *backend) pathCredsRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	if err := checkName(name); err != nil {
		return nil, err
	}
	role, err := store.GetRole(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, badInput("role %q does not exist; vault list %sroles shows those that do", name, req.MountPoint)
	}
	s, err := b.spanOf(role)
	if err != nil {
		return nil, err
	}
	var wanted int
	fields{data}.seconds("ttl", &wanted)
	s, warnings := s.asking(time.Duration(wanted) * time.Second)
	if role.MaxLeases > 0 && b.live.reached(name, role.MaxLeases, b.now()) {
		return nil, overCap("role %q has %d live tokens, its max_leases; a client that reads creds/ again and again should read static-creds/", name, role.MaxLeases)
	}
	deadline := b.now().Add(s.max + deadlineGrace)
	m, err := b.mint(ctx, req, name, role, deadline)
	if err != nil {
		return nil, err
	}
	b.live.add(name, m.id(), deadline)
	return b.credsResponse(m, name, s, deadline, warnings), nil
}

func (b *backend) credsResponse(m *minted, role string, s span, deadline time.Time, warnings []string) *logical.Response {
	url := m.endpoint.ExternalURL
	if url == "" {
		url = m.endpoint.URL
	}
	resp := b.Secret(secretTokenType).Response(map[string]any{
		"token":            *m.authorization.Token,
		"authorization_id": m.id(),
		"org":              m.org,
		"org_id":           m.orgID,
		"url":              url,
		"description":      *m.authorization.Description,
	}, lease{
		authorizationID: m.id(),
		connection:      m.endpoint.ID,
		role:            role,
		deadline:        deadline,
	}.encode())
	resp.Secret.TTL = s.ttl
	resp.Secret.MaxTTL = s.max
	resp.Warnings = warnings
	return resp
}
