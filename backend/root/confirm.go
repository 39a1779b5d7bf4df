package root

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// What confirmByDeactivating may find besides that the ID is right.
var (
	errNotTheRoot = errors.New("the root token still worked while that one was switched off")
	// errOldRootGone: the old root token does not work whatever is switched on or off. There is nothing to delete.
	errOldRootGone = errors.New("the old root token is not valid any more")
)

// confirmByDeactivating proves that the authorization OldID is the old root token: switched off, that one must not work.
// InfluxDB does not say which authorization a hashed token is, and a deletion can't be undone.
func (r *Root) confirmByDeactivating(ctx context.Context, s logical.Storage, c *connection.Connection, i *store.RootIntention) error {
	if err := ensureCurrent(ctx, s, i); err != nil {
		return err
	}
	old, err := r.pool.Dial(i.Previous)
	if err != nil {
		return err
	}
	defer old.Client.Close()
	err = c.Client.SetAuthorizationStatus(ctx, i.OldID, false)
	if err == nil {
		if err = verify.Accepted(ctx, old, i.OldID); influx.Is(err, influx.InactiveToken) {
			return nil
		}
	}
	if reactivateErr := r.reactivate(ctx, c, i.OldID); reactivateErr != nil {
		return errors.Join(err, reactivateErr)
	}
	stillWorks := verify.Accepted(ctx, old, i.OldID)
	switch {
	case influx.Is(stillWorks, influx.BadToken):
		return errOldRootGone
	case stillWorks != nil:
		return stillWorks
	case err == nil || verify.IsAnswer(err):
		return errNotTheRoot
	}
	return err
}

// reactivate undoes what confirmByDeactivating did. An authorization that is gone, or that the root token may not change,
// was never switched off by it.
func (r *Root) reactivate(ctx context.Context, c *connection.Connection, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.WriteTimeout)
	defer cancel()
	err := c.Client.SetAuthorizationStatus(ctx, id, true)
	if err == nil || verify.IsAnswer(err) {
		return nil
	}
	r.mount.Log.Error("a token may be switched off that was taken for the root token; it is tried again to switch it on", "authorization_id", id, "role", token.RootRole, "error", err)
	return err
}
