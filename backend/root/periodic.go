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
	switch r.decide(config) {
	case rotation.Skip:
		return r.skip(ctx, s)
	case rotation.Rotate:
		err = r.rotate(ctx, s, "", "", true)
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

// recoverWhenOld recovers a change that has begun so long ago that whoever began it has ended.
func (r *Root) recoverWhenOld(ctx context.Context, s logical.Storage) error {
	intention, err := store.RootIntentions.Get(ctx, s)
	if err != nil || intention == nil || r.mount.Now().Sub(intention.Since) < mount.InterruptedAge {
		return err
	}
	unlock, err := r.pool.LockConfig(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.Recover(ctx, s); err != nil {
		return err
	}
	r.ResetBackoff()
	return nil
}

// skip plans the next time of the schedule after one whose window is over.
func (r *Root) skip(ctx context.Context, s logical.Storage) error {
	unlock, err := r.pool.LockConfig(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil || r.decide(config) != rotation.Skip {
		return err
	}
	config.RotationTimes = rotation.SkipMissed(config.RotationPlan, config.RotationTimes, &r.backoff, r.mount.Now())
	if err := putConfig(ctx, s, config); err != nil {
		return err
	}
	r.ResetBackoff()
	r.mount.Log.Warn("a rotation of the root token was skipped", "authorization_id", config.AuthorizationID, "role", token.RootRole,
		"due", problem.RFC3339(config.Skipped.Due), "next", problem.RFC3339(config.NextRotation), "reason", config.Skipped.Reason)
	return nil
}

// Problems returns what is wrong with the root token's rotation. config is nil where there is none.
func (r *Root) Problems(ctx context.Context, s logical.Storage, config *store.Connection) ([]string, error) {
	underWay := r.pool.ConfigLocked()
	intention, err := store.RootIntentions.Get(ctx, s)
	if err != nil {
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
	if skipped := config.Skipped; skipped != nil {
		add("the rotation of the root token that was due at %s was skipped (%s); the next one is due at %s, and config/rotate-root makes one now", problem.RFC3339(skipped.Due), skipped.Reason, problem.RFC3339(config.NextRotation))
	}
	if !config.NextRotation.IsZero() && config.RootID() == "" {
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
