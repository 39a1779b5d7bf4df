package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/lease"
)

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
