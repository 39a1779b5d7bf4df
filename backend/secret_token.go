package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// secretTokenType stands in every lease; it can never change.
const secretTokenType = "influxdb_token"

func (b *backend) secretToken() *framework.Secret {
	return &framework.Secret{
		Type:   secretTokenType,
		Fields: map[string]*framework.FieldSchema{},
		Renew:  b.secretTokenRenew,
		Revoke: b.secretTokenRevoke,
	}
}

// courtesyTimeout bounds the one look at InfluxDB that a renewal takes.
const courtesyTimeout = 3 * time.Second

// secretTokenRenew answers with the lease's own secret: a new one would lose what revocation needs. A
// renewal fails only for what is certain; InfluxDB being down is no reason.
func (b *backend) secretTokenRenew(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	l, err := decodeLease(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	role, err := b.role(ctx, req.Storage, l.role)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, fmt.Errorf("role %q does not exist any more: the lease can't be renewed and ends at its time", l.role)
	}
	if err := b.pending.load(ctx, req.Storage); err != nil {
		return nil, err
	}
	if b.pending.has(l.authorizationID) || b.isGone(ctx, req.Storage, l) {
		return nil, fmt.Errorf("authorization %s was revoked or deleted: the lease can't be renewed; read creds/%s again", l.authorizationID, l.role)
	}
	s, err := b.spanOf(role)
	if err != nil {
		return nil, err
	}
	// Core counts the maximum from the lease's start.
	s, some := s.endingBy(l.deadline.Add(-deadlineGrace), req.Secret.IssueTime)
	if !some {
		return nil, fmt.Errorf("the lease has reached its maximum; read creds/%s again", l.role)
	}
	req.Secret.TTL, req.Secret.MaxTTL = s.ttl, s.max
	return &logical.Response{Secret: req.Secret}, nil
}

// isGone reports whether InfluxDB itself says that the token does not exist.
func (b *backend) isGone(ctx context.Context, s logical.Storage, l lease) bool {
	e, err := b.endpointOf(ctx, s, l.connection)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, courtesyTimeout)
	defer cancel()
	_, err = e.client.GetAuthorization(ctx, l.authorizationID)
	return influx.Is(err, influx.Gone)
}

// secretTokenRevoke needs nothing but the lease: neither the role nor the current configuration.
func (b *backend) secretTokenRevoke(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	l, err := decodeLease(req.Secret.InternalData)
	if err != nil {
		return nil, err
	}
	if err := b.pending.load(ctx, req.Storage); err != nil {
		return nil, err
	}
	entry := store.Pending{AuthorizationID: l.authorizationID, Connection: l.connection, Role: l.role, Since: b.now()}
	err = b.retire(ctx, req.Storage, entry)
	if errors.Is(err, errForgotten) && b.now().After(l.deadline) { // as when Vault was sealed, or the plugin did not start, for days
		b.log.Warn("a lease ends long after its time: the connection that minted its token was forgotten meanwhile", "authorization_id", l.authorizationID, "role", l.role)
		err = b.settle(ctx, req.Storage, entry.Key())
	}
	if err != nil && !b.takesOver(ctx, entry, err) {
		return nil, err
	}
	// A mount that is being disabled must not end while we owe a deletion: nobody would be left to do it.
	if b.pending.any() && b.System().Tainted() {
		return nil, b.drain(ctx, req.Storage)
	}
	return nil, nil
}

// When a revocation that Vault makes in the background is taken over from it: Vault gives up after six failed
// attempts in about ten minutes, and the lease is stuck then.
const (
	takeOverAttempts = 3
	takeOverAge      = 2 * time.Minute
)

// takesOver reports whether a failed revocation is ours to finish from now on, so that Vault may forget the
// lease: the deletion is written down and tried each minute. Only in the background: there the context has a
// deadline. Whoever waits for an answer is told the truth, and so is a mount that is being disabled, because
// nobody would be left to finish.
func (b *backend) takesOver(ctx context.Context, entry store.Pending, err error) bool {
	var owed *owedDeletion
	if _, background := ctx.Deadline(); !background || !errors.As(err, &owed) || b.System().Tainted() {
		return false
	}
	if owed.attempts < takeOverAttempts && b.now().Sub(owed.since) < takeOverAge {
		return false
	}
	b.log.Warn("a revocation is taken over: the lease ends, and the deletion is tried each minute", "authorization_id", entry.AuthorizationID, "role", entry.Role, "error", err)
	return true
}
