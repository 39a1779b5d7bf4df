package backend

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// withStatic hands a static role to do, alone, with everything settled that was cut off before. What has begun is
// finished, whoever has gone.
func (b *backend) withStatic(ctx context.Context, s logical.Storage, name string, do func(context.Context, *store.StaticRole) error) error {
	release, err := b.turns.take(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotationTimeout)
	defer cancel()
	if err := b.pending.load(ctx, s); err != nil {
		return err
	}
	role, err := store.GetStaticRole(ctx, s, name)
	if err != nil {
		return err
	}
	if err := b.settleStatic(ctx, s, name, role); err != nil {
		return err
	}
	if role != nil && role.Deleted {
		if err := b.finishDeletion(ctx, s, name, role); err != nil {
			return err
		}
		role = nil
	}
	return do(ctx, role)
}

// settleStatic takes back what a rotation that was cut off may have made and not stored.
func (b *backend) settleStatic(ctx context.Context, s logical.Storage, name string, role *store.StaticRole) error {
	i, err := store.GetStaticIntention(ctx, s, name)
	if err != nil || i == nil {
		return err
	}
	if role == nil || role.Current.Nonce != i.Nonce {
		b.log.Warn("a rotation of a static role that was cut off is taken back", "role", name, "nonce", i.Nonce, "began", rfc3339(i.Since))
		entry := store.Pending{Nonce: i.Nonce, OrgID: i.OrgID, UserID: i.UserID, Connection: i.Connection, Role: name, Since: b.now()}
		if err := b.owe(ctx, s, entry); err != nil {
			return err
		}
	}
	return store.DeleteStaticIntention(ctx, s, name)
}

// giveUpStatic strikes an intention off whose token is not there or whose deletion is written down.
func (b *backend) giveUpStatic(ctx context.Context, s logical.Storage, name string, cause error) error {
	if errors.Is(cause, errUnsettled) { // then the intention is all that knows of it
		b.statics.lookAt(name, b.now())
		return cause
	}
	b.strikeOffStatic(ctx, s, name)
	return cause
}

// strikeOffStatic forgets an intention that is settled. Where that fails, the next tick does.
func (b *backend) strikeOffStatic(ctx context.Context, s logical.Storage, name string) {
	if err := store.DeleteStaticIntention(ctx, s, name); err != nil {
		b.statics.lookAt(name, b.now())
		b.log.Warn("an intention that is settled is still in storage", "role", name, "error", err)
	}
}
