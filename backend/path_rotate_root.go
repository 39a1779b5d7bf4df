package backend

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/token"
)

func (b *backend) pathRotateRoot() []*framework.Path {
	return []*framework.Path{{
		Pattern: "config/rotate-root",
		Fields: fields{
			"authorization_id": {Type: framework.TypeString, Description: "ID of the authorization that the root token is, where it is not known: InfluxDB from 2.9 on hides the values of tokens."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "rotate", OperationSuffix: "root-token"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: write(b.pathRotateRootWrite, "Replace the root token by a new one that nobody has seen.", noFields),
		},
		HelpSynopsis: "Replace the root token by a new one that nobody has seen.",
		HelpDescription: `
Makes a token with the permissions and the owner of the root token, tries it, puts it into the configuration, and
deletes the old one. Tokens that were handed out go on. Wherever this is cut off, the configuration holds a token that
works, and the rest is done by itself within minutes.

Where InfluxDB hides the values of tokens, the first rotation needs authorization_id. It is proven before anything is
deleted: that token is switched off for a moment, and the root token must then be refused.`,
	}}
}

func (b *backend) pathRotateRootWrite(ctx context.Context, req request) (*logical.Response, error) {
	var authorizationID string
	req.set("authorization_id", &authorizationID)
	if err := b.root.Rotate(ctx, req.Storage, req.MountPoint, authorizationID); err != nil {
		return nil, err
	}
	var warnings []string
	for _, pending := range b.revoker.All() {
		if pending.Role == token.RootRole && pending.AuthorizationID != "" {
			warnings = append(warnings, fmt.Sprintf("the root token was rotated, but an old one, %s, still works: InfluxDB did not delete it; that is tried each minute, and check says how it goes", pending.AuthorizationID))
		}
	}
	return warningsOnly(warnings), nil
}
