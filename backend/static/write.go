package static

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// DefaultGracePeriod is how long a previous token goes on working unless the role says otherwise, in seconds.
const DefaultGracePeriod = 3600

// Write is a write of a static role.
type Write struct {
	MountPath string
	// Merge has Apply change the stored role; else it changes an empty one that has the stored one's token.
	Merge bool
	// Verify looks at InfluxDB for all that the role names before anything is made.
	Verify bool
	// Apply puts the request's fields into the role. It is given DefaultGracePeriod where nothing else is stored.
	Apply func(*store.StaticRole)
	// Import is an existing token that a new role takes over as it is; nil or empty for none.
	Import *Pair
}

// Write stores a static role, and sees to it that its token is what the role says: a new role's is made or imported, and one
// whose permissions change is replaced. It returns warnings.
func (x *Roles) Write(ctx context.Context, s logical.Storage, name string, w Write) (warnings []string, err error) {
	err = x.withRole(ctx, s, name, func(ctx context.Context, stored *store.StaticRole) error {
		r, err := w.candidate(name, stored)
		if err != nil {
			return err
		}
		found, err := x.findImport(ctx, s, name, w, r, stored)
		if err != nil {
			return err
		}
		if warnings, err = x.validate(ctx, s, name, w, r, stored); err != nil {
			return err
		}
		if found != nil {
			return x.importToken(ctx, s, name, r, found)
		}
		more, err := x.store(ctx, s, name, r, stored)
		warnings = append(warnings, more...)
		return err
	})
	return warnings, err
}

// candidate is the stored role, or an empty one that keeps its token, with the write's fields.
func (w Write) candidate(name string, stored *store.StaticRole) (*store.StaticRole, error) {
	r := &store.StaticRole{GracePeriod: DefaultGracePeriod}
	switch {
	case stored == nil && w.Merge:
		return nil, problem.NotFound("static role %q does not exist; write it first", name)
	case stored != nil:
		*r = *stored
		if !w.Merge {
			r.Role, r.RotationPlan, r.GracePeriod = store.Role{}, store.RotationPlan{}, DefaultGracePeriod
		}
	}
	w.Apply(r)
	r.Mount = w.MountPath
	return r, nil
}

// validate refuses a role that could not mint, or should not, and says all that is wrong with it.
func (x *Roles) validate(ctx context.Context, s logical.Storage, name string, w Write, r, stored *store.StaticRole) ([]string, error) {
	var (
		before  *store.Role
		planned store.RotationPlan
	)
	if stored != nil {
		before, planned = &stored.Role, stored.RotationPlan
	}
	cloning := x.roles.CopyClone(ctx, s, w.MountPath, &r.Role, before)
	if cloning != nil && !problem.HasField(cloning) {
		return nil, cloning
	}
	if r.Role.Definition().Empty() && cloning == nil {
		return nil, problem.BadInput("static role %q would grant nothing: a write replaces the whole role; to change one field use vault patch %sstatic-roles/%s rotation_period=24h", name, w.MountPath, name)
	}
	config, err := store.Config.Get(ctx, s)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, connection.NotConfigured(w.MountPath)
	}
	problems := append(rotation.ValidatePlan(r.RotationPlan, planned, x.mount.Now()), cloning, role.ValidateForm(&r.Role, config))
	if field := role.TemplatedField(&r.Role); field != "" {
		problems.Add(field, "holds an identity template; a static role has one token for all callers, and templates belong to roles/")
	}
	if stored == nil || planned != r.RotationPlan || stored.GracePeriod != r.GracePeriod { // else it goes on as it was
		if tooLong := graceTooLong(r); tooLong != "" {
			problems.Add("grace_period", "%s", tooLong)
		}
	}
	var warnings []string
	if w.Verify { // else the mint will say it
		warnings, err = x.roles.ValidateAgainst(ctx, s, config, &r.Role)
		if _, unknown := errors.AsType[*token.UnknownOutcome](err); !unknown { // after one the token, which is the same again, is not asked for
			warnings, err = role.WarnUnseen(warnings, err)
		}
		problems = append(problems, err)
	}
	return warnings, problems.Err()
}

// graceTooLong says that a role's next rotation may come before the grace of the one before is over, which ends it; "" where
// it can't.
func graceTooLong(r *store.StaticRole) string {
	gap := int(rotation.ShortestGap(r.RotationPlan).Seconds())
	switch {
	case r.GracePeriod <= gap:
		return ""
	case r.RotationPeriod > 0:
		return fmt.Sprintf("%ds is longer than rotation_period, %ds", r.GracePeriod, gap)
	}
	return fmt.Sprintf("%ds is longer than the shortest time between two rotations of rotation_schedule, %ds", r.GracePeriod, gap)
}

