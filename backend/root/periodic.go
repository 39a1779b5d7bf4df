package root

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// Periodic recovers a rotation that was cut off, and makes the one that is due by plan.
func (r *Root) Periodic(ctx context.Context, s logical.Storage) error {
	if !r.mount.WriteSafe() || r.mount.Tainted() {
		return nil
	}
	if err := r.recoverWhenOld(ctx, s); err != nil {
		return err
	}
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil {
		return err
	}
	if r.bounded(config) != config.RotationTimes {
		if config, err = r.replan(ctx, s, r.bounded); err != nil || config == nil {
			return err
		}
		r.mount.Log.Warn("the times of a rotation were ahead, by a clock that was; they are corrected", "role", token.RootRole,
			"last", problem.RFC3339(config.LastRotation), "next", problem.RFC3339(config.NextRotation))
	}
	switch r.decide(config) {
	case rotation.Skip:
		return r.skip(ctx, s)
	case rotation.Rotate:
		_, err = r.rotate(ctx, s, "", "", true)
		r.backoff.Done(err, r.mount.Now())
		if err != nil {
			return fmt.Errorf("the planned rotation of the root token failed: %w", err)
		}
	}
	return nil
}

// decide returns what the root token's plan asks for now.
func (r *Root) decide(c *store.Connection) rotation.Decision {
	if c.DisableAutomatedRotation {
		return rotation.Nothing
	}
	return rotation.Decide(c.RotationPlan, c.NextRotation, &r.backoff, r.mount.Now())
}

// bounded returns the times of the root token as they can be.
func (r *Root) bounded(c *store.Connection) store.RotationTimes {
	return rotation.Bounded(c.RotationPlan, c.RotationTimes, r.mount.Now())
}

// recoverWhenOld recovers a change that has begun so long ago that whoever began it has ended. One whose beginning lies
// ahead is read again under the lock, which corrects that.
func (r *Root) recoverWhenOld(ctx context.Context, s logical.Storage) error {
	intention, err := store.RootIntentions.Get(ctx, s)
	if err != nil || intention == nil || r.isYoung(intention) {
		return err
	}
	unlock, err := r.pool.LockConfig(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if intention, err = r.interrupted(ctx, s); err != nil || intention == nil || r.isYoung(intention) {
		return err
	}
	if err := r.Recover(ctx, s); err != nil {
		return err
	}
	r.ResetBackoff()
	return nil
}

// isYoung reports whether whoever began a change may still be at it.
func (r *Root) isYoung(i *store.RootIntention) bool {
	age := r.mount.Now().Sub(i.Since)
	return age > -store.ClockMargin && age < mount.InterruptedAge
}

// skip plans the next time of the schedule after one whose window is over.
func (r *Root) skip(ctx context.Context, s logical.Storage) error {
	config, err := r.replan(ctx, s, func(c *store.Connection) store.RotationTimes {
		if r.decide(c) != rotation.Skip { // another rotation was first
			return c.RotationTimes
		}
		return rotation.SkipMissed(c.RotationPlan, c.RotationTimes, &r.backoff, r.mount.Now())
	})
	if err != nil || config == nil {
		return err
	}
	r.ResetBackoff()
	r.mount.Log.Warn("a rotation of the root token was skipped", "authorization_id", config.AuthorizationID, "role", token.RootRole,
		"due", problem.RFC3339(config.Skipped.Due), "next", problem.RFC3339(config.NextRotation), "reason", config.Skipped.Reason)
	return nil
}

// replan stores the times that change makes of those of the current connection, and returns it; nil where it changes none.
func (r *Root) replan(ctx context.Context, s logical.Storage, change func(*store.Connection) store.RotationTimes) (*store.Connection, error) {
	unlock, err := r.pool.LockConfig(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil {
		return nil, err
	}
	times := change(config)
	if times == config.RotationTimes {
		return nil, nil
	}
	config.RotationTimes = times
	return config, putConfig(ctx, s, config)
}

// Problems returns what is wrong with the root token's rotation. config is nil where there is none.
func (r *Root) Problems(ctx context.Context, s logical.Storage, config *store.Connection) ([]string, error) {
	underWay := r.pool.ConfigLocked()
	intention, err := store.RootIntentions.Get(ctx, s)
	if err != nil && !store.IsUnreadable(err) {
		return nil, err
	}
	var problems []string
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	switch {
	case intention == nil || underWay: // nothing was cut off
	case intention.Setup != nil:
		add("%v", ErrSetupPending)
	default:
		add("a rotation of the root token that began at %s is not finished; it is settled by itself", problem.RFC3339(intention.Since))
	}
	if failure := r.backoff.LastError(); failure != "" {
		add("the last planned rotation of the root token failed; it is tried again by itself: %s", failure)
	}
	if config == nil {
		return problems, nil
	}
	if rotation.HasZone(config.RotationPlan) {
		add("rotation_schedule names a time zone, which is ignored: it runs in UTC; write its five fields alone to config")
	}
	if skipped := config.Skipped; skipped != nil {
		add("the rotation of the root token that was due at %s was skipped (%s); the next one is due at %s, and config/rotate-root makes one now", problem.RFC3339(skipped.Due), skipped.Reason, problem.RFC3339(config.NextRotation))
	}
	if config.Product.IsV2() && !config.NextRotation.IsZero() && config.RootID() == "" { // InfluxDB 3 tells it when it is asked
		add("authorization_id: it is not known which authorization the root token is, so that it can't be rotated as planned; write it to config, or once to config/rotate-root")
	}
	return problems, nil
}

// KeepRotated puts the current root token into a candidate that brings back one that was rotated away, as Terraform does
// with each apply: that one is deleted, and so is what it could do. The write's other fields apply. It returns warnings.
func KeepRotated(old, candidate *store.Connection) (warnings []string) {
	switch {
	case old == nil:
	case candidate.Token != old.Token && slices.Contains(candidate.RotatedAway, rotation.Hash(candidate.Token)):
		candidate.Token, candidate.AuthorizationID, candidate.RootNonce = old.Token, old.AuthorizationID, old.RootNonce
		warnings = append(warnings, "token: this one was rotated away; the current root token stays, and the other fields apply. Leave token out of what writes this configuration")
	case old.RootNonce != "" && candidate.Token == old.Token && !strings.EqualFold(candidate.AuthorizationID, old.AuthorizationID):
		candidate.AuthorizationID = old.AuthorizationID
		warnings = append(warnings, fmt.Sprintf("authorization_id: the root token was made by a rotation and is %s, which stays; the other fields apply. Leave authorization_id out of what writes this configuration", old.AuthorizationID))
	}
	return warnings
}

// Plan sets when a candidate's root token is rotated next. A plan that did not change goes on, unless the token is new.
func (r *Root) Plan(old, candidate *store.Connection) {
	switch {
	case candidate.DisableAutomatedRotation:
		candidate.NextRotation, candidate.Skipped = time.Time{}, nil
	case old == nil || old.RotationPlan != candidate.RotationPlan || old.DisableAutomatedRotation || old.Token != candidate.Token:
		candidate.NextRotation, candidate.Skipped = rotation.Next(candidate.RotationPlan, r.mount.Now()), nil
	}
}
