package static

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
)

// rotationBudget is how long one minute's rotations go on beginning; what is left is due the next minute, oldest first.
const rotationBudget = 50 * time.Second

// mayRotate reports whether tokens are rotated by themselves here. On a mount that is being disabled a new token would be
// left behind.
func (x *Roles) mayRotate() bool { return x.mount.WriteSafe() && !x.mount.Tainted() }

// Periodic does what is due for the static roles.
func (x *Roles) Periodic(ctx context.Context, s logical.Storage, mountPath string) error {
	if !x.mayRotate() {
		return nil
	}
	if err := x.Load(ctx, s); err != nil {
		return err
	}
	config, err := store.Config.Get(ctx, s)
	if err != nil {
		return err
	}
	current := ""
	if config != nil {
		current = config.ID
	}
	x.reconcileAll(ctx, s, mountPath, x.due(x.mount.Now(), current))
	return nil
}

// ReplaceMissing replaces the static tokens that a list of all tokens of a connection did not show, where InfluxDB itself
// says that they do not exist: deleted by hand, or rotated away after the snapshot that this Vault was restored from was
// taken. missing holds the roles' names by authorization ID.
func (x *Roles) ReplaceMissing(ctx context.Context, s logical.Storage, c *connection.Connection, missing map[string]string) {
	if !x.mayRotate() {
		return
	}
	names := maps.Clone(missing)
	for id, name := range missing {
		if _, err := c.Client.GetAuthorization(ctx, id); !c.Gone(ctx, err) {
			delete(names, id)
			continue
		}
		x.mount.Log.Warn("the token of a static role is gone from InfluxDB; it is replaced", "role", name, "authorization_id", id)
		x.markMissing(name, id)
	}
	x.reconcileAll(ctx, s, "", slices.Sorted(maps.Values(names)))
}

// hasEnded reports whether a role's previous token is to be deleted.
func hasEnded(r *store.StaticRole, now time.Time) bool {
	return r.Previous != nil && !now.Before(r.Previous.Ends)
}

// How long before InfluxDB ends a token by itself it is replaced, and how long after the last rotation at least: clocks that
// differ by years are not to have it replaced each minute.
const (
	endMargin = 30 * 24 * time.Hour
	leastAge  = 24 * time.Hour
)

// latestRotation returns when a role's token is replaced whatever the plan says, because InfluxDB will end it; zero for one
// that does not end.
func latestRotation(r *store.StaticRole) time.Time {
	if r.Current.Expires.IsZero() {
		return time.Time{}
	}
	latest := r.Current.Expires.Add(-endMargin)
	if soonest := r.LastRotation.Add(leastAge); latest.Before(soonest) {
		return soonest
	}
	return latest
}

// isEnding reports whether a role's token is to be replaced, whatever the plan says.
func isEnding(r *store.StaticRole, now time.Time) bool {
	latest := latestRotation(r)
	return !latest.IsZero() && !now.Before(latest)
}

// NextRotation returns when a role's token is replaced next by itself; zero for never.
func NextRotation(r *store.StaticRole) time.Time {
	latest := latestRotation(r)
	if latest.IsZero() || !r.NextRotation.IsZero() && r.NextRotation.Before(latest) {
		return r.NextRotation
	}
	return latest
}

// correct bounds a role's times by what they can be, whatever a clock that was ahead has set, and reports whether that
// changed one. A previous token can't work for longer than its grace.
func correct(r *store.StaticRole, now time.Time) (changed bool) {
	if r.Previous != nil {
		grace := time.Duration(r.Previous.Grace) * time.Second
		if grace == 0 { // stored by an earlier version, or of no grace
			grace = r.Previous.Ends.Sub(r.LastRotation)
		}
		if r.Previous.Ends.After(now.Add(grace + store.ClockMargin)) {
			ended := *r.Previous
			ended.Ends = now.UTC()
			r.Previous, changed = &ended, true
		}
	}
	times := rotation.Bounded(r.RotationPlan, r.RotationTimes, now)
	changed = changed || times != r.RotationTimes
	r.RotationTimes = times
	return changed
}

