package influxtest

import (
	"path"
	"slices"
)

// Permission is one grant, in the shape of InfluxDB's API.
type Permission struct {
	Action   string   `json:"action"` // "read" or "write"
	Resource Resource `json:"resource"`
}

// Resource is what a permission is for. These three fields are all that InfluxDB knows: a "name" or "org" in a
// request is silently dropped (authz.go; measured).
type Resource struct {
	Type  string `json:"type"`
	ID    string `json:"id,omitempty"`
	OrgID string `json:"orgID,omitempty"`
}

// ResourceTypes returns the types that InfluxDB 2.4 to 2.9.1 know, in the order of GET /api/v2/resources.
func ResourceTypes() []string {
	return []string{
		"authorizations", "buckets", "dashboards", "orgs", "sources", "tasks", "telegrafs", "users", "variables",
		"scrapers", "secrets", "labels", "views", "documents", "notificationRules", "notificationEndpoints",
		"checks", "dbrp", "notebooks", "annotations", "remotes", "replications", "instance",
	}
}

// Everywhere is a permission for all things of a type, in every organization.
func Everywhere(action, resourceType string) Permission {
	return Permission{action, Resource{Type: resourceType}}
}

// InOrg is a permission for all things of a type in an organization. For "orgs" and "users" it is accepted and
// grants nothing: these are checked by their ID alone (authorizer/authorize.go; measured).
func InOrg(action, resourceType, orgID string) Permission {
	return Permission{action, Resource{Type: resourceType, OrgID: orgID}}
}

// ByID is a permission for one thing, without its organization: the form for "orgs" and "users".
func ByID(action, resourceType, id string) Permission {
	return Permission{action, Resource{Type: resourceType, ID: id}}
}

// InOrgByID is a permission for one thing of an organization: the form for a bucket.
func InOrgByID(action, resourceType, id, orgID string) Permission {
	return Permission{action, Resource{Type: resourceType, ID: id, OrgID: orgID}}
}

// OperatorPermissions is what the token made by setup holds: read and write everything everywhere, but for
// "instance", which no token holds (authz.go, OperPermissions; measured: 44 permissions).
func OperatorPermissions() []Permission {
	var all []Permission
	for _, resourceType := range ResourceTypes() {
		if resourceType != "instance" {
			all = append(all, Everywhere("read", resourceType), Everywhere("write", resourceType))
		}
	}
	return all
}

// AllAccessPermissions is what `influx auth create --all-access` asks for: everything in the organization, and
// only reading the organization itself.
func AllAccessPermissions(orgID, userID string) []Permission {
	var all []Permission
	for _, resourceType := range ResourceTypes() {
		switch resourceType {
		case "instance":
		case "orgs":
			all = append(all, ByID("read", "orgs", orgID))
		case "users":
			all = append(all, ByID("read", "users", userID), ByID("write", "users", userID))
		default:
			all = append(all, InOrg("read", resourceType, orgID), InOrg("write", resourceType, orgID))
		}
	}
	return all
}

// MintingPermissions is the least that a token needs to make and delete tokens of an organization for a user,
// besides what these tokens are to hold. It sees none of them: its list is empty (measured).
func MintingPermissions(orgID, userID string) []Permission {
	return []Permission{InOrg("write", "authorizations", orgID), ByID("write", "users", userID)}
}

// String is the permission in the words of InfluxDB's messages, such as "read:orgs/<id>/buckets" (authz.go).
func (p Permission) String() string {
	r := p.Resource
	if r.OrgID == "" {
		return p.Action + ":" + path.Join(r.Type, r.ID)
	}
	return p.Action + ":" + path.Join("orgs", r.OrgID, r.Type, r.ID)
}

// covers says whether holding p is holding wanted (authz.go, matchesV1). The organization of a permission that
// names an ID is not looked at; that is how a bucket of another organization can be had (measured).
func (p Permission) covers(wanted Permission) bool {
	held := p.Resource
	switch {
	case p.Action != wanted.Action:
		return false
	case held.Type == "instance":
		return true
	case held.Type != wanted.Resource.Type:
		return false
	case held.ID != "":
		return held.ID == wanted.Resource.ID
	case held.OrgID != "":
		return held.OrgID == wanted.Resource.OrgID
	}
	return true
}

// check is the authorization of a single permission: 401, where one might expect 403 (authorizer/authorize.go;
// measured).
func (a *authorization) check(wanted Permission) error {
	if a.status != active {
		return failure(unauthorized, "token is inactive")
	}
	for _, held := range a.permissions {
		if held.covers(wanted) {
			return nil
		}
	}
	return failure(unauthorized, "%s is unauthorized", wanted)
}

// checkAll is check for several permissions; the first that is missing is the error.
func (a *authorization) checkAll(wanted ...Permission) error {
	for _, p := range wanted {
		if err := a.check(p); err != nil {
			return err
		}
	}
	return nil
}

// valid is the check of a permission in a request, where there are these resource types (authz.go, Permission.Valid).
func (p Permission) valid(types []string) error {
	if !slices.Contains(types, p.Resource.Type) {
		return failure(invalid, "invalid resource type for permission: unknown resource type for permission")
	}
	if p.Action != "read" && p.Action != "write" {
		return failure(invalid, "invalid action type for permission: unknown action for permission")
	}
	return nil
}

// permissionAnswer is a permission as InfluxDB answers it: with the names of what it is for.
type permissionAnswer struct {
	Action   string         `json:"action"`
	Resource resourceAnswer `json:"resource"`
}

type resourceAnswer struct {
	Resource
	Name string `json:"name,omitempty"`
	Org  string `json:"org,omitempty"`
}

// decorate adds the names. What no longer exists has none, and then "org" is left out as well
// (authorization/http_server.go, newPermissionsResponse; measured).
func (s *store) decorate(permissions []Permission) []permissionAnswer {
	answers := make([]permissionAnswer, 0, len(permissions))
	for _, p := range permissions {
		answer := permissionAnswer{p.Action, resourceAnswer{Resource: p.Resource}}
		name, exists := s.nameOf(p.Resource)
		answer.Resource.Name = name
		if o := s.orgs[p.Resource.OrgID]; o != nil && exists {
			answer.Resource.Org = o.name
		}
		answers = append(answers, answer)
	}
	return answers
}

// nameOf is the name that goes with a resource's ID. Only buckets, organizations and users are looked up; all
// else passes for existing, without a name.
func (s *store) nameOf(r Resource) (name string, exists bool) {
	if r.ID == "" {
		return "", true
	}
	switch r.Type {
	case "buckets":
		if b := s.buckets[r.ID]; b != nil {
			return b.name, true
		}
	case "orgs":
		if o := s.orgs[r.ID]; o != nil {
			return o.name, true
		}
	case "users":
		if u := s.users[r.ID]; u != nil {
			return u.name, true
		}
	default:
		return "", true
	}
	return "", false
}
