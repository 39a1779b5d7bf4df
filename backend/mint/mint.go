// Package mint makes tokens for roles.
package mint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// Minter makes the tokens of one mount's roles.
type Minter struct {
	mount   *mount.Mount
	pool    *connection.Pool
	roles   *role.Roles
	issuer  *token.Issuer
	revoker *revoke.Revoker
	counter *lease.Counter
	gate    gate
	// resolutions are what roles were resolved to.
	resolutions *resolutions
}

// New makes a Minter.
func New(m *mount.Mount, pool *connection.Pool, roles *role.Roles, issuer *token.Issuer, revoker *revoke.Revoker, counter *lease.Counter) *Minter {
	return &Minter{mount: m, pool: pool, roles: roles, issuer: issuer, revoker: revoker, counter: counter, resolutions: newResolutions()}
}

// Request asks for a token under a lease.
type Request struct {
	Role string
	// MountPath is the mount's path, with a slash at its end.
	MountPath string
	// TTL is the lease's first one; 0 means the role's.
	TTL    time.Duration
	Narrow permission.Definition
	Caller *role.Caller
}

// Token is a token that was minted.
type Token struct {
	Connection *connection.Connection
	// Authorization is InfluxDB's answer: the one place that holds the token's value.
	Authorization *influx.Authorization
	Permissions   []permission.Permission
	// Org and OrgID are the organization that the token belongs to.
	Org, OrgID string

	// Lease, TTLs, Warnings and Templated belong to a token under a lease.
	Lease    lease.Data
	TTLs     lease.TTLs
	Warnings []string
	// Templated says that what the token may do depends on the caller.
	Templated bool
}

// Lease makes a token for a role under a lease. The role's max_leases bounds how many live at once. Where the role was
// changed while its token was being made, it is made anew, once.
func (m *Minter) Lease(ctx context.Context, s logical.Storage, r Request) (*Token, error) {
	m.gate.begin()
	defer func() { m.gate.end(m.mount.Now()) }()
	t, err := m.leaseOnce(ctx, s, r)
	if errors.Is(err, errRoleChanged) && !errors.Is(err, revoke.ErrNotRecorded) && ctx.Err() == nil {
		return m.leaseOnce(ctx, s, r)
	}
	return t, err
}

func (m *Minter) leaseOnce(ctx context.Context, s logical.Storage, r Request) (*Token, error) {
	if m.isTainted() {
		return nil, errTainted
	}
	stored, err := m.roles.Get(ctx, s, r.Role)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		return nil, role.NoRole(r.Role, r.MountPath)
	}
	ttls, err := lease.Limits(stored, m.mount.System)
	if err != nil {
		return nil, err
	}
	ttls, warnings := ttls.WithRequested(r.TTL)
	reservation, ok := m.counter.Reserve(r.Role, stored.MaxLeases, m.mount.Now())
	if !ok {
		return nil, problem.TooManyRequests("role %q has %d live tokens, its max_leases; a client that reads creds/ again and again should read static-creds/", r.Role, stored.MaxLeases)
	}
	defer reservation.Release()
	deadline := m.mount.Now().Add(ttls.Max + mount.DeadlineMargin)
	rendered, err := role.Render(stored, r.Caller)
	if err != nil {
		return nil, err
	}
	t, err := m.Mint(ctx, s, Order{Name: r.Role, Role: rendered, Templated: rendered != stored, MountPath: r.MountPath, Caller: r.Caller, Narrow: r.Narrow, Kind: token.Lease, Deadline: deadline})
	if err != nil {
		return nil, err
	}
	t.Lease = lease.Data{AuthorizationID: t.Authorization.ID, Connection: t.Connection.ID, Role: r.Role, Deadline: deadline}
	t.TTLs, t.Warnings, t.Templated = ttls, warnings, rendered != stored
	if err := m.finish(ctx, s, t, stored); err != nil {
		return nil, errors.Join(err, m.revoker.Discard(ctx, s, t.Connection, r.Role, t.Authorization.ID))
	}
	reservation.Commit(t.Lease, t.TTLs.Initial, m.mount.Now())
	return t, nil
}

// finish cuts the lease's TTLs to what is left of them, and fails where the token must not be handed out after all.
func (m *Minter) finish(ctx context.Context, s logical.Storage, t *Token, stored *store.Role) error {
	// The lease starts now, and a slow mint must not use the margin up; a quick one takes nothing from the lease.
	var ok bool
	if t.TTLs, ok = t.TTLs.EndBy(t.Lease.Deadline.Add(-mount.DeadlineMargin/2), m.mount.Now()); !ok {
		return errTooSlow
	}
	current, err := m.roles.Get(ctx, s, t.Lease.Role)
	switch {
	case err != nil:
		return err
	case current != stored && !store.Same(current, stored):
		return errRoleChanged
	case m.isTainted():
		return errTainted
	}
	return nil
}

var (
	errTooSlow     = problem.BadGateway(nil, "InfluxDB took so long to make the token that nothing is left of the longest lease that the role and the mount allow; the token is not handed out. Try again")
	errRoleChanged = problem.BadInput("the role was changed meanwhile; the token is not handed out. Try again")
)

// Order is what a token is made from.
type Order struct {
	// Name is the role's, and Role has its templates filled in.
	Name string
	Role *store.Role
	// Templated says that Role is one for this order alone.
	Templated bool
	MountPath string
	// Caller is who asks for the token; nil where nobody does.
	Caller *role.Caller
	// Narrow is what the token is to hold of the role's permissions; empty means all of them.
	Narrow permission.Definition
	// Kind and Nonce stand in the token's stamp, as in a token.Spec.
	Kind, Nonce string
	Deadline    time.Time
}