// reconcileAll reconciles some roles, a few at a time, within one budget. What fails is logged, and shows at the role.
func (x *Roles) reconcileAll(ctx context.Context, s logical.Storage, mountPath string, names []string) {
	until := time.Now().Add(rotationBudget)
	_ = background.Each(x.mount.Log, revoke.Concurrency, names, func(name string) error {
		if ctx.Err() != nil || time.Now().After(until) || !x.mayRotate() {
			return nil
		}
		switch err := x.reconcile(ctx, s, mountPath, name); {
		case store.IsUnreadable(err):
			x.mount.LogUnreadable(err)
		case err != nil:
			x.mount.Log.Warn("a static role could not be tended; it stays as it is", "role", name, "error", err)
		}
		return nil
	})
}

// reconcile does what is due for one static role.
func (x *Roles) reconcile(ctx context.Context, s logical.Storage, mountPath, name string) error {
	return x.withRole(ctx, s, name, func(ctx context.Context, r *store.StaticRole) error {
		if r == nil {
			x.remove(name)
			return nil
		}
		x.note(name, r)
		if correct(r, x.mount.Now()) {
			if err := x.put(ctx, s, name, r); err != nil {
				return err
			}
			x.mount.Log.Warn("the times of a rotation were ahead, by a clock that was; they are corrected", "role", name, "last", problem.RFC3339(r.LastRotation), "next", problem.RFC3339(r.NextRotation))
		}
		if mountPath != "" {
			r.Mount = mountPath
		}
		return errors.Join(x.endPrevious(ctx, s, name, r), x.rotateWhenDue(ctx, s, name, r))
	})
}

// endPrevious deletes the previous token of a role once its grace is over.
func (x *Roles) endPrevious(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	if !hasEnded(r, x.mount.Now()) || x.revoker.IsPending(r.Previous.AuthorizationID) {
		return nil
	}
	return x.revokePrevious(ctx, s, name, r)
}

func (x *Roles) rotateWhenDue(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	config, err := store.Config.Get(ctx, s)
	if err != nil {
		return err
	}
	now, backoff := x.mount.Now(), x.backoff(name)
	p := replacement{grace: gracePeriod(r), missing: x.isMissing(name, r.Current.AuthorizationID)}
	plan, next := r.RotationPlan, r.NextRotation
	if p.missing || isEnding(r, now) || config != nil && config.ID != r.Current.Connection { // due, whatever the plan says
		plan, next = store.RotationPlan{}, now
	}
	switch rotation.Decide(plan, next, backoff, now) {
	case rotation.Skip:
		return x.skip(ctx, s, name, r)
	case rotation.Rotate:
		old := store.Pending{AuthorizationID: r.Current.AuthorizationID, Connection: r.Current.Connection, Role: name}
		_, err = x.replace(ctx, s, name, r, p)
		backoff.Done(err, x.mount.Now())
		if err != nil {
			return fmt.Errorf("the rotation failed: %w", err)
		}
		if p.missing { // a dead token's authorization is still there
			if err := x.revoker.Revoke(ctx, s, old); !revoke.IsQueued(err) {
				return err
			}
		}
	}
	return nil
}

// skip plans the next time of the schedule after one whose window is over.
func (x *Roles) skip(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	backoff := x.backoff(name)
	r.RotationTimes = rotation.SkipMissed(r.RotationPlan, r.RotationTimes, backoff, x.mount.Now())
	if err := x.put(ctx, s, name, r); err != nil {
		return err
	}
	backoff.Done(nil, x.mount.Now()) // the next time begins without a pause
	x.mount.Log.Warn("a rotation of a static role was skipped", "role", name,
		"due", problem.RFC3339(r.Skipped.Due), "next", problem.RFC3339(r.NextRotation), "reason", r.Skipped.Reason)
	return nil
}
