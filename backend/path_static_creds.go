package backend

import (
	"context"
	"time"

	"vault-plugin-secrets-influxdb/backend/static"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

func (b *backend) pathStaticCreds() []*framework.Path {
	return []*framework.Path{{
		Pattern: "static-creds/(?P<name>.+)",
		Fields: fields{
			nameParam: {Type: framework.TypeString, Required: true, Description: "Name of the static role."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "static-credentials"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: read(b.pathStaticCredsRead, "Read a static role's current token.", staticCredsResponse),
		},
		HelpSynopsis: "Read a static role's current token.",
		HelpDescription: `
The token that everybody gets who reads this path, without a lease. It stays the same until the role's next rotation, and
goes on working for the role's grace_period after that. ttl says in how many seconds to read again.

InfluxDB is not asked: this works while it is down, and on standbys.`,
	}}
}

var staticCredsResponse = mergeFields(omitFields(credsResponse, "read_buckets", "write_buckets"), fields{
	"last_vault_rotation": {Type: framework.TypeString, Description: "When the token was made or imported, RFC 3339 with nanoseconds."},
	"rotation_period":     {Type: framework.TypeInt, Description: "Seconds between two rotations; of a role that is rotated by hand only, how often to read again."},
	"rotation_schedule":   {Type: framework.TypeString, Description: "The role's schedule; only where it has one."},
	"rotation_window":     {Type: framework.TypeInt, Description: "The schedule's window in seconds; only where the role has a schedule."},
	"ttl":                 {Type: framework.TypeInt, Description: "Seconds until the next rotation is due, and so until the next read; above 0."},
})

// pathStaticCredsRead asks nobody but storage. The answer holds nothing but ttl that changes between two rotations: Vault
// Secrets Operator restarts workloads when something does. Both rotation_period and ttl are always there: without them
// Vault Agent reads each five minutes.
func (b *backend) pathStaticCredsRead(ctx context.Context, req request) (*logical.Response, error) {
	c, err := b.statics.Credentials(ctx, req.Storage, req.MountPoint, req.name())
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: encodeStaticCreds(c)}, nil
}

func encodeStaticCreds(c *static.Credentials) map[string]any {
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
	if c.Schedule != "" {
		answer["rotation_schedule"], answer["rotation_window"] = c.Schedule, c.Window
	}
	return answer
}
