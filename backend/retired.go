package backend

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// When the connections that are not current any more are looked at.
const (
	retiredInterval = time.Hour
	// unprovenAge is how long after the last deadline one is kept whose InfluxDB can't be asked what is left of its
	// tokens: it may be away for a while, or for good. What is known to be owed there keeps it longer.
	unprovenAge = 30 * 24 * time.Hour
)

// retirees schedules tendRetired.
type retirees struct {
	background
	timetable
}

// tendRetired reaps the tokens of the connections that are not current any more, and forgets those that nothing
// needs.
func (b *backend) tendRetired(ctx context.Context, s logical.Storage) error {
	if !b.WriteSafeReplicationState() {
		return nil
	}
	ids, err := store.ListRetired(ctx, s)
	if err != nil || len(ids) == 0 || !b.retirees.due(b.now(), retiredInterval) {
		return err
	}
	for _, id := range ids {
		if err := b.tendRetiree(ctx, s, id); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) tendRetiree(ctx context.Context, s logical.Storage, id string) error {
	old, err := store.GetRetired(ctx, s, id)
	if err != nil || old == nil || old.Retired == nil {
		return err
	}
	config, err := store.GetConfig(ctx, s)
	if err != nil {
		return err
	}
	if config != nil && config.ID == id { // it became current again, and its old copy was left behind
		return store.DeleteRetired(ctx, s, id)
	}
	proven := b.reapRetired(ctx, s, old)
	needed, err := b.isNeeded(ctx, s, old)
	if err != nil || needed {
		return err
	}
	until := old.Retired.KeepUntil
	if !proven && !old.Retired.Abandoned {
		until = until.Add(unprovenAge)
	}
	if b.now().Before(until) {
		return nil
	}
	b.log.Info("forgetting a connection: nothing that it minted is known to live", "connection", id, "url", old.URL, "proven", proven)
	b.endpoints.close(id)
	return store.DeleteRetired(ctx, s, id)
}

// reapRetired looks through the tokens of a connection, and reports whether it was seen that no lease's is left.
func (b *backend) reapRetired(ctx context.Context, s logical.Storage, old *store.Connection) bool {
	e, err := b.endpoints.open(old)
	p := &pass{reap: b.mountUUID}
	if err == nil {
		err = b.pass(ctx, s, e, p)
	}
	if err != nil && !old.Retired.Abandoned {
		b.log.Warn("what is left of the tokens of a connection that is not current any more could not be seen",
			"connection", old.ID, "url", old.URL, "error", err)
	}
	return err == nil && p.left.Load() == 0
}

// isNeeded reports whether something is known that only this connection can do.
func (b *backend) isNeeded(ctx context.Context, s logical.Storage, old *store.Connection) (bool, error) {
	if err := b.pending.load(ctx, s); err != nil {
		return false, err
	}
	if err := b.loadStatics(ctx, s); err != nil {
		return false, err
	}
	intention, err := store.GetRootIntention(ctx, s)
	if err != nil {
		return false, err
	}
	rotating := intention != nil && intention.Previous != nil && intention.Previous.ID == old.ID
	return rotating || b.pending.on(old.ID) > 0 || b.statics.uses(old.ID), nil
}
