package permission

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// Directory looks things up in one InfluxDB.
type Directory interface {
	// BucketID finds a bucket of an organization by its exact name; a *NoBucket error says that there is none.
	BucketID(ctx context.Context, orgID, name string) (string, error)
	// Bucket reads the name and the organization of a bucket; a *NoBucket error says that there is none.
	Bucket(ctx context.Context, id string) (name, orgID string, err error)
	// ResourceOrg reads which organization a resource of another type belongs to, hopefully orgID; a *NoResource
	// error says that there is none, or that the server can't be asked.
	ResourceOrg(ctx context.Context, orgID, resourceType, id string) (string, error)
	// ResourceTypes lists the types that the server knows.
	ResourceTypes(ctx context.Context) ([]string, error)
}

// NoBucket says that a bucket does not exist.
type NoBucket struct {
	// Similar are buckets of the same organization that look alike, if anyone looked.
	Similar []string
}

func (*NoBucket) Error() string { return "no such bucket" }

// NoResource says that the organization of a resource can't be told.
type NoResource struct{}

func (*NoResource) Error() string { return "no such resource, or none that can be asked for" }

// Scope is what a role's permissions are relative to.
type Scope struct {
	// Product is the InfluxDB's; empty means V2. Organization and owner are InfluxDB 2's.
	Product Product
	// OrgID and OrgName are the organization's.
	OrgID, OrgName string
	// OwnerID is the user that will own the token; needed for permissions on users only.
	OwnerID string
	// Privileged allows what leaves the organization.
	Privileged bool
	// Within are the permissions that what is resolved has to be part of; nil for none.
	Within []Permission
}

// Same reports whether the same definition is resolved alike in two scopes.
func (s Scope) Same(other Scope) bool {
	return s.Product == other.Product && s.OrgID == other.OrgID && s.OrgName == other.OrgName && s.OwnerID == other.OwnerID && s.Privileged == other.Privileged &&
		s.Within == nil && other.Within == nil
}

// leaves reports whether a single resource may lie in another organization: where it has to be part of other
// permissions, one of them has to name it, or to be for every organization.
func (s Scope) leaves(p Permission) bool {
	return s.Within == nil || slices.ContainsFunc(s.Within, func(held Permission) bool {
		return held.kind() == p.kind() && (held.ID == p.ID || held.global())
	})
}

// Resolve says what InfluxDB is to be asked for, in normal form. The error holds every problem of the
// definition, each with its field; or the one look-up that failed.
func Resolve(ctx context.Context, d Definition, scope Scope, directory Directory) ([]Permission, error) {
	grants, malformed := d.Grants()
	if d.size() > MaxGrants { // InfluxDB is not asked about so many
		return nil, malformed
	}
	if scope.Within != nil && scope.Product == Core {
		return nil, problem.InField(d.longest(), "a token of %s may do everything, and can't be narrowed; leave it out", Core)
	}
	if foreign := append(d.foreign(scope.Product), d.misshapen(scope.Product)...); len(foreign) > 0 {
		return nil, append(problem.List{malformed}, foreign...).Err()
	}
	if !scope.Product.IsV2() {
		return resolve3(d, grants), malformed
	}
	if scope.OrgID == "" {
		return nil, problem.InField("org", "the organization's ID is not known")
	}
	scope.OrgID, scope.OwnerID = strings.ToLower(scope.OrgID), strings.ToLower(scope.OwnerID) // as InfluxDB answers them
	r := resolution{scope: scope, directory: directory, permissions: make([]Permission, 0, len(grants))}
	var err error
	switch {
	case d.whole():
		err = r.whole(ctx, d.TokenType)
	case d.Cloned != nil:
		err = r.clone(ctx, d.Cloned)
	default:
		err = r.list(ctx, grants)
	}
	if err != nil {
		return nil, err
	}
	return Normal(r.permissions), append(problem.List{malformed}, r.problems...).Err()
}

// resolution is a definition being resolved.
type resolution struct {
	scope       Scope
	directory   Directory
	permissions []Permission
	problems    problem.List
}

func (r *resolution) list(ctx context.Context, grants []Grant) error {
	for _, g := range grants {
		if err := r.add(ctx, g); err != nil {
			return fmt.Errorf("%s: %w", g.Place, err)
		}
	}
	return nil
}

// add resolves one grant. What is wrong with it is noted; an error is a look-up that failed.
func (r *resolution) add(ctx context.Context, g Grant) error {
	if g.Org != "" && !strings.EqualFold(g.Org, r.scope.OrgID) && g.Org != r.scope.OrgName {
		r.problem(g, "organization %q is not the role's (%q, %s); a token belongs to one organization", g.Org, r.scope.OrgName, r.scope.OrgID)
		return nil
	}
	switch {
	case g.Type == All:
		return r.everyType(ctx, g)
	case g.AllOrgs:
		r.grant(Permission{Action: g.Action, Type: g.Type, Place: g.Place})
	case g.Type == Buckets && g.Name != "":
		return r.bucketNamed(ctx, g)
	case g.Type == Buckets && g.ID != "":
		return r.bucketWithID(ctx, g)
	case g.ID == "":
		r.inOrg(g.Place, g.Action, g.Type)
	default:
		return r.resourceWithID(ctx, g)
	}
	return nil
}

