package backend

import (
	"context"
	"math"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathStaticCreds() []*framework.Path {
	return []*framework.Path{{
		Pattern: "static-creds/(?P<name>.+)",
		Fields: map[string]*framework.FieldSchema{
			nameField: {Type: framework.TypeString, Required: true, Description: "Name of the static role."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "static-credentials"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: operation{handle: b.pathStaticCredsRead, summary: "Read a static role's current token.", answer: staticCredsAnswer}.handler(),
		},
		HelpSynopsis: "Read a static role's current token.",
		HelpDescription: `
The token that everybody gets who reads this path, without a lease. It stays the same until the role's next rotation, and
goes on working for the role's grace_period after that. ttl says in how many seconds to read again.

InfluxDB is not asked: this works while it is down, and on standbys.`,
	}}
}

var staticCredsAnswer = with(without(credsAnswer, "read_buckets", "write_buckets"), map[string]*framework.FieldSchema{
	"last_vault_rotation": {Type: framework.TypeString, Description: "When the token was made or taken over, RFC 3339 with nanoseconds."},
	"rotation_period":     {Type: framework.TypeInt, Description: "Seconds between two rotations; of a role that is rotated by hand only, how often to read again."},
	"rotation_schedule":   {Type: framework.TypeString, Description: "The role's schedule; only where it has one."},
	"rotation_window":     {Type: framework.TypeInt, Description: "The schedule's window in seconds; only where the role has a schedule."},
	"ttl":                 {Type: framework.TypeInt, Description: "Seconds until the next rotation is due, and so until the next read; above 0."},
})

// What static-creds answers where no next rotation can be told, in seconds.
const (
	// readAgain is the rotation_period and ttl of a role that is rotated by hand only.
	readAgain = 300
	// readSoon is the ttl while a rotation is due: it comes with the next tick, or when InfluxDB is back.
	readSoon = 5
)

// pathStaticCredsRead asks nobody but storage.
func (b *backend) pathStaticCredsRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	name := data.Get(nameField).(string)
	role, err := staticRole(ctx, req.Storage, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, noStaticRole(name, req.MountPoint)
	}
	connection, err := b.connectionOf(ctx, req.Storage, role.Current.Connection)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: encodeStaticCreds(role, applicationURL(connection), b.now())}, nil
}

// encodeStaticCreds holds nothing but ttl that changes between two rotations: Vault Secrets Operator restarts workloads
// when something does. Both rotation_period and ttl are always there: without them Vault Agent reads each five minutes.
func encodeStaticCreds(r *store.StaticRole, url string, now time.Time) map[string]any {
	period, ttl := periodOf(r), readAgain
	if !r.NextRotation.IsZero() {
		ttl = int(math.Ceil(r.NextRotation.Sub(now).Seconds()))
		if ttl <= 0 {
			ttl = readSoon
		}
	}
	answer := map[string]any{
		"token":               r.Current.Token,
		"authorization_id":    r.Current.AuthorizationID,
		"org":                 r.Current.Org,
		"org_id":              r.Current.OrgID,
		"url":                 url,
		"description":         r.Current.Description,
		"last_vault_rotation": r.LastRotation.UTC().Format(time.RFC3339Nano),
		"rotation_period":     period,
		"ttl":                 ttl,
	}
	if r.RotationSchedule != "" {
		answer["rotation_schedule"], answer["rotation_window"] = r.RotationSchedule, r.RotationWindow
	}
	return answer
}

// periodOf is how long a role's token is current, in seconds. Of a schedule it is the time between the last rotation's
// next two dates: the same whenever it is asked between two rotations.
func periodOf(r *store.StaticRole) int {
	switch {
	case r.RotationPeriod > 0:
		return r.RotationPeriod
	case r.RotationSchedule == "":
		return readAgain
	}
	first := nextRotation(r.RotationPlan, r.LastRotation)
	return max(1, int(nextRotation(r.RotationPlan, first).Sub(first).Seconds()))
}
