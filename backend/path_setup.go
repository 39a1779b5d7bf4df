package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/root"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
)

func (b *backend) pathSetup() []*framework.Path {
	setupFields := fields{
		"username":         {Type: framework.TypeString, Description: "Name of the first user, who owns the operator token. Required."},
		"password":         {Type: framework.TypeString, Description: "The user's password, 8 to 72 characters; without one nobody can sign in as the user. Not stored.", DisplayAttrs: &framework.DisplayAttributes{Sensitive: true}},
		"org":              {Type: framework.TypeString, Description: "Name of the first organization, which becomes the default of roles. Required."},
		"bucket":           {Type: framework.TypeString, Description: "Name of the first bucket. Required."},
		"retention_period": {Type: framework.TypeDurationSecond, Description: "How long the bucket keeps data, 1h or more; 0 means for ever."},
	}
	for name := range reachBindings(&store.Connection{}) {
		setupFields[name] = configFields[name]
	}
	setupFields["client_key"] = configFields["client_key"]
	return []*framework.Path{{
		Pattern:      "config/setup",
		Fields:       setupFields,
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "set-up"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: write(b.pathSetupWrite, "Set a fresh InfluxDB up and connect to it.", setupResponse),
		},
		HelpSynopsis: "Set a fresh InfluxDB up and connect to it.",
		HelpDescription: `
Makes the first user, organization and bucket of an InfluxDB that was never set up. Its operator token is a random value
that goes straight into the configuration: nobody has seen it, and nobody can read it. The mount must have no
configuration yet. Where the call was cut off, call it again with the same url.`,
	}}
}

var setupResponse = fields{
	"url":              configFields["url"],
	"authorization_id": {Type: framework.TypeString, Description: "ID of the operator token's authorization; empty where a lost answer held it."},
	"org":              {Type: framework.TypeString, Description: "Name of the organization."},
	"org_id":           {Type: framework.TypeString, Description: "ID of the organization."},
	"user":             {Type: framework.TypeString, Description: "Name of the user."},
	"user_id":          {Type: framework.TypeString, Description: "ID of the user."},
}

func (b *backend) pathSetupWrite(ctx context.Context, req request) (*logical.Response, error) {
	var o root.Onboarding
	c := &store.Connection{TidyInterval: tidy.DefaultInterval}
	decodeReach(req.params, c)
	req.decode(bindings{"username": &o.Username, "password": &o.Password, "org": &o.Org, "bucket": &o.Bucket, "retention_period": &o.Retention})
	created, err := b.root.SetUp(ctx, req.Storage, req.MountPoint, c, o)
	if err != nil {
		return nil, err
	}
	answer := encodeConfig(created, b.mount.UUID)
	return &logical.Response{Data: map[string]any{
		"url": created.URL, "authorization_id": answer["authorization_id"], "org": answer["org"], "org_id": answer["org_id"],
		"user": answer["root_user"], "user_id": answer["root_user_id"],
	}}, nil
}
