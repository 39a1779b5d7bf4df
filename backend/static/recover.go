package static

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
)

// withRole calls do with a static role while nothing else changes it, after everything that was cut off before is
// recovered. r is nil when there is none. What has begun goes on when its caller has gone.
func (x *Roles) withRole(ctx context.Context, s logical.Storage, name string, do func(ctx context.Context, r *store.StaticRole) error) error {
	unlock, err := x.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.RotationTimeout)
	defer cancel()
	if err := x.revoker.Load(ctx, s); err != nil {
		return err
	}
	r, err := x.stored(ctx, s, name)
	if err != nil {
		return err
	}
	if err := x.recover(ctx, s, name, r); err != nil {
		if store.IsUnreadable(err) && r != nil && !r.Deleted { // nothing new is made, and what is over ends
			err = errors.Join(err, x.endPrevious(ctx, s, name, r))
		}
		return err
	}
	if r != nil && r.Deleted {
		if err := x.finishDelete(ctx, s, name, r); err != nil {
			return err
		}
		r = nil
	}
	return do(ctx, r)
}

// recover takes back what a rotation that was cut off may have made and not stored.
func (x *Roles) recover(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	i, err := store.StaticIntentions.Get(ctx, s, name)
	if err != nil || i == nil {
		return err
	}
	if r == nil || r.Current.Nonce != i.Nonce {
		x.mount.Log.Warn("a rotation of a static role that was cut off is taken back", "role", name, "nonce", i.Nonce, "began", problem.RFC3339(i.Since))
		unknown := store.Pending{Nonce: i.Nonce, OrgID: i.OrgID, UserID: i.UserID, Connection: i.Connection, Role: name, Since: x.mount.Now()}
		if err := x.revoker.Enqueue(ctx, s, unknown); err != nil {
			return err
		}
	}
	return store.StaticIntentions.Delete(ctx, s, name)
}

// Delete deletes a static role and its tokens; that there is none is no error. The role is gone for everybody first, so
// that wherever this is cut off nobody is handed a token that is deleted; the next tick goes on with it.
func (x *Roles) Delete(ctx context.Context, s logical.Storage, name string) error {
	return x.withRole(ctx, s, name, func(ctx context.Context, r *store.StaticRole) error {
		if r == nil {
			return nil
		}
		deleted := *r
		deleted.Deleted = true
		if err := x.put(ctx, s, name, &deleted); err != nil {
			return err
		}
		return x.finishDelete(ctx, s, name, &deleted)
	})
}

// finishDelete deletes the tokens of a deleted role, and its entry. What can't be deleted now is pending.
func (x *Roles) finishDelete(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	tokens := []store.Pending{{AuthorizationID: r.Current.AuthorizationID, Connection: r.Current.Connection, Role: name}}
	if r.Previous != nil {
		tokens = append(tokens, store.Pending{AuthorizationID: r.Previous.AuthorizationID, Connection: r.Previous.Connection, Role: name})
	}
	for _, t := range tokens {
		if err := x.revoker.Revoke(ctx, s, t); err != nil && !revoke.IsQueued(err) {
			return err
		}
	}
	if err := store.StaticRoles.Delete(ctx, s, name); err != nil {
		return err
	}
	x.remove(name)
	return nil
}
