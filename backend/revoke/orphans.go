package revoke

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
)

const (
	// maxOrphans bounds how many tokens without a lease are taken at once: where Vault is minutes late with a storm of
	// ending leases, not all of them are to be deleted twice at the same time.
	maxOrphans = 500
	// orphanBudget is how long one run goes on taking more.
	orphanBudget = 45 * time.Second
)

// Periodic writes down the tokens that no lease holds, and tries everything that is pending. It must run only when Vault
// asks for it: a process that outlived its Vault knows nothing of the renewals that the next one makes.
func (r *Revoker) Periodic(ctx context.Context, s logical.Storage) error {
	for until := time.Now().Add(orphanBudget); ; {
		taken, err := r.queueOrphans(ctx, s)
		err = errors.Join(err, r.RetryAll(ctx, s))
		if err != nil || taken < maxOrphans || r.mount.Tainted() || time.Now().After(until) {
			return err
		}
	}
}

// queueOrphans writes down, to be deleted, what this process has issued and what can have no lease any more: a caller hung
// up before Vault had registered one. Only the active node can write it down. It returns how many there were.
func (r *Revoker) queueOrphans(ctx context.Context, s logical.Storage) (int, error) {
	if err := r.Load(ctx, s); err != nil {
		return 0, err
	}
	orphans := r.counter.ClaimEnded(r.mount.Now(), mount.LeaseMargin, maxOrphans)
	defer r.counter.Unclaim(orphans)
	for _, d := range orphans {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		if err := r.Enqueue(ctx, s, store.Pending{AuthorizationID: d.AuthorizationID, Connection: d.Connection, Role: d.Role, Since: r.mount.Now()}); err != nil {
			return 0, err
		}
		r.counter.Remove(d.Role, d.AuthorizationID)
		r.orphans.Add(1)
		r.mount.Log.Info("a token that no lease holds is deleted: Vault has neither renewed nor revoked it", "authorization_id", d.AuthorizationID, "role", d.Role)
	}
	return len(orphans), nil
}

// Orphans returns how many tokens have been written down to be deleted, since the start, because no lease held them.
func (r *Revoker) Orphans() int64 { return r.orphans.Load() }
