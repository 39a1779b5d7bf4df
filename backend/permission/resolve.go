package permission

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Directory looks things up in one InfluxDB.
type Directory interface {
	// BucketID finds a bucket of an organization by its exact name; a *NoBucket error says that there is none.
	BucketID(ctx context.Context, orgID, name string) (string, error)
	// Bucket reads the name and the organization of a bucket; a *NoBucket error says that there is none.
	Bucket(ctx context.Context, id string) (name, orgID string, err error)
	// ResourceTypes lists the types that the server knows.
	ResourceTypes(ctx context.Context) ([]string, error)
}

// NoBucket says that a bucket does not exist.
type NoBucket struct {
	// Similar are buckets of the same organization that look alike, if anyone looked.
	Similar []string
}

func (*NoBucket) Error() string { return "no such bucket" }

// Scope is what a role's permissions are relative to.
type Scope struct {
	// OrgID and OrgName are the organization's.
	OrgID, OrgName string
	// OwnerID is the user that will own the token; needed for permissions on users only.
	OwnerID string
}

// Resolve says what InfluxDB is to be asked for. The error holds every problem of the definition, each with
// its field; or the one look-up that failed.
func Resolve(ctx context.Context, d Definition, scope Scope, directory Directory) ([]Permission, error) {
	grants, err := d.Grants()
	if err != nil {
		return nil, err
	}
	if d.whole() {
		return resolveWhole(ctx, d.TokenType, scope, directory)
	}
	var (
		permissions []Permission
		problems    Problems
	)
	for _, g := range grants {
		resolved, err := resolve(ctx, g, scope, directory)
		var problem *Problem
		switch {
		case errors.As(err, &problem):
			problems = append(problems, err)
		case err != nil:
			return nil, err
		}
		permissions = append(permissions, resolved...)
	}
	return permissions, problems.Err()
}

func resolve(ctx context.Context, g Grant, scope Scope, directory Directory) ([]Permission, error) {
	if g.Org != "" && !strings.EqualFold(g.Org, scope.OrgID) && g.Org != scope.OrgName {
		return nil, g.problem("organization %q is not the role's (%q, %s); a token belongs to one organization", g.Org, scope.OrgName, scope.OrgID)
	}
	switch {
	case g.Type == All:
		types, err := directory.ResourceTypes(ctx)
		if err != nil {
			return nil, err
		}
		var all []Permission
		for _, t := range grantable(types) {
			all = append(all, inOrg(g.Action, t, scope))
		}
		return all, nil
	case g.AllOrgs:
		return []Permission{{Action: g.Action, Type: g.Type}}, nil
	case g.Type == Buckets && (g.Name != "" || g.ID != ""):
		return resolveBucket(ctx, g, scope, directory)
	case g.ID == "":
		return []Permission{inOrg(g.Action, g.Type, scope)}, nil
	case g.Type == Orgs || g.Type == Users:
		return []Permission{{Action: g.Action, Type: g.Type, ID: g.ID}}, nil
	}
	return []Permission{{Action: g.Action, Type: g.Type, ID: g.ID, OrgID: scope.OrgID}}, nil
}

// inOrg is the permission for all of a type: InfluxDB checks orgs and users by ID alone, so that there the
// organization itself and the owner stand for all.
func inOrg(action, resourceType string, scope Scope) Permission {
	switch resourceType {
	case Orgs:
		return Permission{Action: action, Type: Orgs, ID: scope.OrgID}
	case Users:
		return Permission{Action: action, Type: Users, ID: scope.OwnerID}
	}
	return Permission{Action: action, Type: resourceType, OrgID: scope.OrgID}
}

func resolveBucket(ctx context.Context, g Grant, scope Scope, directory Directory) ([]Permission, error) {
	p := Permission{Action: g.Action, Type: Buckets, ID: g.ID, OrgID: scope.OrgID, Name: g.Name}
	var (
		none *NoBucket
		err  error
	)
	if g.ID == "" {
		p.ID, err = directory.BucketID(ctx, scope.OrgID, g.Name)
		if errors.As(err, &none) {
			return nil, g.problem("%s", noBucketNamed(g.Name, scope.OrgName, none.Similar))
		}
		return []Permission{p}, err
	}
	var orgID string
	p.Name, orgID, err = directory.Bucket(ctx, g.ID)
	if errors.As(err, &none) {
		return nil, g.problem("no bucket has the ID %s", g.ID)
	}
	if err == nil && orgID != scope.OrgID {
		return nil, g.problem("bucket %s belongs to another organization (%s), not to %q", g.ID, orgID, scope.OrgName)
	}
	return []Permission{p}, err
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

// resolveWhole gives what influx auth create --all-access and --operator ask for (influx-cli 2.8.0,
// clients/auth/auth.go): every type that the server lists, but instance.
func resolveWhole(ctx context.Context, tokenType string, scope Scope, directory Directory) ([]Permission, error) {
	types, err := directory.ResourceTypes(ctx)
	if err != nil {
		return nil, err
	}
	var permissions []Permission
	for _, t := range grantable(types) {
		for _, action := range []string{Read, Write} {
			switch {
			case tokenType == Operator:
				permissions = append(permissions, Permission{Action: action, Type: t})
			case t == Orgs && action == Write: // an all-access token may not rename its organization
			default:
				permissions = append(permissions, inOrg(action, t, scope))
			}
		}
	}
	return permissions, nil
}
