package role

import (
	"context"
	"errors"
	"slices"
	"strings"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// DryRun finds everything in a role that would fail a mint: names that do not exist, an owner that is switched off,
// permissions that the root token does not hold. Names that depend on the caller are left out.
func (r *Roles) DryRun(ctx context.Context, c *connection.Connection, role *store.Role) ([]string, error) {
	anyOwner := IsTemplate(role.User)
	if anyOwner {
		general := *role
		general.User = ""
		role = &general
	}
	scope, owner, err := c.Scope(ctx, role)
	if err == nil {
		_, err = c.CheckOwner(ctx, owner)
	}
	if err != nil && !problem.HasField(err) {
		return nil, err
	}
	problems := problem.List{err}
	grants, _ := role.Definition().Grants() // what is malformed comes with what is resolved
	types, err := c.Names.ResourceTypes(ctx)
	if err != nil {
		return nil, err
	}
	if scope.Product.IsV2() { // another product's are all unknown, which is said of their fields
		problems = append(problems, permission.CheckTypes(grants, types)...)
	}
	if scope.OrgID == "" && scope.Product.IsV2() { // there is nowhere to look
		return nil, problems.Err()
	}
	permissions, err := permission.Resolve(ctx, role.Definition().AsStored(), scope, &suggesting{Names: c.Names, client: c.V2})
	if err != nil && !problem.HasField(err) {
		return nil, err
	}
	problems = append(problems, err)
	if problems[0] != nil { // for an owner that is not there InfluxDB refuses everything
		return nil, problems.Err()
	}
	permissions = slices.DeleteFunc(permissions, func(p permission.Permission) bool {
		return IsTemplate(p.Name) || !slices.Contains(types, p.Type) && p.Type != permission.Admin
	})
	if len(permissions) == 0 { // every name depends on the caller: the owner is tried with the least there is
		permissions = append(permissions, token.MinimalGrant(scope.OrgID))
	}
	err = r.findMissingGrants(ctx, c, scope, owner.ID, permissions)
	if err != nil && !problem.HasField(err) {
		return nil, errors.Join(problems.Err(), err)
	}
	problems = append(problems, err)
	if anyOwner || !scope.Product.IsV2() {
		return nil, problems.Err()
	}
	return warnRootOwner(c, role, owner), problems.Err()
}

// CheckLife refuses a role whose leases can last for longer than the InfluxDB of a connection takes for an end: InfluxDB 3 ends
// tokens itself.
func (r *Roles) CheckLife(config *store.Connection, role *store.Role) error {
	c, err := r.pool.Open(config)
	if err != nil || c.V3 == nil {
		return err
	}
	ttls, err := lease.Limits(role, r.mount.System)
	if err == nil && ttls.Max+mount.DeadlineMargin > c.V3.LongestLife() {
		return problem.InField("max_ttl", "a lease of this role can live for %s; InfluxDB 3 takes a token that ends later than in 100 years for one that never ends; set max_ttl to less", ttls.Max)
	}
	return err
}

// maxProbes bounds how often InfluxDB is asked what else the root token lacks: it names one permission at a time.
const maxProbes = 100

// findMissingGrants asks InfluxDB itself whether the root token can grant permissions to an owner: it creates a token that
// can't be used, and deletes it. Each refusal names one permission; what is left is asked for again, until all that is
// missing is known.
func (r *Roles) findMissingGrants(ctx context.Context, c *connection.Connection, scope permission.Scope, ownerID string, permissions []permission.Permission) error {
	var problems problem.List
	permissions = slices.Clone(permissions)
	for range maxProbes {
		if len(permissions) == 0 {
			return problems.Err()
		}
		err := r.issuer.Try(ctx, c, token.Location{OrgID: scope.OrgID, UserID: ownerID}, permissions...)
		refused, ok := errors.AsType[*influx.Error](err)
		if !ok {
			return errors.Join(problems.Err(), err)
		}
		missing := slices.IndexFunc(permissions, func(p permission.Permission) bool { return p.String() == refused.Permission })
		unknown, noDatabase := NoDatabase(permissions, err)
		switch {
		case noDatabase != nil:
			problems = append(problems, noDatabase)
			permissions = slices.DeleteFunc(permissions, func(q permission.Permission) bool { return q.ID == unknown })
		case refused.Kind == influx.Forbidden && missing >= 0:
			p := permissions[missing]
			problems.Add(p.Place.String(), "the root token does not hold %s, so it can't grant it; see docs/root-token.md", p.Words(scope))
			permissions = slices.DeleteFunc(permissions, func(q permission.Permission) bool { return q.String() == refused.Permission })
		case refused.Kind == influx.MissingPermission:
			return errors.Join(problems.Err(), problem.BadInput("the root token lacks %s, needed to create tokens of this role; see docs/root-token.md", refused.Permission))
		default:
			return errors.Join(problems.Err(), err)
		}
	}
	return errors.Join(problems.Err(), problem.BadInput("and perhaps more: after %d permissions that the root token does not hold, InfluxDB was not asked on", maxProbes))
}

// NoDatabase returns the database that err, of a token that was asked for, says is not there, and an error that names the
// field it stands in; nil where it says something else. Its documentation has no answer for that; the shared source of Core's
// catalog says "invalid resource name", and Core answers with 404 for what is not there.
func NoDatabase(permissions []permission.Permission, err error) (name string, problemOf error) {
	refused, ok := errors.AsType[*influx.Error](err)
	if !ok || refused.Kind != influx.NotFound && !strings.Contains(refused.Message, "invalid resource name") {
		return "", nil
	}
	for _, p := range permissions {
		if p.Type == permission.Databases && p.ID != "" && strings.HasSuffix(refused.Message, " "+p.ID) {
			return p.ID, problem.InField(p.Place.String(), "no database %q; a token can be made for databases that exist, so that it has to be made first", p.ID)
		}
	}
	return "", nil
}

// warnRootOwner warns where a privileged token would leave something behind that runs with the rights of the root token's
// own user.
func warnRootOwner(c *connection.Connection, role *store.Role, owner connection.Owner) []string {
	if len(role.Definition().Privileged("")) == 0 || owner.ID != "" && owner.ID != c.RootUserID() {
		return nil
	}
	return []string{"user: the owner of this role's privileged tokens is the root token's own user; what they leave behind runs with its rights. Set user to one that is made for it"}
}

// MissingGrants says what of a role the root token can't grant, where held are the permissions that it holds. A look-up
// that fails says nothing of the role.
func MissingGrants(ctx context.Context, c *connection.Connection, role *store.Role, held []permission.Permission) error {
	scope, _, err := c.Scope(ctx, role)
	var permissions []permission.Permission
	if err == nil {
		permissions, err = permission.Resolve(ctx, role.Definition().AsStored(), scope, c.Names)
	}
	if failed, ok := errors.AsType[*influx.Error](err); ok && failed.Kind != influx.MissingPermission {
		return nil
	}
	if err != nil {
		return err
	}
	var problems problem.List
	for _, p := range permission.Missing(held, permissions) {
		problems.Add(p.Place.String(), "the root token does not hold %s; see docs/root-token.md", p.Words(scope))
	}
	return problems.Err()
}

// suggesting is a permission.Directory that looks for similar names where one is not found.
type suggesting struct {
	*connection.Names
	client  *influx.Client
	buckets []influx.Named
	// searches counts the names that look-alikes were searched for.
	searches int
}

// For how many names look-alikes are searched, and among how many buckets.
const (
	maxSearches = 20
	maxSearched = 1000
)

// BucketID adds look-alikes to a *permission.NoBucket error.
func (s *suggesting) BucketID(ctx context.Context, orgID, name string) (string, error) {
	if IsTemplate(name) { // which bucket it is depends on the caller
		return name, nil
	}
	id, err := s.Names.BucketID(ctx, orgID, name)
	none, ok := errors.AsType[*permission.NoBucket](err)
	if !ok {
		return id, err
	}
	if s.searches++; s.searches > maxSearches {
		return "", none
	}
	if s.buckets == nil {
		// A failure here only leaves the hint out.
		s.buckets, _ = s.client.Buckets(ctx, orgID, maxSearched)
	}
	var names []string
	for _, bucket := range s.buckets {
		names = append(names, bucket.Name)
	}
	return "", &permission.NoBucket{Similar: problem.Similar(name, names)}
}
