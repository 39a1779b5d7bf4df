package backend

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// writeTimeout bounds work that has to be finished although its caller has gone.
const writeTimeout = 30 * time.Second

// order is a token that InfluxDB is asked for.
type order struct {
	// kind is what the stamp says; empty means kindLease.
	kind string
	// nonce is drawn where none is given.
	nonce       string
	role        string
	human       string
	permissions []permission.Permission
	orgID       string
	// userID is the owner; empty means the root token's user.
	userID   string
	deadline time.Time
	// inactive asks for a token that can't be used.
	inactive bool
}

// create is the only place that creates an authorization. It never asks twice: a call without an answer may
// have been carried out. Nor does it end with its caller: a call that is cut off would be carried out too,
// and nobody would know the ID. What it answers, with or without an error, exists in InfluxDB.
func (b *backend) create(ctx context.Context, e *endpoint, o order) (*domain.Authorization, error) {
	if b.mountUUID == "" {
		return nil, errors.New("Vault did not tell this mount's UUID; no token can be marked as ours")
	}
	if o.nonce == "" {
		o.nonce = newNonce()
	}
	if o.kind == "" {
		o.kind = kindLease
	}
	mark := stamp{b.mountUUID, o.kind, o.role, o.nonce, o.deadline}.String()
	created, err := e.client.CreateAuthorization(context.WithoutCancel(ctx), wire(o, strings.TrimSpace(o.human+" "+mark)))
	if err != nil {
		return nil, unknownOutcome(err, o.nonce, place{o.orgID, o.userID})
	}
	if created.Description == nil || !strings.HasSuffix(*created.Description, mark) {
		return created, fmt.Errorf("InfluxDB at %s did not keep the token's description; without it the token could not be found again", e.URL)
	}
	return created, ctx.Err()
}

// newNonce tells one token of ours from every other.
func newNonce() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails: it ends the program first
	return hex.EncodeToString(random)
}

// wire is an order as InfluxDB's API takes it.
func wire(o order, description string) domain.AuthorizationPostRequest {
	permissions := make([]domain.Permission, len(o.permissions))
	for i := range o.permissions {
		p := &o.permissions[i] // pointed into: a copy of each string would be most of what a mint allocates
		permissions[i] = domain.Permission{
			Action:   domain.PermissionAction(p.Action),
			Resource: domain.Resource{Type: domain.ResourceType(p.Type), Id: optional(&p.ID), OrgID: optional(&p.OrgID)},
		}
	}
	status := domain.AuthorizationUpdateRequestStatusActive
	if o.inactive {
		status = domain.AuthorizationUpdateRequestStatusInactive
	}
	return domain.AuthorizationPostRequest{
		AuthorizationUpdateRequest: domain.AuthorizationUpdateRequest{Description: &description, Status: &status},
		OrgID:                      &o.orgID,
		UserID:                     optional(&o.userID),
		Permissions:                &permissions,
	}
}

// optional leaves an empty string out of the request.
func optional(s *string) *string {
	if *s == "" {
		return nil
	}
	return s
}

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
