package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// settleRoot finishes or takes back a change of the root token that was cut off. Whoever calls it changes the
// configuration alone.
func (b *backend) settleRoot(ctx context.Context, s logical.Storage) error {
	intention, err := store.GetRootIntention(ctx, s)
	if err != nil || intention == nil {
		return err
	}
	if intention.Setup != nil {
		return b.settleSetup(ctx, s, intention)
	}
	e, err := b.endpointOf(ctx, s, intention.Previous.ID)
	if err != nil {
		return err
	}
	if e.RootNonce != intention.Nonce {
		return b.settleUnstored(ctx, s, e, intention)
	}
	if until := intention.Since.Add(intentionAge); !intention.Proven && b.now().Before(until) {
		return badInput("a rotation of the root token that began at %s was cut off; it is finished by itself after %s", rfc3339(intention.Since), rfc3339(until))
	}
	return b.finishRotation(ctx, s, intention)
}

// settleIfPossible is settleRoot for a write of the configuration, which must be possible when InfluxDB is not: what
// is left is settled later, whatever the configuration is then.
func (b *backend) settleIfPossible(ctx context.Context, s logical.Storage) error {
	intention, err := store.GetRootIntention(ctx, s)
	if err != nil || intention == nil {
		return err
	}
	if err := b.settleRoot(ctx, s); err != nil {
		b.log.Warn("a change of the root token that was cut off is still to be settled", "role", rootRole, "nonce", intention.Nonce, "error", err)
	}
	return nil
}

// settleUnstored takes a rotation back whose new token never became current: it may have been made all the same.
func (b *backend) settleUnstored(ctx context.Context, s logical.Storage, e *endpoint, i *store.RootIntention) error {
	if !i.Proven {
		if err := b.switchOnAgain(ctx, e, i.OldID); err != nil {
			return err
		}
	} else if e.Token != i.Previous.Token { // it was current, and an operator wrote another one meanwhile
		if err := b.retireRoot(ctx, s, e, i.OldID); err != nil {
			return err
		}
	}
	if err := b.oweNonce(ctx, s, e, rootRole, i.Nonce, place{i.OrgID, i.UserID}); err != nil {
		return err
	}
	b.log.Warn("a rotation of the root token that was cut off is taken back", "role", rootRole, "nonce", i.Nonce, "began", rfc3339(i.Since))
	return store.DeleteRootIntention(ctx, s)
}

// finishRotation deletes the old root token of a rotation whose new one is stored. What can't be deleted now is
// pending.
func (b *backend) finishRotation(ctx context.Context, s logical.Storage, i *store.RootIntention) error {
	e, err := b.endpointOf(ctx, s, i.Previous.ID)
	if err != nil {
		return err
	}
	if !i.Proven {
		switch err := b.proveRoot(ctx, s, e, i); {
		case errors.Is(err, errOldRootGone):
			return store.DeleteRootIntention(ctx, s)
		case errors.Is(err, errNotTheRoot):
			return b.takeBack(ctx, s, i, err)
		case err != nil:
			return fmt.Errorf("the root token was rotated; the old one still works until it is proven to be %s and deleted, which is tried again by itself: %w", i.OldID, err)
		}
	}
	if err := b.retireRoot(ctx, s, e, i.OldID); err != nil {
		return err
	}
	return store.DeleteRootIntention(ctx, s)
}

// retireRoot deletes an old root token. One that can't be deleted now is pending, and that is no error.
func (b *backend) retireRoot(ctx context.Context, s logical.Storage, e *endpoint, id string) error {
	err := b.retire(ctx, s, store.Pending{AuthorizationID: id, Connection: e.ID, Role: rootRole, Since: b.now()})
	var owed *owedDeletion
	if errors.As(err, &owed) {
		b.log.Warn("the old root token still works; its deletion is tried each minute", "authorization_id", id, "role", rootRole, "error", err)
		return nil
	}
	return err
}

// takeBack makes the old root token current again, because the authorization that was given for it is another one.
func (b *backend) takeBack(ctx context.Context, s logical.Storage, i *store.RootIntention, cause error) error {
	config, err := store.GetConfig(ctx, s)
	if err != nil {
		return err
	}
	if config != nil && config.RootNonce == i.Nonce {
		restored := *config
		if restored.Revision, err = uuid.GenerateUUID(); err != nil {
			return err
		}
		restored.Token, restored.AuthorizationID, restored.RootNonce = i.Previous.Token, i.Previous.AuthorizationID, i.Previous.RootNonce
		restored.RotatedAway, restored.RotationTimes, restored.Found = i.Previous.RotatedAway, i.Previous.RotationTimes, i.Previous.Found
		if strings.EqualFold(restored.AuthorizationID, i.OldID) {
			restored.AuthorizationID = "" // or the plan would switch that token off again and again
		}
		if err := b.putConfig(ctx, s, &restored); err != nil {
			return err
		}
		e, err := b.endpoints.open(&restored)
		if err != nil {
			return err
		}
		if err := b.discard(ctx, s, e, rootRole, config.AuthorizationID); err != nil {
			return err // the intention stays, and its nonce finds the token
		}
	}
	if err := store.DeleteRootIntention(ctx, s); err != nil {
		return err
	}
	return badInput("authorization_id: %s is not the root token: %v; it is active, and the root token was not changed", i.OldID, cause)
}
