package static

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// Seen is what a list of all tokens of a connection says of static tokens.
type Seen struct {
	// Missing are the current tokens of roles that it did not show: the roles' names by authorization ID.
	Missing map[string]string
	// Stamps are those of the mount's static tokens that it did show, by authorization ID.
	Stamps map[string]token.Stamp
	// Complete says that it was shown as a whole, and ValuesHidden that it was shown without the value of some token.
	Complete, ValuesHidden bool
}

// Reconcile does what a list of all tokens asks for: it replaces the static tokens that do not exist any more or are dead,
// and notes those that no role has.
func (x *Roles) Reconcile(ctx context.Context, s logical.Storage, c *connection.Connection, seen Seen) {
	x.findStrays(ctx, s, c, seen.Stamps)
	x.ReplaceMissing(ctx, s, c, seen.Missing)
	if seen.Complete && seen.ValuesHidden {
		x.replaceDead(ctx, s, c)
	}
}

// maxStrays bounds how many strays are noted: check names no more.
const maxStrays = 100

// findStrays notes the static tokens that no role has, and that are there.
func (x *Roles) findStrays(ctx context.Context, s logical.Storage, c *connection.Connection, stamps map[string]token.Stamp) {
	known, strays := x.tokens(), map[string]string{}
	for id, stamp := range stamps {
		if known[id] || len(strays) == maxStrays {
			continue
		}
		stray, err := x.IsStray(ctx, s, id, stamp)
		if err == nil && stray { // it may have been deleted since the list was made
			_, err = c.Client.GetAuthorization(ctx, id)
		}
		if err == nil && stray {
			strays[id] = stamp.Role
		}
	}
	x.setStrays(strays)
}

// IsStray reports whether a static token of this mount is none that a role has, or that is being made or deleted: it came
// back with an InfluxDB that was restored from a backup, and nothing would ever delete it.
func (x *Roles) IsStray(ctx context.Context, s logical.Storage, id string, stamp token.Stamp) (bool, error) {
	if stamp.Kind != token.Static || stamp.Mount != x.mount.UUID {
		return false, nil
	}
	if err := errors.Join(x.Load(ctx, s), x.revoker.Load(ctx, s)); err != nil {
		return false, err
	}
	unknown := store.Pending{Nonce: stamp.Nonce}
	if x.revoker.IsPending(id) || x.revoker.IsPending(unknown.Key()) || x.tokens()[id] || x.locks.Locked(stamp.Role) {
		return false, nil
	}
	intention, err := store.StaticIntentions.Get(ctx, s, stamp.Role)
	r, roleErr := store.StaticRoles.Get(ctx, s, stamp.Role)
	switch err := cmp.Or(err, roleErr); {
	case store.IsUnreadable(err): // it may be of this token
		return false, nil
	case err != nil || intention != nil:
		return false, err
	}
	return r == nil || !r.Deleted && r.Current.Nonce != stamp.Nonce && r.Current.AuthorizationID != id, nil
}

// DeleteStray deletes a token that IsStray, and reports whether it is one.
func (x *Roles) DeleteStray(ctx context.Context, s logical.Storage, c *connection.Connection, id string, stamp token.Stamp) (bool, error) {
	stray, err := x.IsStray(ctx, s, id, stamp)
	if err != nil || !stray {
		return false, err
	}
	if err := x.revoker.Revoke(ctx, s, store.Pending{AuthorizationID: id, Connection: c.ID, Role: stamp.Role}); err != nil {
		return true, err
	}
	x.removeStray(id)
	return true, nil
}

// replaceDead tries static tokens by their values: a downgrade of InfluxDB leaves authorizations without them. One role's
// token is tried each time, and all of them once that one is dead or the server's version went down.
func (x *Roles) replaceDead(ctx context.Context, s logical.Storage, c *connection.Connection) {
	if !x.mayRotate() {
		return
	}
	names := slices.Sorted(maps.Values(x.TokensOn(c.ID)))
	if len(names) == 0 {
		return
	}
	x.clearDead()
	one, others := x.nextToTry(names)
	dead := x.tryAll(ctx, s, c, one)
	if x.wasDowngraded(ctx, c) || len(dead) > 0 {
		dead = append(dead, x.tryAll(ctx, s, c, others)...)
	}
	x.reconcileAll(ctx, s, "", dead)
}

// wasDowngraded reports whether the server's version is lower than when it was last seen.
func (x *Roles) wasDowngraded(ctx context.Context, c *connection.Connection) bool {
	server, err := c.Client.Ping(ctx)
	if err != nil {
		return false
	}
	seen := x.seeVersion(c.ID, server.Version)
	if seen == "" && c.Found != nil {
		seen = c.Found.ServerVersion
	}
	before, errBefore := version.NewVersion(seen)
	now, errNow := version.NewVersion(server.Version)
	return errBefore == nil && errNow == nil && now.LessThan(before)
}

// tryAll tries the tokens of some roles, a few at a time, and returns those whose token is dead.
func (x *Roles) tryAll(ctx context.Context, s logical.Storage, c *connection.Connection, names []string) []string {
	var (
		mu   sync.Mutex
		dead []string
	)
	_ = background.Each(x.mount.Log, revoke.Concurrency, names, func(name string) error {
		isDead, err := x.tryValue(ctx, s, c, name)
		if err != nil {
			x.mount.Log.Warn("a static role could not be tried", "role", name, "error", err)
		}
		if isDead {
			mu.Lock()
			defer mu.Unlock()
			dead = append(dead, name)
		}
		return nil
	})
	return dead
}

// unknownToken is what InfluxDB says to a token that it does not know.
const unknownToken = "unauthorized access"

// tryValue reports whether a role's token is dead: refused as unknown by the InfluxDB that made it, nothing else.
func (x *Roles) tryValue(ctx context.Context, s logical.Storage, c *connection.Connection, name string) (bool, error) {
	r, err := x.Get(ctx, s, name)
	if err != nil || r == nil || r.Current.Connection != c.ID {
		return false, err
	}
	as := *c.Connection
	as.Token = r.Current.Token
	asRole, err := x.pool.Dial(&as)
	if err != nil {
		return false, err
	}
	defer asRole.Client.Close()
	err = verify.Accepted(ctx, asRole, r.Current.AuthorizationID)
	if refused, ok := errors.AsType[*influx.Error](err); !ok || refused.Kind != influx.BadToken || refused.Message != unknownToken {
		return false, err
	}
	if seen, err := c.Identify(ctx); err != nil || !seen {
		return false, err
	}
	x.mount.Log.Warn("InfluxDB has the authorization of a static role and does not know its token; it is replaced", "role", name, "authorization_id", r.Current.AuthorizationID)
	x.markDead(name, r.Current.AuthorizationID, problem.RFC3339(x.mount.Now()))
	return true, nil
}
