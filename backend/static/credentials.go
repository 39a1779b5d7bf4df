package static

import (
	"context"
	"math"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
)

// What Credentials says where no next rotation is known, in seconds.
const (
	// readAgain is the rotation period and TTL of a role that is rotated by hand only.
	readAgain = 300
	// readSoon is the TTL while a rotation is due: it comes with the next tick, or when InfluxDB is back.
	readSoon = 5
)

// Credentials are a static role's current token and how long it is current. Nothing but TTL changes between two
// rotations: Vault Secrets Operator restarts workloads when something does.
type Credentials struct {
	store.StaticToken
	// URL is where applications reach InfluxDB.
	URL          string
	LastRotation time.Time
	// Period is how long a token is current, in seconds; of a role that is rotated by hand only, how often to read again.
	Period int
	// TTL is in how many seconds to read again; more than 0.
	TTL int
	// Schedule and Window are the role's; empty where it has none.
	Schedule string
	Window   int
}

// Credentials returns a static role's current token. It asks nobody but storage.
func (x *Roles) Credentials(ctx context.Context, s logical.Storage, mountPath, name string) (*Credentials, error) {
	r, err := x.Get(ctx, s, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, noRole(name, mountPath)
	}
	c, err := x.pool.ByID(ctx, s, r.Current.Connection)
	if err != nil {
		return nil, err
	}
	return newCredentials(r, connection.ApplicationURL(c.Connection), x.mount.Now()), nil
}

func newCredentials(r *store.StaticRole, url string, now time.Time) *Credentials {
	return &Credentials{
		StaticToken: r.Current, URL: url, LastRotation: r.LastRotation,
		Period: period(r), TTL: ttl(r, now), Schedule: r.RotationSchedule, Window: r.RotationWindow,
	}
}

// ttl is in how many seconds a role's token is to be read again.
func ttl(r *store.StaticRole, now time.Time) int {
	if r.NextRotation.IsZero() {
		return readAgain
	}
	left := int(math.Ceil(r.NextRotation.Sub(now).Seconds()))
	if left <= 0 {
		return readSoon
	}
	return left
}

// period is how long a role's token is current, in seconds. Of a schedule it is the time between the last rotation's next
// two dates: the same whenever it is asked between two rotations.
func period(r *store.StaticRole) int {
	switch {
	case r.RotationPeriod > 0:
		return r.RotationPeriod
	case r.RotationSchedule == "":
		return readAgain
	}
	first := rotation.Next(r.RotationPlan, r.LastRotation)
	return max(1, int(rotation.Next(r.RotationPlan, first).Sub(first).Seconds()))
}
