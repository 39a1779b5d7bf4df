// Package static looks after the static roles: one long-lived token each, rotated in place.
package static

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/keymutex"
	"vault-plugin-secrets-influxdb/backend/mint"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
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

	index index
	load  background.Once
	// locks has one holder at a time change a role.
	locks keymutex.Map
}

// New returns the static roles of a mount.
func New(m *mount.Mount, pool *connection.Pool, roles *role.Roles, minter *mint.Minter, revoker *revoke.Revoker) *Roles {
	return &Roles{mount: m, pool: pool, roles: roles, minter: minter, revoker: revoker}
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
		x.index.markDue(name, x.mount.Now())
	}
	return nil
}

// read takes the role's lock, so that what is noted is not older than what a rotation has stored meanwhile.
func (x *Roles) read(ctx context.Context, s logical.Storage, name string) error {
	unlock, err := x.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	r, err := store.StaticRoles.Get(ctx, s, name)
	if err == nil && r != nil {
		x.index.put(name, r)
	}
	return err
}

// Invalidate has the roles read again: another node has written the key.
func (x *Roles) Invalidate(key string) {
	if strings.HasPrefix(key, store.StaticRolePrefix) {
		x.load.Reset()
	}
}

// Get reads a static role; nil when there is none, or its deletion is under way.
func (x *Roles) Get(ctx context.Context, s logical.Storage, name string) (*store.StaticRole, error) {
	r, err := store.StaticRoles.Get(ctx, s, name)
	if err != nil || r == nil || r.Deleted {
		return nil, err
	}
	return r, nil
}

// put stores a static role and notes what is due for it.
func (x *Roles) put(ctx context.Context, s logical.Storage, name string, r *store.StaticRole) error {
	err := store.PutConfirmed(func() error { return store.StaticRoles.Put(ctx, s, name, r) }, func() (bool, error) {
		stored, err := store.StaticRoles.Get(ctx, s, name)
		if err != nil { // the index does not know either
			x.load.Reset()
		}
		return stored != nil && store.Same(stored, r), err
	})
	if err == nil {
		x.index.put(name, r)
	}
	return err
}

// IsCurrent reports whether a token that is looked for by its nonce became a static role's current one after all: a
// process that was reloaded in the middle of the rotation may have stored it last.
func (x *Roles) IsCurrent(ctx context.Context, s logical.Storage, stamp token.Stamp) (bool, error) {
	if stamp.Kind != token.Static {
		return false, nil
	}
	r, err := x.Get(ctx, s, stamp.Role)
	return r != nil && r.Current.Nonce == stamp.Nonce, err
}

// TokensOn returns the current tokens of static roles on a connection: the roles' names by authorization ID. What was not
// loaded is not in it.
func (x *Roles) TokensOn(connection string) map[string]string { return x.index.tokensOn(connection) }

// Uses reports whether a static role has a current or previous token on a connection, as far as they were loaded.
func (x *Roles) Uses(connection string) bool { return x.index.uses(connection) }

// LastError is why a role's last rotation failed, as far as this process knows; "" when it did not.
func (x *Roles) LastError(name string) string { return x.index.lastError(name) }

// Problems names the roles whose last rotation was skipped, and those whose last one failed as far as this process knows.
func (x *Roles) Problems() []string {
	var problems []string
	skips := x.index.skips()
	for _, name := range slices.Sorted(maps.Keys(skips)) {
		problems = append(problems, fmt.Sprintf("static role %q: the rotation that was due at %s was skipped (%s), and the old token stays; rotate-role/%s makes one now", name, problem.RFC3339(skips[name].Due), oneLine(skips[name].Reason), name))
	}
	failures := x.index.failures()
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		problems = append(problems, fmt.Sprintf("static role %q: the last rotation failed, and the old token stays; it is tried again by itself: %s", name, oneLine(failures[name])))
	}
	return problems
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
