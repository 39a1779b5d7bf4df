package permission

import (
	"context"
	"slices"
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
	return s.OrgID == other.OrgID && s.OrgName == other.OrgName && s.OwnerID == other.OwnerID && s.Privileged == other.Privileged &&
		s.Within == nil && other.Within == nil
}

// leaves reports whether a single resource may lie in another organization: where it has to be part of other
// permissions, one of them has to name it, or to be for every organization.
func (s Scope) leaves(p Permission) bool {
	return s.Within == nil || slices.ContainsFunc(s.Within, func(held Permission) bool {
		return held.kind() == p.kind() && (held.ID == p.ID || held.global())
	})
}
