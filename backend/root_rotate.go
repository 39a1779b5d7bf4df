package backend

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/store"
)

// rootRole stands in the stamp of root tokens. No role can have the name.
const rootRole = "-root"

// rotationTimeout bounds a rotation as a whole. It goes on when its caller has gone.
const rotationTimeout = 2 * time.Minute

// maxRotatedAway bounds how many root tokens are remembered that an operator wrote and that were rotated away.
const maxRotatedAway = 100

// rootRotation is a rotation that is asked for.
type rootRotation struct {
	mount string
	// givenID is the old root token's authorization as the caller names it; empty where it is known.
	givenID string
	// whenDue rotates nothing unless the plan says so.
	whenDue bool
}

// rotateRoot replaces the root token by a new one of the same permissions and owner:
//
//	intention → POST → the new one is tried → stored → the old one is deleted, or its deletion is pending
//
// Wherever it is cut off, the token in storage works, and the intention says what is left to do.
func (b *backend) rotateRoot(ctx context.Context, s logical.Storage, r rootRotation) error {
	release, err := b.configuringAlone(ctx)
	if err != nil {
		return err
	}
	defer release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotationTimeout)
	defer cancel()
	if err := b.settleRoot(ctx, s); err != nil {
		return err
	}
	e, err := b.current(ctx, s, r.mount)
	if err != nil {
		return err
	}
	if r.whenDue && !b.isRotationDue(e.Connection) { // somebody was first
		return nil
	}
	old, err := b.identifyRoot(ctx, e, r.givenID)
	if err != nil {
		return err
	}
	return b.replaceRoot(ctx, s, e, old)
}

func (b *backend) replaceRoot(ctx context.Context, s logical.Storage, e *endpoint, old *domain.Authorization) error {
	intention := &store.RootIntention{
		Nonce: newNonce(), Since: b.now().UTC(), Previous: e.Connection,
		OldID: *old.Id, Proven: isProven(e.Connection, old), OrgID: *old.OrgID, UserID: *old.UserID,
	}
	if err := store.PutRootIntention(ctx, s, intention); err != nil {
		return err
	}
	created, err := b.createRoot(ctx, e, old, intention.Nonce)
	if err != nil {
		return b.giveUpRotation(ctx, s, e, created, err)
	}
	next, err := b.successor(ctx, e.Connection, created, intention.Nonce)
	if err != nil {
		return b.giveUpRotation(ctx, s, e, created, err)
	}
	if err := stillUnderWay(ctx, s, intention); err != nil {
		return errors.Join(err, b.discard(ctx, s, e, rootRole, *created.Id))
	}
	err = b.putConfig(ctx, s, next)
	if errors.Is(err, errMaybeStored) {
		return fmt.Errorf("the new root token: %w; nothing was deleted, and the rotation is settled within some minutes", err)
	}
	if err != nil {
		return b.giveUpRotation(ctx, s, e, created, err)
	}
	b.log.Info("the root token was rotated", "authorization_id", *created.Id, "role", rootRole, "previous", intention.OldID)
	return b.finishRotation(ctx, s, intention)
}

// stillUnderWay reads the intention again before something is changed that can't be taken back. A process that outlived
// its Vault has no storage to read, and one that was reloaded in the middle may find that the next one has settled it.
func stillUnderWay(ctx context.Context, s logical.Storage, i *store.RootIntention) error {
	current, err := store.GetRootIntention(ctx, s)
	if err != nil || current == nil || current.Nonce != i.Nonce {
		return errors.Join(errors.New("another process has settled this rotation"), err)
	}
	return nil
}

// createRoot asks for a token like the old one.
func (b *backend) createRoot(ctx context.Context, e *endpoint, old *domain.Authorization, nonce string) (*domain.Authorization, error) {
	human := "Root token of Vault"
	if old.Description != nil && *old.Description != "" {
		human = withoutStamp(*old.Description)
	}
	return b.create(ctx, e, order{
		kind: kindRoot, nonce: nonce, role: rootRole, human: human,
		permissions: copied(old), orgID: *old.OrgID, userID: *old.UserID,
	})
}

// successor is the connection with a new root token, after it was tried with a client of its own.
func (b *backend) successor(ctx context.Context, c *store.Connection, root *domain.Authorization, nonce string) (*store.Connection, error) {
	revision, err := uuid.GenerateUUID()
	if err != nil {
		return nil, err
	}
	next := *c
	next.Revision, next.Token, next.AuthorizationID = revision, *root.Token, *root.Id
	if c.RootNonce == "" { // an operator has seen the old one and may write it again
		next.RotatedAway = append(slices.Clone(c.RotatedAway), fingerprint(c.Token))
		next.RotatedAway = next.RotatedAway[max(0, len(next.RotatedAway)-maxRotatedAway):]
	}
	next.RootNonce = nonce
	next.RotationTimes = store.RotationTimes{LastRotation: b.now().UTC(), NextRotation: nextRotation(c.RotationPlan, b.now())}
	if next.Found, _, err = b.verify(ctx, &next); err != nil {
		return nil, fmt.Errorf("the new root token does not work, and the old one stays: %w", err)
	}
	return &next, nil
}

// fingerprint is how a root token is known again that must not be kept.
func fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// giveUpRotation takes a rotation back whose new token never became current.
func (b *backend) giveUpRotation(ctx context.Context, s logical.Storage, e *endpoint, created *domain.Authorization, cause error) error {
	if created != nil && b.discard(ctx, s, e, rootRole, *created.Id) != nil {
		return cause // the intention stays, and says it all
	}
	var lost *unanswered
	if errors.As(cause, &lost) {
		if err := b.oweNonce(ctx, s, e, rootRole, lost.nonce, lost.place); err != nil {
			return cause // the intention stays, and says it all
		}
	}
	if err := store.DeleteRootIntention(ctx, s); err != nil {
		b.log.Warn("an intention that is settled is still in storage", "error", err)
	}
	return cause
}

// errMaybeStored is a write that failed, where it can't be read whether it was done all the same.
var errMaybeStored = errors.New("whether it was stored is not known")

// putConfig makes c the current connection. A write that fails may have been done all the same: it is read again.
func (b *backend) putConfig(ctx context.Context, s logical.Storage, c *store.Connection) error {
	err := store.PutConfig(ctx, s, c)
	if err == nil {
		return nil
	}
	found, readErr := store.GetConfig(ctx, s)
	switch {
	case readErr != nil:
		return fmt.Errorf("%w; %w", err, errMaybeStored)
	case found != nil && found.Revision == c.Revision:
		return nil
	}
	return err
}
