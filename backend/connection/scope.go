package connection

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Owner is the user that owns a token, as a role or the configuration names it. Both are empty where neither does:
// InfluxDB then takes the root token's user.
type Owner struct{ Name, ID string }

// ErrStaleName says that InfluxDB contradicts the names that were looked up before.
var ErrStaleName = errors.New("a bucket, organization or user was renamed, deleted or made anew")

// Scope finds the organization that a role's tokens belong to and the user that owns them. The names that a role gives
// are looked up; what the configuration gives was looked up when it was verified. The error tells what is wrong with both.
func (c *Connection) Scope(ctx context.Context, r *store.Role) (permission.Scope, Owner, error) {
	var (
		scope  = permission.Scope{Product: c.Product, Privileged: r.AllowPrivileged}
		orgErr error
	)
	if !c.Product.IsV2() {
		return scope, Owner{}, noTenants(r, c.Product)
	}
	if scope.OrgID, scope.OrgName, orgErr = c.OrgOf(ctx, r); orgErr != nil {
		scope.OrgID, scope.OrgName = "", ""
		if !problem.HasField(orgErr) {
			return scope, Owner{}, orgErr
		}
	}
	owner, err := c.OwnerOf(ctx, r)
	if err = errors.Join(orgErr, err); err != nil {
		return scope, Owner{}, err
	}
	scope.OwnerID = owner.ID
	if scope.OwnerID == "" {
		scope.OwnerID = c.RootUserID()
	}
	return scope, owner, nil
}

// noTenants refuses the fields of a role that name what InfluxDB 3 has not.
func noTenants(r *store.Role, product permission.Product) error {
	var problems problem.List
	for _, field := range []struct{ name, value string }{{"org", r.Org}, {"org_id", r.OrgID}, {"user", r.User}, {"user_id", r.UserID}} {
		if field.value != "" {
			problems.Add(field.name, "%s has neither organizations nor users; leave it out", product)
		}
	}
	return problems.Err()
}

// OrgOf returns the organization that a role or the configuration names. Its ID is as InfluxDB writes it, in small
// letters, however it was given: it is compared with answers, and names are cached under it.
func (c *Connection) OrgOf(ctx context.Context, r *store.Role) (id, name string, err error) {
	switch {
	case r.OrgID != "" && !permission.IsID(r.OrgID):
		return "", "", NotAnID("org_id", r.OrgID)
	case r.OrgID != "":
		name, err = c.Names.OrgName(ctx, r.OrgID)
		return strings.ToLower(r.OrgID), name, notFoundAs(err, "org_id", "no organization has the ID %s", r.OrgID)
	case r.Org != "":
		id, err = c.Names.OrgID(ctx, r.Org)
		err = notFoundAs(err, "org", "no organization %q that the root token can see", r.Org)
		return id, r.Org, c.suggest(ctx, err, r.Org, c.V2.Organizations)
	case c.Found != nil && !c.staleOrg.Load():
		return c.Found.DefaultOrgID, c.Found.DefaultOrg, nil
	case c.OrgID != "":
		name, err = c.Names.OrgName(ctx, c.OrgID)
		return strings.ToLower(c.OrgID), name, notFoundAs(err, "org_id", "no organization has the ID %s, which config names", c.OrgID)
	case c.defaultOrg() != "":
		id, err = c.Names.OrgID(ctx, c.defaultOrg())
		err = notFoundAs(err, "org", "no organization %q, which config names, that the root token can see", c.defaultOrg())
		return id, c.defaultOrg(), c.suggest(ctx, err, c.defaultOrg(), c.V2.Organizations)
	}
	return "", "", problem.InField("org", "not given, and config has no default; set org or org_id")
}

// defaultOrg is the name of the default organization, by which it can be looked up again: as it was written, or found
// where none was; "" where it was given by its ID.
func (c *Connection) defaultOrg() string {
	if c.Org == "" && c.OrgID == "" && c.Found != nil {
		return c.Found.DefaultOrg
	}
	return c.Org
}

// OrgLookupName returns the name by which OrgOf looks the organization up; "" where its ID is known otherwise.
func (c *Connection) OrgLookupName(r *store.Role) string {
	if r.Org != "" || r.OrgID != "" || c.OrgID != "" || c.Found != nil && !c.staleOrg.Load() {
		return r.Org
	}
	return c.defaultOrg()
}

// RecheckOrg returns what an error means that came up while something was looked up or issued in an organization. One
// that was found by its name, the role's or the configuration's, is looked up again, because it may have been made anew:
// then the error is ErrStaleName.
func (c *Connection) RecheckOrg(ctx context.Context, r *store.Role, scope permission.Scope, err error) error {
	if !c.Product.IsV2() || !problem.HasField(err) && !influx.Is(err, influx.MissingPermission) && !influx.Is(err, influx.Invalid) { // an outage says nothing of names
		return err
	}
	org := c.OrgLookupName(r)
	switch {
	case org != "":
		c.Names.Forget(scope.OrgID, org, "", nil)
		if id, _ := c.Names.OrgID(ctx, org); id == scope.OrgID {
			return err
		}
		if _, unknown := c.Identify(ctx); IsForeign(unknown) { // it has organizations of the same names
			return unknown
		}
	case r.OrgID != "" || !c.recheckDefaultOrg(ctx, scope.OrgID):
		return err
	}
	return fmt.Errorf("org %q: %w", cmp.Or(org, c.defaultOrg()), ErrStaleName)
}

