package static

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/problem"
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
