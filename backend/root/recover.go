package root

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// interrupted reads the change that is left; nil where none is. One whose beginning lies ahead, by a clock that was wrong,
// begins now and is stored so: it must age. Its caller holds the pool's LockConfig.
func (r *Root) interrupted(ctx context.Context, s logical.Storage) (*store.RootIntention, error) {
	i, err := store.RootIntentions.Get(ctx, s)
	if err != nil || i == nil {
		return nil, err
	}
	if since := store.NotAhead(i.Since, r.mount.Now()); since != i.Since {
		i.Since = since
		return i, store.RootIntentions.Put(ctx, s, i)
	}
	return i, nil
}

// Recover finishes or takes back a change of the root token that was cut off. Its caller holds the pool's LockConfig.
func (r *Root) Recover(ctx context.Context, s logical.Storage) error {
	intention, err := r.interrupted(ctx, s)
	if err != nil || intention == nil {
		return err
	}
	if intention.Setup != nil {
		return r.recoverSetup(ctx, s, intention)
	}
	c, err := r.pool.ByID(ctx, s, intention.Previous.ID)
	if err != nil {
		return err
	}
	if c.RootNonce != intention.Nonce {
		return r.rollBack(ctx, s, c, intention)
	}
	if until := intention.Since.Add(mount.InterruptedAge); !intention.Proven && r.mount.Now().Before(until) {
		return problem.BadInput("a rotation of the root token that began at %s was cut off; it is finished by itself after %s", problem.RFC3339(intention.Since), problem.RFC3339(until))
	}
	return r.finish(ctx, s, intention)
}

// RecoverIfPossible is Recover for a write of the configuration, which must be possible when InfluxDB is not: what is left
// is recovered later, whatever the configuration is then.
func (r *Root) RecoverIfPossible(ctx context.Context, s logical.Storage) error {
	intention, err := store.RootIntentions.Get(ctx, s)
	if store.IsUnreadable(err) { // it holds up rotations and nothing else
		r.mount.LogUnreadable(err)
		return nil
	}
	if err != nil || intention == nil {
		return err
	}
	if err := r.Recover(ctx, s); err != nil {
		r.mount.Log.Warn("a change of the root token that was cut off is still to be settled", "role", token.RootRole, "nonce", intention.Nonce, "error", err)
	}
	return nil
}

// stamp is that of a root token with a nonce.
func (r *Root) stamp(nonce string) string {
	return token.Stamp{Mount: r.mount.UUID, Kind: token.Root, Role: token.RootRole, Nonce: nonce}.String()
}

// rollBack takes a rotation back whose new token is not the current one: it may have been made all the same.
func (r *Root) rollBack(ctx context.Context, s logical.Storage, c *connection.Connection, i *store.RootIntention) error {
	if !i.Proven {
		if err := r.reactivate(ctx, c, i.OldID); err != nil {
			return err
		}
	} else if c.Token != i.Previous.Token { // the new one was current, and an operator wrote another one meanwhile
		if err := r.revokeOld(ctx, s, c, i.OldID); err != nil {
			return err
		}
	}
	if err := r.revoker.RecordNonce(ctx, s, c, token.RootRole, i.Nonce, r.stamp(i.Nonce), token.Location{OrgID: i.OrgID, UserID: i.UserID}); err != nil {
		return err
	}
	r.mount.Log.Warn("a rotation of the root token that was cut off is taken back", "role", token.RootRole, "nonce", i.Nonce, "began", problem.RFC3339(i.Since))
	return store.RootIntentions.Delete(ctx, s)
}

// finish deletes the old root token of a rotation whose new one is stored. What can't be deleted now is pending.
func (r *Root) finish(ctx context.Context, s logical.Storage, i *store.RootIntention) error {
	c, err := r.pool.ByID(ctx, s, i.Previous.ID)
	if err != nil {
		return err
	}
	if !i.Proven {
		switch err := r.confirmByDeactivating(ctx, s, c, i); {
		case errors.Is(err, errOldRootGone):
			return store.RootIntentions.Delete(ctx, s)
		case errors.Is(err, errNotTheRoot):
			return r.restorePrevious(ctx, s, i, err)
		case err != nil:
			return fmt.Errorf("the root token was rotated; the old one still works until it is proven to be %s and deleted, which is tried again by itself: %w", i.OldID, err)
		}
	}
	if err := r.revokeOld(ctx, s, c, i.OldID); err != nil {
		return err
	}
	return store.RootIntentions.Delete(ctx, s)
}

// revokeOld deletes an old root token; an empty id is one that InfluxDB never deletes. One that can't be deleted now is
// pending, and that is no error.
func (r *Root) revokeOld(ctx context.Context, s logical.Storage, c *connection.Connection, id string) error {
	if id == "" {
		return nil
	}
	err := r.revoker.Revoke(ctx, s, store.Pending{AuthorizationID: id, Connection: c.ID, Role: token.RootRole})
	if revoke.IsQueued(err) {
		r.mount.Log.Warn("the old root token still works; its deletion is tried each minute", "authorization_id", id, "role", token.RootRole, "error", err)
		return nil
	}
	return err
}

// restorePrevious makes the old root token current again, because the authorization that was given for it is another one.
func (r *Root) restorePrevious(ctx context.Context, s logical.Storage, i *store.RootIntention, cause error) error {
	config, err := store.Config.Get(ctx, s)
	if err != nil {
		return err
	}
	if config != nil && config.RootNonce == i.Nonce {
		restored := withPrevious(config, i)
		if err := putConfig(ctx, s, restored); err != nil {
			return err
		}
		c, err := r.pool.Open(restored)
		if err != nil {
			return err
		}
		if err := r.revoker.Discard(ctx, s, c, token.RootRole, config.AuthorizationID); err != nil {
			return err // the intention stays, and its nonce finds the token
		}
	}
	if err := store.RootIntentions.Delete(ctx, s); err != nil {
		return err
	}
	return problem.InField("authorization_id", "%s is not the root token: %v; it is active, and the root token was not changed", i.OldID, cause)
}

// withPrevious is a connection with the root token that it had before a rotation.
func withPrevious(config *store.Connection, i *store.RootIntention) *store.Connection {
	restored := *config
	restored.Token, restored.AuthorizationID, restored.RootNonce = i.Previous.Token, i.Previous.AuthorizationID, i.Previous.RootNonce
	restored.RotatedAway, restored.RotationTimes, restored.Found = i.Previous.RotatedAway, i.Previous.RotationTimes, i.Previous.Found
	if strings.EqualFold(restored.AuthorizationID, i.OldID) {
		restored.AuthorizationID = "" // or the plan would switch that token off again and again
	}
	return &restored
}
