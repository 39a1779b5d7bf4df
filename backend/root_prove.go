package backend

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// What a proof may show besides that it holds.
var (
	errNotTheRoot = errors.New("the root token still worked while that one was switched off")
	// errOldRootGone: the old root token does not work whatever is switched on or off. There is nothing to delete.
	errOldRootGone = errors.New("the old root token is not valid any more")
)

// proveRoot shows that the authorization OldID is the old root token: switched off, that one must not work. InfluxDB
// tells nobody which authorization a hashed token is, and a deletion can't be undone.
func (b *backend) proveRoot(ctx context.Context, s logical.Storage, e *endpoint, i *store.RootIntention) error {
	if err := stillUnderWay(ctx, s, i); err != nil {
		return err
	}
	old, err := dial(i.Previous)
	if err != nil {
		return err
	}
	defer old.client.Close()
	err = e.client.SetAuthorizationStatus(ctx, i.OldID, false)
	if err == nil {
		if err = works(ctx, old, i.OldID); influx.Is(err, influx.InactiveToken) {
			return nil
		}
	}
	if switchErr := b.switchOnAgain(ctx, e, i.OldID); switchErr != nil {
		return errors.Join(err, switchErr)
	}
	stillWorks := works(ctx, old, i.OldID)
	switch {
	case influx.Is(stillWorks, influx.BadToken):
		return errOldRootGone
	case stillWorks != nil:
		return stillWorks
	case err == nil || isAnswer(err):
		return errNotTheRoot
	}
	return err
}

// works is nil where InfluxDB takes an endpoint's token. It asks for one thing: lists are answered to an inactive
// token, too. (/api/v2/me would do, but InfluxDB Cloud has none.)
func works(ctx context.Context, e *endpoint, id string) error {
	_, err := e.client.GetAuthorization(ctx, id)
	if isAnswer(err) {
		return nil
	}
	return err
}

// isAnswer reports whether InfluxDB took the token and refused the rest.
func isAnswer(err error) bool {
	return influx.Is(err, influx.Gone) || influx.Is(err, influx.NotFound) || influx.Is(err, influx.MissingPermission)
}

// switchOnTimeout bounds how long a token that was switched off for a proof may take to be switched on again.
const switchOnTimeout = 30 * time.Second

// switchOnAgain undoes what a proof did. An authorization that is gone, or that the root token may not change, was
// never switched off by it.
func (b *backend) switchOnAgain(ctx context.Context, e *endpoint, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), switchOnTimeout)
	defer cancel()
	err := e.client.SetAuthorizationStatus(ctx, id, true)
	if err == nil || isAnswer(err) {
		return nil
	}
	b.log.Error("a token may be switched off that was taken for the root token; it is tried again to switch it on", "authorization_id", id, "role", rootRole, "error", err)
	return err
}