// resourceWithID grants one resource. InfluxDB compares IDs alone, so that the ID of another organization's
// resource would reach it: where it belongs is looked up, unless leaving the organization is allowed. What has to be
// part of other permissions leaves it only with one that does so itself: all of a type in the organization does not.
func (r *resolution) resourceWithID(ctx context.Context, g Grant) error {
	p := Permission{Action: g.Action, Type: g.Type, ID: g.ID, OrgID: r.scope.OrgID, Place: g.Place}
	inside, elsewhere := true, r.scope.Privileged
	switch {
	case g.Type == Orgs:
		p.OrgID, inside = "", g.ID == r.scope.OrgID
	case g.Type == Users:
		p.OrgID, inside = "", g.ID == r.scope.OwnerID
	case !elsewhere || !r.scope.leaves(p):
		elsewhere = false
		orgID, err := r.directory.ResourceOrg(ctx, r.scope.OrgID, g.Type, g.ID)
		if _, none := errors.AsType[*NoResource](err); err != nil && !none {
			return err
		}
		inside = err == nil && orgID == r.scope.OrgID
	}
	switch {
	case inside, elsewhere:
		r.grant(p)
	case r.scope.Within != nil:
		r.problem(g, "%s %s can't be seen to be of org %q; if it is meant all the same, the role has to name it by this ID", g.Type, g.ID, r.scope.OrgName)
	default:
		r.problem(g, "%s %s can't be seen to be of org %q; if it is meant all the same, set allow_privileged=true", g.Type, g.ID, r.scope.OrgName)
	}
	return nil
}

func (r *resolution) grant(p Permission) { r.permissions = append(r.permissions, p) }
func (r *resolution) problem(g Grant, format string, args ...any) {
	r.problems = append(r.problems, g.problem(format, args...))
}

func (r *resolution) everyType(ctx context.Context, g Grant) error {
	types, err := r.directory.ResourceTypes(ctx)
	if err != nil {
		return err
	}
	for _, t := range grantable(types) {
		r.inOrg(g.Place, g.Action, t)
	}
	return nil
}

func (r *resolution) bucketNamed(ctx context.Context, g Grant) error {
	id, err := r.directory.BucketID(ctx, r.scope.OrgID, g.Name)
	if err == nil {
		r.grant(Permission{Action: g.Action, Type: Buckets, ID: id, OrgID: r.scope.OrgID, Name: g.Name, Place: g.Place})
		return nil
	}
	none, ok := errors.AsType[*NoBucket](err)
	if !ok {
		return err
	}
	r.problem(g, "%s", noBucketNamed(g.Name, r.scope.OrgName, none.Similar))
	return nil
}

func (r *resolution) bucketWithID(ctx context.Context, g Grant) error {
	name, orgID, err := r.directory.Bucket(ctx, g.ID)
	_, none := errors.AsType[*NoBucket](err)
	switch {
	case none:
		r.problem(g, "no bucket has the ID %s", g.ID)
		return nil
	case err == nil && orgID != r.scope.OrgID:
		r.problem(g, "bucket %s belongs to another organization (%s), not to %q", g.ID, orgID, r.scope.OrgName)
	case err == nil:
		r.grant(Permission{Action: g.Action, Type: Buckets, ID: g.ID, OrgID: orgID, Name: name, Place: g.Place})
	}
	return err
}

// inOrg grants all of a type: InfluxDB checks orgs and users by ID alone, so that there the organization
// itself and the owner stand for all. An ID that is not known must not be left out: without one the
// permission would be for every organization and every user.
func (r *resolution) inOrg(at Place, action, resourceType string) {
	p := Permission{Action: action, Type: resourceType, OrgID: r.scope.OrgID, Place: at}
	switch resourceType {
	case Orgs:
		p.ID, p.OrgID = r.scope.OrgID, ""
	case Users:
		p.ID, p.OrgID = r.scope.OwnerID, ""
	}
	if p.global() {
		if at.List == tokenTypeField && action == Write { // said for reading
			return
		}
		r.problems = append(r.problems, problem.InField(at.String(), "the token's owner is not known; set user or user_id, in the role or in config"))
		return
	}
	r.grant(p)
}

func noBucketNamed(name, org string, similar []string) string {
	if IsID(name) {
		return fmt.Sprintf("no bucket named %q; if this is an ID write id:%s", name, name)
	}
	text := fmt.Sprintf("no bucket %q in org %q", name, org)
	if len(similar) > 0 {
		text += "; buckets there that look alike: " + strings.Join(similar, ", ")
	}
	return text
}

// whole grants what influx auth create --all-access and --operator ask for (influx-cli 2.8.0,
// clients/auth/auth.go): every type that the server lists, but instance.
func (r *resolution) whole(ctx context.Context, tokenType string) error {
	types, err := r.directory.ResourceTypes(ctx)
	if err != nil {
		return err
	}
	at := Place{List: tokenTypeField}
	for _, t := range grantable(types) {
		for _, action := range []string{Read, Write} {
			switch {
			case tokenType == Operator:
				r.grant(Permission{Action: action, Type: t, Place: at})
			case t == Orgs && action == Write: // an all-access token may not rename its organization
			default:
				r.inOrg(at, action, t)
			}
		}
	}
	return nil
}

// clone grants the copied permissions, with the present names of their buckets: InfluxDB echoes a bucket's
// name, and one that it does not echo is gone.
func (r *resolution) clone(ctx context.Context, cloned []Permission) error {
	for i, p := range cloned {
		p.Place = Place{"clone_from", i}
		var err error
		switch g := (Grant{Place: p.Place, Action: p.Action, Type: p.Type, ID: p.ID}); {
		case p.OrgID != "" && p.OrgID != r.scope.OrgID:
			r.problem(g, "%s is not of org %q, to which this role's tokens belong; clone a token of that organization", p, r.scope.OrgName)
		case p.ID == "":
			r.grant(p)
		case p.Type == Buckets:
			err = r.bucketWithID(ctx, g)
		default:
			err = r.resourceWithID(ctx, g)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Place, err)
		}
	}
	return nil
}
