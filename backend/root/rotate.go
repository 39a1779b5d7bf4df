// Package root looks after the root token: it sets a fresh InfluxDB up with one, rotates it, and recovers what was cut off.
package root

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// Root is the root token of a mount.
type Root struct {
	mount    *mount.Mount
	pool     *connection.Pool
	issuer   *token.Issuer
	revoker  *revoke.Revoker
	verifier *verify.Verifier
	// backoff counts the planned rotations that failed.
	backoff background.Backoff
}

// New returns the root token of a mount.
func New(m *mount.Mount, pool *connection.Pool, issuer *token.Issuer, revoker *revoke.Revoker, verifier *verify.Verifier) *Root {
	return &Root{mount: m, pool: pool, issuer: issuer, revoker: revoker, verifier: verifier}
}

// ResetBackoff has the next planned rotation begin without a pause: what the last one failed for may be mended.
func (r *Root) ResetBackoff() { r.backoff.Done(nil, r.mount.Now()) }

// Rotate replaces the root token by a new one of the same permissions and owner. authorizationID is the old one's where it
// is not known; else it may be empty. It returns warnings.
func (r *Root) Rotate(ctx context.Context, s logical.Storage, mountPath, authorizationID string) (warnings []string, err error) {
	old, err := r.rotate(ctx, s, mountPath, authorizationID, false)
	if err != nil {
		return nil, err
	}
	r.ResetBackoff()
	if old != nil && old.Permanent {
		warnings = append(warnings, fmt.Sprintf("the old root token, %s, is one that InfluxDB never deletes: it still works. Regenerate it by hand (influxdb3 create token --admin --regenerate) and lock the new one away", old.ID))
	}
	return warnings, nil
}

// rotate takes the steps of a rotation, which goes on when its caller has gone:
//
//	intention → POST → the new one is tried → stored → the old one is deleted, or its deletion is pending
//
// whenDue rotates nothing unless the plan says so. It returns the old one; nil where nothing was rotated.
func (r *Root) rotate(ctx context.Context, s logical.Storage, mountPath, authorizationID string, whenDue bool) (*influx.Authorization, error) {
	unlock, err := r.pool.LockConfig(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.RotationTimeout)
	defer cancel()
	if err := r.Recover(ctx, s); err != nil {
		return nil, err
	}
	c, err := r.pool.Current(ctx, s, mountPath)
	if err != nil {
		return nil, err
	}
	if whenDue && r.decide(c.Connection) != rotation.Rotate { // another rotation was first
		return nil, nil
	}
	old, err := r.identify(ctx, c, authorizationID)
	if err != nil {
		return nil, err
	}
	certain := c.RootNonce != "" || old.Token == c.Token // we made it, or InfluxDB shows its value
	ch := &change{Root: r, s: s, c: c, old: old, intention: &store.RootIntention{
		Nonce: token.NewNonce(), Since: r.mount.Now().UTC(), Previous: c.Connection,
		OldID: old.ID, Proven: certain, OrgID: old.OrgID, UserID: old.UserID,
	}}
	if old.Permanent { // there is nothing to delete then
		ch.intention.OldID = ""
	}
	if err := rotation.Run(ctx, ch); err != nil {
		return nil, err
	}
	r.mount.Log.Info("the root token was rotated", "authorization_id", ch.created.ID, "role", token.RootRole, "previous", old.ID)
	if old.Permanent {
		r.mount.Log.Warn("the old root token is one that InfluxDB never deletes, and still works; regenerate it by hand, and lock it away", "authorization_id", old.ID, "role", token.RootRole)
	}
	return old, r.finish(ctx, s, ch.intention)
}

// change is a rotation under way: a rotation.Change.
type change struct {
	*Root
	s         logical.Storage
	c         *connection.Connection
	old       *influx.Authorization
	intention *store.RootIntention
	// created is the new root token, and next the connection with it.
	created *influx.Authorization
	next    *store.Connection
}

func (ch *change) Record(ctx context.Context) error {
	return store.RootIntentions.Put(ctx, ch.s, ch.intention)
}

// Create asks for a token like the old one.
func (ch *change) Create(ctx context.Context) (err error) {
	text := "Root token of Vault"
	if ch.old.Description != "" {
		text = token.StripStamp(ch.old.Description)
	}
	ch.created, err = ch.issuer.Create(ctx, ch.c, token.Spec{
		Kind: token.Root, Nonce: ch.intention.Nonce, Role: token.RootRole, Text: text,
		Permissions: token.Permissions(ch.old), OrgID: ch.old.OrgID, OwnerID: ch.old.UserID,
	})
	return ch.revoker.RecordUnknown(ctx, ch.s, ch.c, token.RootRole, err)
}

// Verify tries the connection with the new token, through a client of its own.
func (ch *change) Verify(ctx context.Context) error {
	before := ch.c.Connection
	next := *before
	next.Token, next.AuthorizationID = ch.created.Token, ch.created.ID
	if before.RootNonce == "" { // an operator has seen the old one and may write it again
		next.RotatedAway = append(slices.Clone(before.RotatedAway), rotation.Hash(before.Token))
		next.RotatedAway = next.RotatedAway[max(0, len(next.RotatedAway)-maxFormerRoots):]
	}
	next.RootNonce = ch.intention.Nonce
	next.RotationTimes = rotation.Times(before.RotationPlan, ch.mount.Now())
	result, err := ch.verifier.Verify(ctx, &next)
	if err != nil {
		return fmt.Errorf("the new root token does not work, and the old one stays: %w", err)
	}
	next.Found = result.Found
	ch.next = &next
	return nil
}

// maxFormerRoots bounds how many root tokens are remembered that an operator wrote and that were rotated away.
const maxFormerRoots = 100

func (ch *change) EnsureCurrent(ctx context.Context) error {
	return ensureCurrent(ctx, ch.s, ch.intention)
}

// ensureCurrent returns rotation.ErrTakenOver unless storage holds the intention. It is asked before something is changed
// that can't be taken back.
func ensureCurrent(ctx context.Context, s logical.Storage, i *store.RootIntention) error {
	current, err := store.RootIntentions.Get(ctx, s)
	if err != nil || current == nil || current.Nonce != i.Nonce {
		return errors.Join(rotation.ErrTakenOver, err)
	}
	return nil
}

// Store makes the connection with the new token the current one.
func (ch *change) Store(ctx context.Context) error {
	err := putConfig(ctx, ch.s, ch.next)
	if errors.Is(err, store.ErrWriteUnknown) {
		return fmt.Errorf("the new root token: %w; nothing was deleted, and the rotation is settled within some minutes", err)
	}
	return err
}

// putConfig makes c the current connection. It gives each write a revision of its own.
func putConfig(ctx context.Context, s logical.Storage, c *store.Connection) error {
	c.Revision = rand.Text()
	return store.Config.PutConfirmed(ctx, s, c)
}

func (ch *change) Discard(ctx context.Context) error {
	if ch.created == nil {
		return nil
	}
	return ch.revoker.Discard(ctx, ch.s, ch.c, token.RootRole, ch.created.ID)
}

func (ch *change) Clear(ctx context.Context) {
	if err := store.RootIntentions.Delete(ctx, ch.s); err != nil {
		ch.mount.Log.Warn("an intention that is settled is still in storage", "role", token.RootRole, "error", err)
	}
}