// gracePeriod is how long a role's previous token goes on working. An earlier version may have stored one that its schedule
// does not leave time for.
func gracePeriod(r *store.StaticRole) time.Duration {
	return min(time.Duration(r.GracePeriod)*time.Second, rotation.ShortestGap(r.RotationPlan))
}

// store puts a validated role into storage, with the token that belongs to it.
func (x *Roles) store(ctx context.Context, s logical.Storage, name string, r, stored *store.StaticRole) ([]string, error) {
	switch {
	case stored == nil:
		return x.replace(ctx, s, name, r, replacement{})
	case !store.Same(granting(stored), granting(r)):
		// In the entry as it was: the new permissions go in with their token.
		if err := x.revokePrevious(ctx, s, name, stored); err != nil {
			return nil, err
		}
		r.Previous = nil
		return x.replace(ctx, s, name, r, replacement{grace: gracePeriod(r)})
	case stored.RotationPlan != r.RotationPlan:
		r.NextRotation, r.Skipped = rotation.Next(r.RotationPlan, x.mount.Now()), nil
	}
	return nil, x.put(ctx, s, name, r)
}

// granting is the part of a static role that its token depends on.
func granting(r *store.StaticRole) store.Role {
	part := r.Role
	part.Version, part.Description, part.AllowPrivileged = 0, "", false
	return part
}

// withRole calls do with a static role while nothing else changes it, after everything that was cut off before is
// recovered. r is nil when there is none. What has begun goes on when its caller has gone.
func (x *Roles) withRole(ctx context.Context, s logical.Storage, name string, do func(ctx context.Context, r *store.StaticRole) error) error {
	unlock, err := x.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.RotationTimeout)
	defer cancel()
	if err := x.revoker.Load(ctx, s); err != nil {
		return err
	}
	r, err := x.stored(ctx, s, name)
	if err != nil {
		return err
	}
	if err := x.recover(ctx, s, name, r); err != nil {
		if store.IsUnreadable(err) && r != nil && !r.Deleted { // nothing new is made, and what is over ends
			err = errors.Join(err, x.endPrevious(ctx, s, name, r))
		}
		return err
	}
	if r != nil && r.Deleted {
		if err := x.finishDelete(ctx, s, name, r); err != nil {
			return err
		}
		r = nil
	}
	return do(ctx, r)
}

// recover takes back what a rotation that was cut off may have made and not stored.
func (x *Roles) recover(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	i, err := store.StaticIntentions.Get(ctx, s, name)
	if err != nil || i == nil {
		return err
	}
	if r == nil || r.Current.Nonce != i.Nonce {
		x.mount.Log.Warn("a rotation of a static role that was cut off is taken back", "role", name, "nonce", i.Nonce, "began", problem.RFC3339(i.Since))
		stamp := token.Stamp{Mount: x.mount.UUID, Kind: token.Static, Role: name, Nonce: i.Nonce}
		unknown := store.Pending{Nonce: i.Nonce, Stamp: stamp.String(), OrgID: i.OrgID, UserID: i.UserID, Connection: i.Connection, Role: name, Since: x.mount.Now()}
		if err := x.revoker.Enqueue(ctx, s, unknown); err != nil {
			return err
		}
	}
	return store.StaticIntentions.Delete(ctx, s, name)
}

// Delete deletes a static role and its tokens; that there is none is no error. The role is gone for everybody first, so
// that wherever this is cut off nobody is handed a token that is deleted; the next tick goes on with it.
func (x *Roles) Delete(ctx context.Context, s logical.Storage, name string) error {
	return x.withRole(ctx, s, name, func(ctx context.Context, r *store.StaticRole) error {
		if r == nil {
			return nil
		}
		deleted := *r
		deleted.Deleted = true
		if err := x.put(ctx, s, name, &deleted); err != nil {
			return err
		}
		return x.finishDelete(ctx, s, name, &deleted)
	})
}

// finishDelete deletes the tokens of a deleted role, and its entry. What can't be deleted now is pending.
func (x *Roles) finishDelete(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	tokens := []store.Pending{{AuthorizationID: r.Current.AuthorizationID, Connection: r.Current.Connection, Role: name}}
	if r.Previous != nil {
		tokens = append(tokens, store.Pending{AuthorizationID: r.Previous.AuthorizationID, Connection: r.Previous.Connection, Role: name})
	}
	for _, t := range tokens {
		if err := x.revoker.Revoke(ctx, s, t); err != nil && !revoke.IsQueued(err) {
			return err
		}
	}
	if err := store.StaticRoles.Delete(ctx, s, name); err != nil {
		return err
	}
	x.remove(name)
	return nil
}
