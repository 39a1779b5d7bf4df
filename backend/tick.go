package backend

import (
	"context"
	"errors"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
)

// jobs are a mount's background work. It ends with the mount: when that is unmounted, sealed or reloaded.
type jobs struct {
	mount    *mount.Mount
	table    []*job
	lifetime context.Context
	stop     context.CancelFunc
}

// job is one kind of work: steps that are taken one after the other, whatever comes of those before. A run of it may take
// longer than a minute; then the next tick leaves it alone.
type job struct {
	background.Job
	name  string
	steps []step
}

type step func(ctx context.Context, s logical.Storage, mountPath string) error

func newJobs(m *mount.Mount) *jobs {
	j := &jobs{mount: m}
	j.lifetime, j.stop = context.WithCancel(context.Background())
	return j
}

// start runs every job that is not under way.
func (j *jobs) start(s logical.Storage, mountPath string) {
	for _, each := range j.table {
		each.Start(j.mount.Log.With("job", each.name), func() error {
			var failed []error
			for _, run := range each.steps {
				failed = append(failed, j.take(run, s, mountPath))
			}
			return errors.Join(failed...)
		})
	}
}

func (j *jobs) take(run step, s logical.Storage, mountPath string) (err error) {
	defer background.Recover(j.mount.Log, &err)
	err = run(j.lifetime, s, mountPath)
	if store.IsUnreadable(err) { // each minute is like the last
		j.mount.LogUnreadable(err)
		return nil
	}
	return err
}

// addJobs fills the table of background work. Each job says itself what is due.
func (b *backend) addJobs() {
	of := func(run func(context.Context, logical.Storage) error) step {
		return func(ctx context.Context, s logical.Storage, _ string) error { return run(ctx, s) }
	}
	b.jobs.table = []*job{
		{name: "pending deletions", steps: []step{of(b.revoker.Periodic)}},
		{name: formerConnections, steps: []step{of(b.config.CollectFormer)}},
		// A static role's would meet the old root token while it is switched off, fail, and wait.
		{name: "rotations", steps: []step{of(b.root.Periodic), b.statics.Periodic}},
		{name: "tidy, the count of live tokens and mints of unknown outcome", steps: []step{of(b.tidier.Periodic)}},
	}
}

// formerConnections is the job that looks after connections that are not current any more.
const formerConnections = "former connections"

// tick is called by Vault once a minute, with its state lock held: a slow one stalls seal and step-down. So it starts
// what is due and returns. Only while the mount is being disabled or moved does it wait, because the storage goes away
// right after.
func (b *backend) tick(ctx context.Context, req *logical.Request) error {
	if !b.mount.Active() {
		// static-creds is read here, too. A standby that was so far behind that it is sent a snapshot is not told which keys
		// have changed, and a word that comes too late is dropped (OpenBao 2.7): what it missed lasts for a minute.
		b.connections.Invalidate(store.ConfigKey)
		b.statics.Forget()
		return nil
	}
	if b.mount.Tainted() {
		b.minter.Quiesce(ctx)
		err := b.drain(ctx, req.Storage)
		if err != nil {
			b.revoker.LogAbandoned(b.revoker.All()...)
		}
		return err
	}
	b.minter.Resume()
	b.jobs.start(req.Storage, req.MountPoint)
	return nil
}

// drain does what is pending, and waits for it: nobody would be left to do it later.
func (b *backend) drain(ctx context.Context, s logical.Storage) error {
	return errors.Join(b.revoker.Periodic(ctx, s), b.tidier.ReconcileUnknown(ctx, s))
}
