package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// writeTimeout bounds work that has to be finished although its caller has gone.
const writeTimeout = 30 * time.Second

// unanswered is a call to create that may have been carried out.
type unanswered struct {
	error
	nonce string
	place place
}

func (u *unanswered) Unwrap() error { return u.error }

// unknownOutcome says so where a token may exist that nobody received.
func unknownOutcome(err error, nonce string, at place) error {
	var failed *influx.Error
	if errors.As(err, &failed) && !failed.NotApplied() {
		return &unanswered{fmt.Errorf("%w; whether the token was created is not known, and nobody has it", err), nonce, at}
	}
	return err
}

// oweUnanswered writes down that a token may exist: a pass finds it by its nonce, or that it was never made.
func (b *backend) oweUnanswered(ctx context.Context, s logical.Storage, e *endpoint, role string, err error) error {
	var lost *unanswered
	if !errors.As(err, &lost) {
		return err
	}
	if oweErr := b.oweNonce(ctx, s, e, role, lost.nonce, lost.place); oweErr != nil {
		b.log.Error("a mint without an answer could not be written down", "role", role, "nonce", lost.nonce, "error", oweErr)
		return errors.Join(err, errUnsettled)
	}
	return err
}

// errUnsettled: a token may exist that nobody received, and that could not be written down. One of a lease dies by the
// reaper, once its deadline has passed; a static or root token is known by the intention that stays.
var errUnsettled = errors.New("it could not be written down that such a token may exist; it is looked for by its stamp")

// oweNonce writes down that a token with a nonce may have been made until now.
func (b *backend) oweNonce(ctx context.Context, s logical.Storage, e *endpoint, role, nonce string, at place) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	return b.owe(ctx, s, store.Pending{Nonce: nonce, OrgID: at.orgID, UserID: at.userID, Connection: e.ID, Role: role, Since: b.now()})
}

// discard deletes a token that was made and is not handed out, whoever has gone meanwhile. Where that fails it is
// pending; the error is errUnsettled where it is not even that.
func (b *backend) discard(ctx context.Context, s logical.Storage, e *endpoint, role, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	entry := store.Pending{AuthorizationID: id, Connection: e.ID, Role: role, Since: b.now()}
	err := b.retire(ctx, s, entry)
	if err == nil {
		return nil
	}
	b.log.Warn("a token that was not handed out is still to be deleted", "authorization_id", id, "role", role, "error", err)
	var owed *owedDeletion
	if errors.As(err, &owed) {
		return nil
	}
	return errUnsettled
}
