// Package static looks after the static roles: one long-lived token each, rotated in place.
package static

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/keymutex"
	"vault-plugin-secrets-influxdb/backend/mint"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// Roles are the static roles of a mount.
type Roles struct {
	mount   *mount.Mount
	pool    *connection.Pool
	roles   *role.Roles
	minter  *mint.Minter
	revoker *revoke.Revoker

	// cache holds the roles for those who only read them. Whoever changes one, or decides what is deleted, reads storage.
	cache *store.Cache[store.StaticRole]
	index
	load background.Once
	// locks has one holder at a time change a role.
	locks keymutex.Map
}

// cacheSize is how many static roles stay in memory: those read last.
const cacheSize = 10000

// New returns the static roles of a mount.
func New(m *mount.Mount, pool *connection.Pool, roles *role.Roles, minter *mint.Minter, revoker *revoke.Revoker) *Roles {
	return &Roles{
		mount: m, pool: pool, roles: roles, minter: minter, revoker: revoker,
		cache: store.NewCache[store.StaticRole](cacheSize),
	}
}

// Load reads every static role once after a start. Who comes meanwhile waits: half of the roles would pass for all of
// them, and a connection that the others use would be purged.
func (x *Roles) Load(ctx context.Context, s logical.Storage) error {
	return x.load.Do(ctx, func() error { return x.readAll(ctx, s) })
}

func (x *Roles) readAll(ctx context.Context, s logical.Storage) error {
	names, err := store.StaticRoles.List(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := x.read(ctx, s, name); err != nil {
			return err
		}
	}
	interrupted, err := store.StaticIntentions.List(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range interrupted {
		x.mark(name)
	}
	return nil
}

// read takes the role's lock, so that what is noted is not older than what a rotation has stored meanwhile. One that can't
// be read holds no other up: it is read again at each tick. The error is the context's.
func (x *Roles) read(ctx context.Context, s logical.Storage, name string) error {
	unlock, err := x.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := x.stored(ctx, s, name)
	switch {
	case err != nil:
		x.mount.LogUnreadable(err)
		x.markUnread(name)
	case r != nil:
		x.note(name, r)
	}
	return nil
}

// Invalidate makes the next Get of a static role read storage, where key is a static role's key in storage.
func (x *Roles) Invalidate(key string) {
	if name, isRole := strings.CutPrefix(key, store.StaticRolePrefix); isRole {
		x.cache.Invalidate(name)
	}
}

// Forget makes the next Get of every static role read storage.
func (x *Roles) Forget() { x.cache.Clear() }

// Reload has the roles read again, where key is a static role's: another node has written it.
func (x *Roles) Reload(key string) {
	if strings.HasPrefix(key, store.StaticRolePrefix) {
		x.load.Reset()
	}
}

// stored reads a static role from storage, for whoever holds its lock. The next Get reads it, too: a process that was being
// reloaded may have written it after this one has read it first, and nobody tells.
func (x *Roles) stored(ctx context.Context, s logical.Storage, name string) (*store.StaticRole, error) {
	x.cache.Invalidate(name)
	return store.StaticRoles.Get(ctx, s, name)
}

// Get returns a static role; nil when there is none, or its deletion is under way. It is shared: nobody may change it.
func (x *Roles) Get(ctx context.Context, s logical.Storage, name string) (*store.StaticRole, error) {
	r, err := x.cache.Get(name, func() (*store.StaticRole, error) { return store.StaticRoles.Get(ctx, s, name) })
	if err != nil || r == nil || r.Deleted {
		return nil, err
	}
	return r, nil
}

// put stores a static role and notes what is due for it.
func (x *Roles) put(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	err := store.StaticRoles.PutConfirmed(ctx, s, name, r)
	switch {
	case err == nil:
		x.note(name, r)
	case errors.Is(err, store.ErrWriteUnknown): // the index does not know either
		x.load.Reset()
	}
	return err
}

// IsCurrent reports whether a token that is looked for by its nonce became a static role's current one after all: a
// process that was reloaded in the middle of the rotation may have stored it last.
func (x *Roles) IsCurrent(ctx context.Context, s logical.Storage, stamp token.Stamp) (bool, error) {
	if stamp.Kind != token.Static {
		return false, nil
	}
	r, err := store.StaticRoles.Get(ctx, s, stamp.Role)
	return r != nil && !r.Deleted && r.Current.Nonce == stamp.Nonce, err
}

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
}

// Credentials returns a static role's current token. It asks nobody: the role and its connection are in memory.
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
	return &Credentials{
		StaticToken: r.Current, URL: c.ApplicationURL,
		LastRotation: r.LastRotation, Period: period(r), TTL: ttl(r, x.mount.Now()),
	}, nil
}

// ttl is in how many seconds a role's token is to be read again: no more than its plan can have it wait, whatever a clock
// that was ahead has stored, and before InfluxDB ends it.
func ttl(r *store.StaticRole, now time.Time) int {
	wait := readAgain * time.Second
	if !r.NextRotation.IsZero() {
		next := rotation.Bounded(r.RotationPlan, r.RotationTimes, now).NextRotation
		if latest := rotation.Next(r.RotationPlan, now); !latest.IsZero() && next.After(latest) {
			next = latest
		}
		wait = next.Sub(now)
	}
	if latest := latestRotation(r); !latest.IsZero() {
		wait = min(wait, latest.Sub(now))
	}
	if wait <= 0 {
		return readSoon
	}
	return int(math.Ceil(wait.Seconds()))
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
