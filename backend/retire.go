package backend

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// destroy is the only place that deletes an authorization. nil means that InfluxDB itself has said that the
// token is gone: deleted now, or not there.
func destroy(ctx context.Context, e *endpoint, id string) error {
	err := e.client.DeleteAuthorization(ctx, id)
	if influx.Is(err, influx.Gone) {
		return nil
	}
	return err
}

// retire deletes a token that was handed out, on the connection that minted it, and strikes it off what is
// pending. Where it fails it is pending afterwards, and the error says so: whoever waits for an answer is
// never told that a token is gone while it may live.
func (b *backend) retire(ctx context.Context, s logical.Storage, entry store.Pending) error {
	e, err := b.endpointOf(ctx, s, entry.Connection)
	if err == nil && entry.AuthorizationID == rootID(e.Connection) {
		b.log.Error("the current root token was to be deleted; it stays", "authorization_id", entry.AuthorizationID, "role", entry.Role)
		return b.settle(ctx, s, entry.Key())
	}
	if err == nil {
		err = b.destroyOn(ctx, s, e, entry.AuthorizationID)
	}
	if err != nil && e != nil && e.Retired != nil && e.Retired.Abandoned {
		b.log.Error("a token of an abandoned connection could not be deleted; delete it in that InfluxDB",
			"authorization_id", entry.AuthorizationID, "role", entry.Role, "url", e.URL, "error", err)
		err = nil
	}
	if err == nil {
		b.live.remove(entry.Role, entry.AuthorizationID)
		return b.settle(ctx, s, entry.Key())
	}
	err = fmt.Errorf("authorization %s is not deleted yet: %w", entry.AuthorizationID, err)
	// On a context of its own: the deletion must be written down also when the caller has gone.
	kept, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	if oweErr := b.owe(kept, s, entry); oweErr != nil {
		return fmt.Errorf("%w; and it could not be written down for later: %w", err, oweErr)
	}
	attempts, since := b.pending.failed(entry.Key(), err)
	return &owedDeletion{err, attempts, since}
}

// owedDeletion is a deletion that failed and is written down.
type owedDeletion struct {
	error
	attempts int
	since    time.Time
}

func (o *owedDeletion) Unwrap() error { return o.error }

// isReplaced reports whether a call failed because the root token is not valid any more: it may have been rotated
// since it was read.
func isReplaced(err error) bool {
	return influx.Is(err, influx.BadToken) || influx.Is(err, influx.InactiveToken)
}

// destroyOn deletes with the stored root token. One that InfluxDB does not accept may have been replaced since
// it was read: then the new one is tried.
func (b *backend) destroyOn(ctx context.Context, s logical.Storage, e *endpoint, id string) error {
	for {
		err := destroy(ctx, e, id)
		if !isReplaced(err) {
			return err
		}
		fresh := b.replacement(ctx, s, e)
		if fresh == nil {
			return err
		}
		e = fresh
	}
}

// replacement is a connection as it is stored now, where it was written or its root token rotated since e was read;
// nil where it was not.
func (b *backend) replacement(ctx context.Context, s logical.Storage, e *endpoint) *endpoint {
	b.forget(store.ConfigKey)
	fresh, err := b.endpointOf(ctx, s, e.ID)
	if err != nil || fresh.Revision == e.Revision {
		return nil
	}
	return fresh
}
