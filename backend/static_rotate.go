package backend

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// replacement is how a static role's token is replaced.
type replacement struct {
	// mount is the mount's path, for the description; empty for the one that the role remembers.
	mount string
	// grace is how long the token that was current goes on working.
	grace time.Duration
	// gone says that there is no such token any more.
	gone bool
}

func graceOf(role *store.StaticRole) time.Duration {
	return time.Duration(role.GracePeriod) * time.Second
}

// rotateStatic replaces a static role's token because somebody asks for it. grace is nil for what the role says.
func (b *backend) rotateStatic(ctx context.Context, s logical.Storage, mount, name string, grace *time.Duration) (warnings []string, err error) {
	err = b.withStatic(ctx, s, name, func(ctx context.Context, role *store.StaticRole) error {
		if role == nil {
			return noStaticRole(name, mount)
		}
		r := replacement{mount: mount, grace: graceOf(role)}
		if grace != nil {
			r.grace = *grace
		}
		if warnings, err = b.replaceStatic(ctx, s, name, role, r); err == nil {
			b.statics.of(name).ended(nil, b.now())
		}
		return err
	})
	return warnings, err
}

// replaceStatic makes a new token for a role as it is given, and stores both:
//
//	the token before the current one is deleted → intention → POST → the new one is tried → stored → the old one is
//	deleted when its grace is over
//
// Wherever it is cut off, the token in storage works. It warns where the old token should be gone, and is not yet.
func (b *backend) replaceStatic(ctx context.Context, s logical.Storage, name string, role *store.StaticRole, r replacement) (warnings []string, err error) {
	if r.mount != "" {
		role.Mount = r.mount
	}
	where, err := b.placeStatic(ctx, s, role)
	if err != nil {
		return nil, err
	}
	if !r.gone { // else the one before is all that still works, and may end in its own time
		if err := b.endPrevious(ctx, s, name, role); err != nil {
			return nil, fmt.Errorf("the token before the current one is to go first, so that there are never more than two: %w", err)
		}
	}
	m, nonce, err := b.mintStatic(ctx, s, name, role, where)
	if err != nil {
		return nil, err
	}
	next := *role
	if role.Current.AuthorizationID != "" && !r.gone {
		next.Previous = &store.PreviousToken{
			AuthorizationID: role.Current.AuthorizationID, Connection: role.Current.Connection, Ends: b.now().Add(r.grace).UTC(),
		}
	}
	next.Current = staticToken(m, nonce)
	next.RotationTimes = store.RotationTimes{LastRotation: b.now().UTC(), NextRotation: nextRotation(role.RotationPlan, b.now())}
	if err := b.storeRotated(ctx, s, name, &next, m); err != nil {
		return nil, err
	}
	*role = next
	if r.gone || r.grace > 0 {
		return nil, nil
	}
	if err := b.endPrevious(ctx, s, name, role); err != nil {
		b.log.Warn("the previous token still works; its deletion is tried each minute", "authorization_id", role.Previous.AuthorizationID, "role", name, "error", err)
		warnings = append(warnings, fmt.Sprintf("the new token is in place, but the previous one still works, and its deletion is tried each minute: %v", err))
	}
	return warnings, nil
}

// storeRotated makes a new token the role's current one. Where that fails, the token is taken back.
func (b *backend) storeRotated(ctx context.Context, s logical.Storage, name string, next *store.StaticRole, m *minted) error {
	i, err := store.GetStaticIntention(ctx, s, name)
	if err == nil && (i == nil || i.Nonce != next.Current.Nonce) {
		// The mount was reloaded in the middle, and the next process has taken this rotation back.
		return errors.Join(errors.New("another process has settled this rotation"), b.discard(ctx, s, m.endpoint, name, m.id()))
	}
	if err == nil {
		err = b.putStatic(ctx, s, name, next)
	}
	switch {
	case errors.Is(err, errMaybeStored):
		return fmt.Errorf("the new token: %w; nothing was deleted, and the rotation is settled within a minute", err)
	case err != nil:
		return b.giveUpStatic(ctx, s, name, errors.Join(err, b.discard(ctx, s, m.endpoint, name, m.id())))
	}
	b.log.Info("a static token was made", "role", name, "authorization_id", m.id())
	b.strikeOffStatic(ctx, s, name)
	return nil
}

// placeStatic finds where a role's next token is to be, and that all that the role names is there: a rotation that
// can't succeed is not to begin.
func (b *backend) placeStatic(ctx context.Context, s logical.Storage, role *store.StaticRole) (*store.StaticIntention, error) {
	e, err := b.current(ctx, s, role.Mount)
	if err != nil {
		return nil, err
	}
	scope, who, err := scopeOf(ctx, e, &role.Role)
	if err != nil {
		return nil, err
	}
	_, err = permission.Resolve(ctx, role.Role.Definition(), scope, e.names)
	return &store.StaticIntention{Connection: e.ID, OrgID: scope.OrgID, UserID: who.id}, staleOrg(ctx, e, &role.Role, scope, err)
}

// mintStatic asks for a role's next token, and tries it. The intention is in storage when it answers a token.
func (b *backend) mintStatic(ctx context.Context, s logical.Storage, name string, role *store.StaticRole, intention *store.StaticIntention) (*minted, string, error) {
	nonce := newNonce()
	intention.Nonce, intention.Since = nonce, b.now().UTC()
	if err := store.PutStaticIntention(ctx, s, name, intention); err != nil {
		b.statics.lookAt(name, b.now()) // it may have been written all the same
		return nil, "", err
	}
	m, err := b.mint(ctx, s, demand{
		name: name, role: &role.Role, mount: role.Mount, caller: &caller{system: b.System()}, kind: kindStatic, nonce: nonce,
	})
	if err == nil {
		if err = tryToken(ctx, m); err != nil {
			err = errors.Join(err, b.discard(ctx, s, m.endpoint, name, m.id()))
		}
	}
	if err != nil {
		return nil, "", b.giveUpStatic(ctx, s, name, err)
	}
	return m, nonce, nil
}

// tryToken has InfluxDB take a new token.
func tryToken(ctx context.Context, m *minted) error {
	as := *m.endpoint.Connection
	as.Token = *m.authorization.Token
	e, err := dial(&as)
	if err != nil {
		return err
	}
	defer e.client.Close()
	if err := works(ctx, e, m.id()); err != nil {
		return fmt.Errorf("the new token does not work: %w", err)
	}
	return nil
}

// staticToken is a minted token as it is stored.
func staticToken(m *minted, nonce string) store.StaticToken {
	return store.StaticToken{
		Token: *m.authorization.Token, AuthorizationID: m.id(), Nonce: nonce, Connection: m.endpoint.ID,
		Org: m.org, OrgID: m.orgID, Description: *m.authorization.Description,
	}
}