// Mint makes a token: with warm caches one call, and no write to storage. Where names turn out to be stale it starts
// over, once; where the root token was replaced meanwhile, as often as it was.
func (m *Minter) Mint(ctx context.Context, s logical.Storage, o Order) (*Token, error) {
	c, err := m.pool.Current(ctx, s, o.MountPath)
	if err != nil {
		return nil, err
	}
	for first := true; ; first = false {
		t, err := m.mintOnce(ctx, s, c, &o)
		var unknown *token.UnknownOutcome
		if err == nil || errors.As(err, &unknown) || errors.Is(err, revoke.ErrNotRecorded) { // a second token of one nonce would hide the first
			return t, err
		}
		if ctx.Err() != nil { // a caller that hung up says nothing of the configuration
			return nil, err
		}
		// Any error may be a replaced root token's: an inactive one is shown no bucket and no user.
		m.pool.Invalidate(store.ConfigKey)
		current, readErr := m.pool.Current(ctx, s, o.MountPath)
		switch {
		case readErr == nil && current.Revision != c.Revision:
			c = current
		case !first || !isStaleName(err):
			return nil, err
		}
	}
}

// isStaleName reports whether a mint may have failed because of cached names, which are not cached any more by now. The
// last two are how InfluxDB answers for an organization or a user that is gone.
func isStaleName(err error) bool {
	return errors.Is(err, connection.ErrStaleName) || influx.Is(err, influx.Invalid) || influx.Is(err, influx.MissingPermission)
}

func (m *Minter) mintOnce(ctx context.Context, s logical.Storage, c *connection.Connection, o *Order) (*Token, error) {
	scope, owner, err := c.Scope(ctx, o.Role)
	if err != nil {
		return nil, err
	}
	permissions, wording, err := m.resolutions.of(ctx, c, o, scope, m.mount.Now())
	if err != nil {
		return nil, c.RecheckOrg(ctx, o.Role, scope, err)
	}
	text, err := o.description(wording)
	if err != nil {
		return nil, err
	}
	created, err := m.issuer.Create(ctx, c, token.Spec{
		Kind: o.Kind, Nonce: o.Nonce, Role: o.Name, Text: text, Permissions: permissions,
		OrgID: scope.OrgID, OwnerID: owner.ID, Deadline: o.Deadline,
	})
	if _, noDatabase := role.NoDatabase(permissions, err); noDatabase != nil {
		return nil, noDatabase
	}
	org := c.OrgLookupName(o.Role)
	if err == nil {
		err = c.CheckIssued(ctx, created, owner.ID)
	}
	if err == nil {
		if stale := staleName(org, owner.Name, permissions, created); stale != "" {
			err = fmt.Errorf("%s: %w", stale, connection.ErrStaleName)
		}
	}
	if err != nil {
		if isStaleName(err) || influx.Is(err, influx.Forbidden) || connection.IsForeign(err) { // an outage, or a caller that hung up, says nothing of names
			c.Names.Forget(scope.OrgID, org, owner.Name, permissions)
		}
		err = c.RecheckOrg(ctx, o.Role, scope, err)
		if created != nil {
			err = errors.Join(err, m.revoker.Discard(ctx, s, c, o.Name, created.ID))
		}
		return nil, m.revoker.RecordUnknown(ctx, s, c, o.Name, err)
	}
	return &Token{Connection: c, Authorization: created, Permissions: permissions, Org: cmp.Or(created.Org, scope.OrgName), OrgID: scope.OrgID}, nil
}

// narrowed is what the request names of what the role grants.
func (o *Order) narrowed(ctx context.Context, granted []permission.Permission, scope permission.Scope, names permission.Directory) ([]permission.Permission, error) {
	scope.Within = granted
	narrowed, err := permission.Resolve(ctx, o.Narrow, scope, names)
	if err != nil {
		return nil, err
	}
	missing := permission.Missing(granted, narrowed)
	if len(missing) == 0 {
		return narrowed, nil
	}
	problems := make([]string, len(missing))
	for i, p := range missing {
		problems[i] = fmt.Sprintf("%s: role %q does not cover %s", p.Place, o.Name, p.Words(scope))
	}
	return nil, problem.BadInput("%s", strings.Join(problems, "\n"))
}

// description is the token's, in front of its stamp.
func (o *Order) description(wording string) (string, error) {
	return role.Description{
		Template: o.Role.Description, Permissions: wording,
		Mount: o.MountPath, Role: o.Name, Static: o.Kind == token.Static, Caller: o.Caller,
	}.Render()
}

// staleName compares what was asked for by name with what InfluxDB says it granted: it echoes the name of each bucket
// that exists, the organization's and the owner's. It returns what differs, or "".
func staleName(org, user string, asked []permission.Permission, created *influx.Authorization) string {
	if org != "" && created.Org != "" && created.Org != org {
		return fmt.Sprintf("org %q", org)
	}
	if user != "" && created.User != "" && created.User != user {
		return fmt.Sprintf("user %q", user)
	}
	echoed := make(map[string]string, len(created.Permissions))
	for _, p := range created.Permissions {
		if p.Resource.ID != "" && p.Resource.Name != "" {
			echoed[p.Resource.ID] = p.Resource.Name
		}
	}
	for _, p := range asked {
		if p.Type == permission.Buckets && p.ID != "" && echoed[p.ID] != p.Name {
			return fmt.Sprintf("bucket %q", p.Name)
		}
	}
	return ""
}

// Names are the names of the things of a type that the token may read or write; * for all of them.
func (t *Token) Names(action, resourceType string) []string {
	names := []string{}
	for _, p := range t.Permissions {
		switch {
		case p.Type != resourceType || p.Action != action:
		case p.ID == "":
			names = append(names, permission.All)
		default:
			names = append(names, p.Name)
		}
	}
	return names
}
