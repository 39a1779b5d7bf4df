package backend

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
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
	b.drains.start(b, func() error { return b.drain(b.lifetime, req.Storage) })
	b.retirees.start(b, func() error { return b.tendRetired(b.lifetime, req.Storage) })
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

// background lets one run of a kind be under way at a time.
type background struct{ running atomic.Bool }

// start runs do in a goroutine, unless one is running. A panic in it is logged and ends that run alone.
func (g *background) start(b *backend, do func() error) {
	if !g.running.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer g.running.Store(false)
		var err error
		defer b.recovered(&err)
		if err = do(); err != nil {
			b.log.Warn("background work failed; the next minute tries again", "error", err)
		}
	}()
}
