package rotation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Change is one replacement of a stored token. Run calls its methods; wherever it is cut off, the token in storage works,
// and the intention says what is left to do.
type Change interface {
	// Record stores the intention: from now on InfluxDB may hold a token with its nonce.
	Record(ctx context.Context) error
	// Create makes the new token in InfluxDB. An unknown outcome is recorded before it returns; its error is
	// revoke.ErrNotRecorded where that failed.
	Create(ctx context.Context) error
	// Verify has InfluxDB accept the new token.
	Verify(ctx context.Context) error
	// EnsureCurrent returns ErrTakenOver unless storage still holds this intention.
	EnsureCurrent(ctx context.Context) error
	// Store makes the new token the current one. Its error is store.ErrWriteUnknown where it may be that.
	Store(ctx context.Context) error
	// Discard deletes the new token, if Create made one, or queues its deletion. Its error is revoke.ErrNotRecorded where
	// that failed, too.
	Discard(ctx context.Context) error
	// Clear removes the intention. Where that fails it is recovered later.
	Clear(ctx context.Context)
}

// ErrTakenOver is a rotation that is another process's now: this one outlived its Vault and has no storage to read, or was
// reloaded in the middle, and the next one has recovered what it began.
var ErrTakenOver = errors.New("another process has settled this rotation")

// Run takes a change's steps: intention → POST → the new token is tried → still ours → stored. What follows is its
// caller's: the intention stays until the old token is dealt with.
func Run(ctx context.Context, c Change) error {
	if err := c.Record(ctx); err != nil {
		return err
	}
	if err := c.Create(ctx); err != nil {
		return abort(ctx, c, err)
	}
	if err := c.Verify(ctx); err != nil {
		return abort(ctx, c, err)
	}
	if err := c.EnsureCurrent(ctx); err != nil { // the intention, if there is one, is not ours to clear
		return errors.Join(err, c.Discard(ctx))
	}
	err := c.Store(ctx)
	if err == nil || errors.Is(err, store.ErrWriteUnknown) { // the new token may be the current one: it stays
		return err
	}
	return abort(ctx, c, err)
}

// abort takes back a change whose new token did not become the current one.
func abort(ctx context.Context, c Change, cause error) error {
	cause = errors.Join(cause, c.Discard(ctx))
	if !errors.Is(cause, revoke.ErrNotRecorded) { // else the intention is all that knows of the token
		c.Clear(ctx)
	}
	return cause
}

// Hash returns the SHA-256 sum of a secret in hex, by which it is recognised without being stored.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
