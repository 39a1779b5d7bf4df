package mint

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
)

// courtesyTimeout bounds the one look at InfluxDB that a renewal takes; and the second one, which InfluxDB that is, where
// the first says that the token does not exist.
const courtesyTimeout = 3 * time.Second

// Renew returns how much longer a lease may live; issued is when it began, and increment what the caller asks for: where it
// is longer than what is returned, Vault gives that. It fails only for what is certain: the role is gone, or the token.
// InfluxDB being down is no reason.
func (m *Minter) Renew(ctx context.Context, s logical.Storage, l lease.Data, issued time.Time, increment time.Duration) (lease.TTLs, error) {
	role, err := m.roles.Get(ctx, s, l.Role)
	if err != nil {
		return lease.TTLs{}, err
	}
	if role == nil {
		return lease.TTLs{}, fmt.Errorf("role %q does not exist any more: the lease can't be renewed and ends at its time", l.Role)
	}
	if err := m.revoker.Load(ctx, s); err != nil {
		return lease.TTLs{}, err
	}
	if m.revoker.IsPending(l.AuthorizationID) || m.isGone(ctx, s, l) {
		return lease.TTLs{}, revoked(l)
	}
	ttls, err := lease.Limits(role, m.mount.System)
	if err != nil {
		return lease.TTLs{}, err
	}
	// Core counts the maximum from the lease's start.
	ttls, some := ttls.EndBy(l.Deadline.Add(-mount.DeadlineMargin), issued)
	if !some {
		return lease.TTLs{}, fmt.Errorf("the lease has reached its maximum; read creds/%s again", l.Role)
	}
	now := m.mount.Now()
	extended := m.counter.Extend(l, min(max(ttls.Initial, increment), l.Deadline.Sub(now)), now)
	if !extended || m.revoker.IsPending(l.AuthorizationID) { // it may have been found to have no lease just now
		return lease.TTLs{}, revoked(l)
	}
	return ttls, nil
}

func revoked(l lease.Data) error {
	return fmt.Errorf("authorization %s was revoked or deleted: the lease can't be renewed; read creds/%s again", l.AuthorizationID, l.Role)
}

// isGone reports whether the InfluxDB that issued the token says that it does not exist.
func (m *Minter) isGone(ctx context.Context, s logical.Storage, l lease.Data) bool {
	c, err := m.pool.ByID(ctx, s, l.Connection)
	if err != nil {
		return false
	}
	err = c.Client.AskForAuthorization(ctx, l.AuthorizationID, courtesyTimeout)
	if !influx.Is(err, influx.Gone) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, courtesyTimeout)
	defer cancel()
	return c.Gone(ctx, err)
}
