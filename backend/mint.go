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

// errStale says that InfluxDB contradicts the names that were looked up before.
var errStale = errors.New("a bucket, organization or user was renamed, deleted or made anew")

// demand is what a token is asked for with.
type demand struct {
	name string
	// role is the role with its templates filled in for the caller.
	role *store.Role
	// mount is the mount's path, with a slash at its end.
	mount  string
	caller *caller
	// wish narrows the role; empty means all of it.
	wish permission.Definition
	// kind and nonce are the stamp's, as in an order.
	kind, nonce string
	deadline    time.Time
}

// mint makes a token for a role: with warm caches one call, and no write to storage. Where names turn out to
// be stale it starts over, once; where the root token was replaced meanwhile, as often as it was.
func (b *backend) mint(ctx context.Context, s logical.Storage, d demand) (*minted, error) {
	e, err := b.current(ctx, s, d.mount)
	if err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		m, err := b.attempt(ctx, s, e, d)
		var lost *unanswered
		if err == nil || errors.As(err, &lost) || errors.Is(err, errUnsettled) { // a second token of one nonce would hide the first
			return m, err
		}
		// Any error may be a replaced root token's: one that is switched off is shown no bucket and no user.
		b.forget(store.ConfigKey)
		fresh, readErr := b.current(ctx, s, d.mount)
		replaced := readErr == nil && fresh.Revision != e.Revision
		if !replaced && !(first && isStale(err)) {
			return nil, err
		}
		if replaced {
			e = fresh
		}
	}
}

// isStale reports whether a mint may have failed for what was remembered of names, which is forgotten by now. The
// last two are how InfluxDB answers for an organization or a user that is gone.
func isStale(err error) bool {
	return errors.Is(err, errStale) || influx.Is(err, influx.Invalid) || influx.Is(err, influx.MissingPermission)
}

func (b *backend) attempt(ctx context.Context, s logical.Storage, e *endpoint, d demand) (*minted, error) {
	scope, owner, err := scopeOf(ctx, e, d.role)
	if err != nil {
		return nil, err
	}
	permissions, err := d.permissions(ctx, scope, e.names)
	if err != nil {
		return nil, staleOrg(ctx, e, d.role, scope, err)
	}
	human, err := describe(d.template(), d.who(permissions), d.caller)
	if err != nil {
		return nil, err
	}
	created, err := b.create(ctx, e, order{
		kind: d.kind, nonce: d.nonce, role: d.name, human: human, permissions: permissions,
		orgID: scope.OrgID, userID: owner.id, deadline: d.deadline,
	})
	org := namedOrg(e, d.role)
	if err == nil {
		if stale := staleName(org, owner.name, permissions, created); stale != "" {
			err = fmt.Errorf("%s: %w", stale, errStale)
		}
	}
	if err != nil {
		e.names.forget(scope.OrgID, org, owner.name, permissions)
		if created != nil {
			err = errors.Join(err, b.discard(ctx, s, e, d.name, *created.Id))
		}
		return nil, b.oweUnanswered(ctx, s, e, d.name, err)
	}
	m := &minted{endpoint: e, authorization: created, permissions: permissions, org: scope.OrgName, orgID: scope.OrgID}
	if created.Org != nil && *created.Org != "" {
		m.org = *created.Org
	}
	return m, nil
}

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
