package static

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
)

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
	x.index.remove(name)
	return nil
}
