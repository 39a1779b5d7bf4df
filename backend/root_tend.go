package backend

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// tendRoot does what is due for the root token: it finishes a rotation that was cut off, and begins the planned one.
func (b *backend) tendRoot(ctx context.Context, s logical.Storage) error {
	if !b.WriteSafeReplicationState() {
		return nil
	}
	intention, err := store.GetRootIntention(ctx, s)
	if err != nil {
		return err
	}
	if intention != nil && b.now().Sub(intention.Since) >= intentionAge {
		if err := b.settleRootAlone(ctx, s); err != nil {
			return err
		}
		b.rootAttempts.ended(nil, b.now())
	}
	config, err := store.GetConfig(ctx, s)
	if err != nil || config == nil || !b.isRotationDue(config) {
		return err
	}
	if missed(config.RotationPlan, config.NextRotation, b.now()) {
		return b.skipRotation(ctx, s)
	}
	if !b.rootAttempts.ready(b.now()) {
		return nil
	}
	err = b.rotateRoot(ctx, s, rootRotation{whenDue: true})
	b.rootAttempts.ended(err, b.now())
	if err != nil {
		return fmt.Errorf("the planned rotation of the root token failed: %w", err)
	}
	return nil
}

func (b *backend) isRotationDue(c *store.Connection) bool {
	return !c.DisableAutomatedRotation && !c.NextRotation.IsZero() && !b.now().Before(c.NextRotation)
}

func (b *backend) settleRootAlone(ctx context.Context, s logical.Storage) error {
	release, err := b.configuringAlone(ctx)
	if err != nil {
		return err
	}
	defer release()
	return b.settleRoot(ctx, s)
}

// skipRotation plans the next time of the schedule after one whose window has passed.
func (b *backend) skipRotation(ctx context.Context, s logical.Storage) error {
	release, err := b.configuringAlone(ctx)
	if err != nil {
		return err
	}
	defer release()
	config, err := store.GetConfig(ctx, s)
	if err != nil || config == nil || !b.isRotationDue(config) || !missed(config.RotationPlan, config.NextRotation, b.now()) {
		return err
	}
	config.Skipped = skipped(config.NextRotation, &b.rootAttempts)
	config.NextRotation = nextRotation(config.RotationPlan, b.now())
	if config.Revision, err = uuid.GenerateUUID(); err != nil {
		return err
	}
	if err := store.PutConfig(ctx, s, config); err != nil {
		return err
	}
	b.rootAttempts.ended(nil, b.now()) // the next time begins without a pause
	b.log.Warn("a rotation of the root token was skipped", "authorization_id", config.AuthorizationID, "role", rootRole, "due", rfc3339(config.Skipped.Due), "next", rfc3339(config.NextRotation), "reason", config.Skipped.Reason)
	return nil
}

// examineRotation finds what is wrong with the root token's rotation.
func (b *backend) examineRotation(ctx context.Context, s logical.Storage, h *health, config *store.Connection) error {
	underWay := len(b.configuring) > 0
	intention, err := store.GetRootIntention(ctx, s)
	if err != nil {
		return err
	}
	switch {
	case intention == nil || underWay: // nothing was cut off
	case intention.Setup != nil:
		h.problem("%v", errSetupOpen)
	default:
		h.problem("a rotation of the root token that began at %s is not finished; it is settled by itself", rfc3339(intention.Since))
	}
	if said := b.rootAttempts.lastError(); said != "" {
		h.fails(errors.New("the last planned rotation of the root token failed; it is tried again by itself: " + said))
	}
	if config == nil {
		return nil
	}
	if skipped := config.Skipped; skipped != nil {
		h.problem("the rotation of the root token that was due at %s was skipped (%s); the next one is due at %s, and config/rotate-root makes one now", rfc3339(skipped.Due), skipped.Reason, rfc3339(config.NextRotation))
	}
	if !config.NextRotation.IsZero() && rootID(config) == "" {
		h.problem("authorization_id: it is not known which authorization the root token is, so that it can't be rotated as planned; write it to config, or once to config/rotate-root")
	}
	return nil
}
