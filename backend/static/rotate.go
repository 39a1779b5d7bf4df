package static

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/mint"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// Rotate replaces a static role's token because somebody asks for it. grace is how long the previous token goes on
// working; nil for what the role says. It returns warnings.
func (x *Roles) Rotate(ctx context.Context, s logical.Storage, mountPath, name string, grace *time.Duration) (warnings []string, err error) {
	err = x.withRole(ctx, s, name, func(ctx context.Context, r *store.StaticRole) error {
		if r == nil {
			return noRole(name, mountPath)
		}
		r.Mount = mountPath
		p := replacement{grace: gracePeriod(r)}
		if grace != nil {
			p.grace = *grace
		}
		if warnings, err = x.replace(ctx, s, name, r, p); err == nil {
			x.backoff(name).Done(nil, x.mount.Now())
		}
		return err
	})
	return warnings, err
}

func noRole(name, mountPath string) error {
	return problem.BadInput("static role %q does not exist; vault list %sstatic-roles shows those that do", name, mountPath)
}

// replacement is how a static role's token is replaced.
type replacement struct {
	// grace is how long the token that was current goes on working.
	grace time.Duration
	// missing says that there is no such token any more.
	missing bool
}

// replace makes a new token for a role as it is given, and stores both:
//
//	the token before the current one is deleted → intention → POST → the new one is tried → stored → the old one is
//	deleted when its grace is over
//
// It returns a warning where the old token should be gone, and is not yet.
func (x *Roles) replace(ctx context.Context, s logical.Storage, name string, r *store.StaticRole, p replacement) (warnings []string, err error) {
	intention, err := x.prepare(ctx, s, r)
	if err != nil {
		return nil, err
	}
	if !p.missing { // else the one before is all that still works, and may end in its own time
		if err := x.revokePrevious(ctx, s, name, r); err != nil {
			return nil, fmt.Errorf("the token before the current one is to go first, so that there are never more than two: %w", err)
		}
	}
	ch := &change{Roles: x, s: s, name: name, role: r, replacement: p, intention: intention}
	if err := rotation.Run(ctx, ch); err != nil {
		x.mark(name) // the intention may be in storage still
		return nil, err
	}
	x.mount.Log.Info("a static token was made", "role", name, "authorization_id", ch.next.Current.AuthorizationID)
	ch.Clear(ctx)
	*r = *ch.next
	if p.missing || p.grace > 0 {
		return nil, nil
	}
	if err := x.revokePrevious(ctx, s, name, r); err != nil {
		x.mount.Log.Warn("the previous token still works; its deletion is tried each minute", "authorization_id", r.Previous.AuthorizationID, "role", name, "error", err)
		warnings = append(warnings, fmt.Sprintf("the new token is in place, but the previous one still works, and its deletion is tried each minute: %v", err))
	}
	return warnings, nil
}

// prepare says where a role's next token is to be, after a look that all that the role names is there: a rotation that
// can't succeed is not to begin.
func (x *Roles) prepare(ctx context.Context, s logical.Storage, r *store.StaticRole) (*store.StaticIntention, error) {
	c, err := x.pool.Current(ctx, s, r.Mount)
	if err != nil {
		return nil, err
	}
	scope, owner, err := c.Scope(ctx, &r.Role)
	if err != nil {
		return nil, err
	}
	if _, err = permission.Resolve(ctx, r.Role.Definition().AsStored(), scope, c.Names); err != nil {
		return nil, c.RecheckOrg(ctx, &r.Role, scope, err)
	}
	return &store.StaticIntention{
		Nonce: token.NewNonce(), Since: x.mount.Now().UTC(), Connection: c.ID, OrgID: scope.OrgID, UserID: owner.ID,
	}, nil
}

// revokePrevious deletes the token before the current one. It stays in the entry until InfluxDB has confirmed that it is
// gone.
func (x *Roles) revokePrevious(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	if r.Previous == nil {
		return nil
	}
	if err := x.revoker.Revoke(ctx, s, store.Pending{AuthorizationID: r.Previous.AuthorizationID, Connection: r.Previous.Connection, Role: name}); err != nil {
		return err
	}
	without := *r
	without.Previous = nil
	if err := x.put(ctx, s, name, &without); err != nil {
		return err
	}
	*r = without
	return nil
}

// change is a rotation under way: a rotation.Change.
type change struct {
	*Roles
	replacement
	s    logical.Storage
	name string
	// role is the role as it is to be, with the old token, and next the same with the new one.
	role, next *store.StaticRole
	intention  *store.StaticIntention
	created    *mint.Token
}

func (ch *change) Record(ctx context.Context) error {
	return store.StaticIntentions.Put(ctx, ch.s, ch.name, ch.intention)
}

// Create mints a token for the role. The minter itself discards what it made in vain, and records an unknown outcome.
func (ch *change) Create(ctx context.Context) (err error) {
	ch.created, err = ch.minter.Mint(ctx, ch.s, mint.Order{
		Name: ch.name, Role: &ch.role.Role, MountPath: ch.role.Mount, Kind: token.Static, Nonce: ch.intention.Nonce,
	})
	return err
}

// Verify uses the new token once.
func (ch *change) Verify(ctx context.Context) error {
	as := *ch.created.Connection.Connection
	as.Token = ch.created.Authorization.Token
	c, err := ch.pool.Dial(&as)
	if err != nil {
		return err
	}
	defer c.Client.Close()
	if err := verify.Accepted(ctx, c, ch.created.Authorization.ID); err != nil {
		return fmt.Errorf("the new token does not work: %w", err)
	}
	return nil
}

func (ch *change) EnsureCurrent(ctx context.Context) error {
	current, err := store.StaticIntentions.Get(ctx, ch.s, ch.name)
	if err != nil || current == nil || current.Nonce != ch.intention.Nonce {
		return errors.Join(rotation.ErrTakenOver, err)
	}
	return nil
}

// Store puts the new token into the role, whose current one becomes the previous.
func (ch *change) Store(ctx context.Context) error {
	next, now := *ch.role, ch.mount.Now()
	if old := ch.role.Current; old.AuthorizationID != "" && !ch.missing {
		next.Previous = &store.PreviousToken{
			AuthorizationID: old.AuthorizationID, Connection: old.Connection, Ends: now.Add(ch.grace).UTC(), Grace: int(ch.grace.Seconds()),
		}
	}
	a := ch.created.Authorization
	next.Current = store.StaticToken{
		Token: a.Token, AuthorizationID: a.ID, Nonce: ch.intention.Nonce, Connection: ch.created.Connection.ID,
		Org: ch.created.Org, OrgID: ch.created.OrgID, Description: a.Description, Expires: a.Expires.UTC(),
	}
	next.RotationTimes = rotation.Times(next.RotationPlan, now)
	err := ch.put(ctx, ch.s, ch.name, &next)
	if errors.Is(err, store.ErrWriteUnknown) {
		return fmt.Errorf("the new token: %w; nothing was deleted, and the rotation is settled within a minute", err)
	}
	ch.next = &next
	return err
}

func (ch *change) Discard(ctx context.Context) error {
	if ch.created == nil {
		return nil
	}
	return ch.revoker.Discard(ctx, ch.s, ch.created.Connection, ch.name, ch.created.Authorization.ID)
}

func (ch *change) Clear(ctx context.Context) {
	if err := store.StaticIntentions.Delete(ctx, ch.s, ch.name); err != nil {
		ch.mark(ch.name)
		ch.mount.Log.Warn("an intention that is settled is still in storage", "role", ch.name, "error", err)
	}
}
