package mint

import (
	"context"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

const (
	// maxResolved is how many roles are remembered as they were resolved: those used last; and maxPermissions how many
	// permissions such a role may have, of about 100 bytes each.
	maxResolved    = 10000
	maxPermissions = 32
	// resolvedFor is how long: what a role was resolved from is remembered for longer, and has times of its own.
	resolvedFor = time.Minute
)

// resolved is what a role without templates grants, and how that is worded. It holds as long as everything that it was
// made from is the same: a role that is written, or invalidated, is another one in memory, a new configuration another
// connection, and what a mint found to be stale counts.
type resolved struct {
	origin
	until       time.Time
	permissions []permission.Permission
	wording     string
}

// origin is what a role is resolved from.
type origin struct {
	role       *store.Role
	connection *connection.Connection
	stale      int64
	scope      permission.Scope
}

// resolutions are those of a mount's roles, by name.
type resolutions struct{ roles *lru.Cache[string, *resolved] }

func newResolutions() *resolutions {
	roles, _ := lru.New[string, *resolved](maxResolved) // its one error is a size below 1
	return &resolutions{roles: roles}
}

// of returns what a token is to hold, and the wording of that: all that the role grants, or just what the request names
// of it.
func (r *resolutions) of(ctx context.Context, c *connection.Connection, o *Order, scope permission.Scope, now time.Time) ([]permission.Permission, string, error) {
	granted, wording, err := r.granted(ctx, c, o, scope, now)
	switch {
	case o.Narrow.Empty():
		return granted, wording, err
	case err != nil: // the fields that it names are the role's, and not the request's
		return nil, "", fmt.Errorf("role %q: %w", o.Name, err)
	}
	narrowed, err := o.narrowed(ctx, granted, scope, c.Names)
	return narrowed, permission.Describe(permission.Custom, narrowed), err
}

// granted returns what the role grants, and the wording of that.
func (r *resolutions) granted(ctx context.Context, c *connection.Connection, o *Order, scope permission.Scope, now time.Time) ([]permission.Permission, string, error) {
	shared := o.Kind == token.Lease && !o.Templated
	from := origin{role: o.Role, connection: c, stale: c.Names.Forgotten(), scope: scope}
	if shared {
		if known, _ := r.roles.Get(o.Name); known != nil && known.holds(&from, now) {
			return known.permissions, known.wording, nil
		}
	}
	permissions, err := permission.Resolve(ctx, o.Role.Definition().AsStored(), scope, c.Names)
	if err != nil {
		return nil, "", err
	}
	wording := permission.Describe(o.Role.TokenType, permissions)
	if shared && len(permissions) <= maxPermissions {
		r.roles.Add(o.Name, &resolved{from, now.Add(resolvedFor), permissions, wording})
	}
	return permissions, wording, nil
}

// holds reports whether what is known is what would be resolved now.
func (r *resolved) holds(from *origin, now time.Time) bool {
	return r.role == from.role && r.connection == from.connection && r.stale == from.stale && r.scope.Same(from.scope) &&
		!now.After(r.until) && !now.Before(r.until.Add(-resolvedFor))
}
