package backend

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// tick is called by Vault once a minute, with its state lock held: a slow one stalls seal and step-down. So
// it starts what is due and returns. Only while the mount is being disabled or moved does it wait, because
// the storage goes away right after.
func (b *backend) tick(ctx context.Context, req *logical.Request) error {
	// Background work runs where leases live: on the active node of each cluster.
	if b.System().ReplicationState().HasState(consts.ReplicationPerformanceStandby | consts.ReplicationDRSecondary) {
		return nil
	}
	if b.System().Tainted() {
		err := b.drain(ctx, req.Storage)
		if err != nil {
			b.logLeftBehind()
		}
		return err
	}
	b.drains.start(b, func() error {
		return errors.Join(b.drain(b.lifetime, req.Storage), b.purge(b.lifetime, req.Storage))
	})
	b.rotations.start(b, func() error { return b.tendRoot(b.lifetime, req.Storage) })
	b.tending.start(b, func() error { return b.tendStatics(b.lifetime, req.Storage, req.MountPoint) })
	if err := b.tidyWhenDue(ctx, req.Storage); err != nil {
		return err
	}
	b.counts.start(b, func() error { return b.seedLive(b.lifetime, req.Storage) })
	return nil
}

// logLeftBehind names what is pending when a mount is disabled: where no lease holds the disable back, the log is
// all that is left to tell.
func (b *backend) logLeftBehind() {
	for _, entry := range b.pending.all() {
		b.log.Error("the mount is being disabled or moved while a deletion is pending; should it be gone, run tidy mount_uuid="+b.mountUUID+" on another mount after the deadline",
			"authorization_id", entry.AuthorizationID, "nonce", entry.Nonce, "role", entry.Role, "since", rfc3339(entry.Since))
	}
}

// purge forgets the connections that nothing needs any more.
func (b *backend) purge(ctx context.Context, s logical.Storage) error {
	if err := b.pending.load(ctx, s); err != nil {
		return err
	}
	ids, err := store.ListRetired(ctx, s)
	if err != nil || len(ids) == 0 {
		return err
	}
	intention, err := store.GetRootIntention(ctx, s)
	if err != nil {
		return err
	}
	if err := b.loadStatics(ctx, s); err != nil {
		return err
	}
	for _, id := range ids {
		if intention != nil && intention.Previous != nil && intention.Previous.ID == id {
			continue
		}
		old, err := store.GetRetired(ctx, s, id)
		if err != nil {
			return err
		}
		if old == nil || old.Retired == nil || b.now().Before(old.Retired.KeepUntil) || b.pending.on(id) > 0 || b.statics.uses(id) {
			continue
		}
		b.log.Info("forgetting a connection: everything it minted is past its deadline", "connection", id, "url", old.URL)
		b.endpoints.close(id)
		if err := store.DeleteRetired(ctx, s, id); err != nil {
			return err
		}
	}
	return nil
}
