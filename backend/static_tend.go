package backend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"golang.org/x/sync/errgroup"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// tendSlice is how long one minute's rotations go on beginning; what is left is due the next minute, oldest first.
const tendSlice = 50 * time.Second

// loadStatics reads every static role once after a start. Whoever comes meanwhile waits: half of the roles would
// pass for all of them, and a connection that the others use would be forgotten. The caller may not hold a role's turn.
func (b *backend) loadStatics(ctx context.Context, s logical.Storage) error {
	release, err := b.statics.loading.take(ctx, store.StaticRolePrefix)
	if err != nil {
		return err
	}
	defer release()
	if !b.statics.beginLoad() {
		return nil
	}
	if err = b.readStatics(ctx, s); err != nil {
		b.statics.forget()
	}
	return err
}

func (b *backend) readStatics(ctx context.Context, s logical.Storage) error {
	names, err := store.ListStaticRoles(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := b.readStatic(ctx, s, name); err != nil {
			return err
		}
	}
	cutOff, err := store.ListStaticIntentions(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range cutOff {
		b.statics.lookAt(name, b.now())
	}
	return nil
}

// readStatic takes the role's turn, so that what is noted is not older than what a rotation has stored meanwhile.
func (b *backend) readStatic(ctx context.Context, s logical.Storage, name string) error {
	release, err := b.turns.take(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	role, err := store.GetStaticRole(ctx, s, name)
	if err == nil && role != nil {
		b.statics.note(name, role)
	}
	return err
}

// tendStatics does what is due for the static roles. mount is the mount's path.
func (b *backend) tendStatics(ctx context.Context, s logical.Storage, mount string) error {
	if !b.WriteSafeReplicationState() {
		return nil
	}
	if err := b.loadStatics(ctx, s); err != nil {
		return err
	}
	config, err := store.GetConfig(ctx, s)
	if err != nil {
		return err
	}
	connection := ""
	if config != nil {
		connection = config.ID
	}
	b.tendEach(ctx, s, mount, b.statics.due(b.now(), connection))
	return nil
}

// tendEach tends some roles, a few at a time, for one slice. What fails is logged, and shows at the role.
func (b *backend) tendEach(ctx context.Context, s logical.Storage, mount string, names []string) {
	until := time.Now().Add(tendSlice)
	var group errgroup.Group
	group.SetLimit(drainWidth)
	for _, name := range names {
		group.Go(func() (err error) {
			defer b.recovered(&err)
			if ctx.Err() != nil || time.Now().After(until) {
				return nil
			}
			if err := b.tendStatic(ctx, s, mount, name); err != nil {
				b.log.Warn("a static role could not be tended; it stays as it is", "role", name, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait() // a panic is logged already, and is that role's alone
}

// tendStatic does what is due for one static role.
func (b *backend) tendStatic(ctx context.Context, s logical.Storage, mount, name string) error {
	return b.withStatic(ctx, s, name, func(ctx context.Context, role *store.StaticRole) error {
		if role == nil {
			b.statics.remove(name)
			return nil
		}
		b.statics.note(name, role)
		var ended error
		if role.Previous != nil && !b.now().Before(role.Previous.Ends) && !b.pending.has(role.Previous.AuthorizationID) {
			ended = b.endPrevious(ctx, s, name, role)
		}
		return errors.Join(ended, b.rotateWhenDue(ctx, s, mount, name, role))
	})
}

func (b *backend) rotateWhenDue(ctx context.Context, s logical.Storage, mount, name string, role *store.StaticRole) error {
	config, err := store.GetConfig(ctx, s)
	if err != nil {
		return err
	}
	tries := b.statics.of(name)
	r := replacement{mount: mount, grace: graceOf(role), gone: b.statics.isGone(name, role.Current.AuthorizationID)}
	switch {
	case r.gone, config != nil && config.ID != role.Current.Connection: // whatever the plan says
	case role.NextRotation.IsZero() || b.now().Before(role.NextRotation):
		return nil
	case missed(role.RotationPlan, role.NextRotation, b.now()):
		role.Skipped = skipped(role.NextRotation, tries)
		role.NextRotation = nextRotation(role.RotationPlan, b.now())
		if err := b.putStatic(ctx, s, name, role); err != nil {
			return err
		}
		tries.ended(nil, b.now()) // the next time begins without a pause
		b.log.Warn("a rotation of a static role was skipped", "role", name, "due", rfc3339(role.Skipped.Due), "next", rfc3339(role.NextRotation), "reason", role.Skipped.Reason)
		return nil
	}
	if !tries.ready(b.now()) {
		return nil
	}
	_, err = b.replaceStatic(ctx, s, name, role, r)
	tries.ended(err, b.now())
	if err != nil {
		return fmt.Errorf("the rotation failed: %w", err)
	}
	return nil
}

// healStatics replaces the static tokens that a list of all tokens did not show, where InfluxDB itself says that they
// do not exist: deleted by hand, or rotated away after the snapshot that this Vault was restored from was taken.
func (b *backend) healStatics(ctx context.Context, s logical.Storage, e *endpoint, missing map[string]string) {
	if len(missing) == 0 || !b.WriteSafeReplicationState() {
		return
	}
	for id, name := range missing {
		_, err := e.client.GetAuthorization(ctx, id)
		if !influx.Is(err, influx.Gone) {
			delete(missing, id)
			continue
		}
		b.log.Warn("the token of a static role is gone from InfluxDB; it is replaced", "role", name, "authorization_id", id)
		b.statics.lose(name, id)
	}
	b.tendEach(ctx, s, "", slices.Sorted(maps.Values(missing)))
}
