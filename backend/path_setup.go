package backend

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathSetup() []*framework.Path {
	setupFields := map[string]*framework.FieldSchema{
		"username":         {Type: framework.TypeString, Description: "Name of the first user, who owns the operator token. Required."},
		"password":         {Type: framework.TypeString, Description: "The user's password, 8 to 72 characters; without one nobody can sign in as the user. Not stored.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"org":              {Type: framework.TypeString, Description: "Name of the first organization, which becomes the default of roles. Required."},
		"bucket":           {Type: framework.TypeString, Description: "Name of the first bucket. Required."},
		"retention_period": {Type: framework.TypeDurationSecond, Description: "How long the bucket keeps data, 1h or more; 0 means for ever."},
	}
	for _, name := range reachFields {
		setupFields[name] = configFields[name]
	}
	return []*framework.Path{{
		Pattern:      "config/setup",
		Fields:       setupFields,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "set-up"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: operation{handle: b.pathSetupWrite, summary: "Set a fresh InfluxDB up and connect to it.", answer: setupAnswer, writes: true}.handler(),
		},
		HelpSynopsis: "Set a fresh InfluxDB up and connect to it.",
		HelpDescription: `
Makes the first user, organization and bucket of an InfluxDB that was never set up. Its operator token is a random value
that goes straight into the configuration: nobody has seen it, and nobody can read it. The mount must have no
configuration yet. Where the call was cut off, call it again with the same url.`,
	}}
}

var setupAnswer = map[string]*framework.FieldSchema{
	"url":              configFields["url"],
	"authorization_id": {Type: framework.TypeString, Description: "ID of the operator token's authorization; empty where a lost answer held it."},
	"org":              {Type: framework.TypeString, Description: "Name of the organization."},
	"org_id":           {Type: framework.TypeString, Description: "ID of the organization."},
	"user":             {Type: framework.TypeString, Description: "Name of the user."},
	"user_id":          {Type: framework.TypeString, Description: "ID of the user."},
}

func (b *backend) pathSetupWrite(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	var wanted founding
	f := fields{data}
	c := &store.Connection{TidyInterval: defaultTidyInterval}
	decodeReach(f, c)
	f.text("username", &wanted.username)
	f.text("password", &wanted.password)
	f.text("org", &wanted.org)
	f.text("bucket", &wanted.bucket)
	f.seconds("retention_period", &wanted.retention)
	if err := errors.Join(checkFounding(wanted), checkReach(c)); err != nil {
		return nil, err
	}
	founded, err := b.setUp(ctx, req.Storage, req.MountPoint, c, wanted)
	if err != nil {
		return nil, err
	}
	answer := encodeConfig(founded, b.mountUUID)
	return &logical.Response{Data: map[string]any{
		"url": founded.URL, "authorization_id": answer["authorization_id"], "org": answer["org"], "org_id": answer["org_id"],
		"user": answer["root_user"], "user_id": answer["root_user_id"],
	}}, nil
}

// checkFounding checks what InfluxDB would refuse, or be left half set up by.
func checkFounding(f founding) error {
	var problems permission.Problems
	problem := problems.Add
	for _, required := range []struct{ field, value string }{{"username", f.username}, {"org", f.org}, {"bucket", f.bucket}} {
		if required.value == "" {
			problem(required.field, "missing")
		}
	}
	if length := len(f.password); length > 0 && (length < minPassword || length > maxPassword) {
		problem("password", "must have 8 to 72 characters")
	}
	if f.retention != 0 && f.retention < minRetention {
		problem("retention_period", "must be 1h or more, or 0 for ever")
	}
	return problems.Err()
}