// recheckDefaultOrg has the default organization looked up by its name from now on, where its InfluxDB does not know its
// ID any more, and reports whether that is so.
func (c *Connection) recheckDefaultOrg(ctx context.Context, id string) bool {
	if c.defaultOrg() == "" {
		return false
	}
	if _, err := c.V2.OrganizationByID(ctx, id); !influx.Is(err, influx.NotFound) {
		return false
	}
	if _, err := c.Identify(ctx); err != nil {
		return false
	}
	c.staleOrg.Store(true)
	c.Names.Forget(id, c.defaultOrg(), "", nil)
	return true
}

// Defaults returns the organization and the owner of roles that name none, which InfluxDB still knows: one that was found
// by its name and is not there any more is looked up again.
func (c *Connection) Defaults(ctx context.Context) (orgID, ownerID string, err error) {
	if !c.Product.IsV2() {
		return "", "", nil
	}
	none := &store.Role{}
	orgID, _, err = c.OrgOf(ctx, none)
	if err == nil && c.recheckDefaultOrg(ctx, orgID) {
		orgID, _, err = c.OrgOf(ctx, none)
	}
	if err != nil {
		return "", "", err
	}
	owner, err := c.OwnerOf(ctx, none)
	if err == nil && owner.Name != "" {
		if _, gone := c.V2.UserByID(ctx, owner.ID); influx.Is(gone, influx.NotFound) {
			c.Names.Forget("", "", owner.Name, nil)
			owner, err = c.OwnerOf(ctx, none)
		}
	}
	return orgID, owner.ID, err
}

// OwnerOf returns the user that a role or the configuration names.
func (c *Connection) OwnerOf(ctx context.Context, r *store.Role) (Owner, error) {
	switch {
	case r.UserID != "" && !permission.IsID(r.UserID):
		return Owner{}, NotAnID("user_id", r.UserID)
	case r.UserID != "":
		return Owner{ID: strings.ToLower(r.UserID)}, nil
	case r.User != "":
		id, err := c.Names.UserID(ctx, r.User)
		err = notFoundAs(err, "user", "no user %q that the root token can see", r.User)
		return Owner{r.User, id}, c.suggest(ctx, err, r.User, c.V2.Users)
	case c.UserID != "":
		return Owner{ID: strings.ToLower(c.UserID)}, nil
	case c.User != "":
		id, err := c.Names.UserID(ctx, c.User)
		err = notFoundAs(err, "user", "no user %q, which config names, that the root token can see", c.User)
		return Owner{c.User, id}, c.suggest(ctx, err, c.User, c.V2.Users)
	}
	return Owner{}, nil
}

// CheckOwner refuses an owner that is inactive: InfluxDB creates its tokens, and refuses each use of them. The user that
// it returns is empty where the root token may not read it, or InfluxDB has no such endpoint.
func (c *Connection) CheckOwner(ctx context.Context, owner Owner) (influx.Named, error) {
	if owner.ID == "" { // the root token's own user: else the root token would be refused
		return influx.Named{}, nil
	}
	user, err := c.V2.UserByID(ctx, owner.ID)
	switch {
	case influx.Is(err, influx.MissingPermission), influx.Is(err, influx.NoSuchPath): // it may create tokens for one all the same
		return influx.Named{}, nil
	case err != nil:
		return influx.Named{}, notFoundAs(err, "user_id", "no user has the ID %s", owner.ID)
	case user.Status == "inactive":
		return influx.Named{}, problem.InField("user", "%q is inactive: its tokens would be refused", user.Name)
	}
	return user, nil
}

// NotAnID says that what was given for the ID of an organization or a user is none.
func NotAnID(field, value string) error {
	return problem.InField(field, "%q is not an ID of 16 hexadecimal digits; a name is written to %s", problem.Clip(value), strings.TrimSuffix(field, "_id"))
}

// suggest adds to a problem with a name those that are there and look alike, where the connection is to suggest some.
func (c *Connection) suggest(ctx context.Context, err error, name string, list func(context.Context) ([]influx.Named, error)) error {
	unknown, ok := errors.AsType[*problem.Error](err)
	if !c.Suggest || !ok {
		return err
	}
	there, _ := list(ctx) // a failure here only leaves the hint out
	names := make([]string, len(there))
	for i, named := range there {
		names[i] = named.Name
	}
	suggesting := *unknown
	suggesting.Text += problem.DidYouMean(name, names)
	return &suggesting
}

// notFoundAs turns "not found" into a problem of the field that named it. A look-up that the root token may not make is
// told with the field; other errors are not the field's.
func notFoundAs(err error, field, format string, args ...any) error {
	if influx.Is(err, influx.NotFound) || influx.Is(err, influx.Invalid) {
		return problem.InField(field, format, args...)
	}
	if influx.Is(err, influx.MissingPermission) {
		return fmt.Errorf("%s: %w", field, err)
	}
	return err
}
