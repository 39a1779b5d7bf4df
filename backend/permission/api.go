package permission

import (
	"slices"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// The keys of a permission in InfluxDB's API.
var (
	permissionKeys = []string{"action", "resource"}
	resourceKeys   = []string{"type", "id", "name", "org", "orgID"}
)

// parsePermission reads an object of the permissions field, which has the shape of InfluxDB's API:
//
//	{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}
//
// name is understood for buckets only. orgID "*" means every organization. stored is for AsStored.
func parsePermission(at Place, object map[string]any, stored bool) (Grant, problem.List) {
	o := apiObject{at: at}
	o.onlyKeys("", object, permissionKeys)
	g := Grant{Place: at, Action: o.text("action", object["action"], true)}
	if g.Action != "" && g.Action != Read && g.Action != Write {
		o.problem("action", "%q is not an action; allowed: read, write", g.Action)
	}
	resource, ok := object["resource"].(map[string]any)
	if !ok {
		o.problem("resource", `must be an object such as {"type": "buckets", "name": "metrics"}`)
		return g, o.problems
	}
	o.onlyKeys("resource.", resource, resourceKeys)
	o.noNulls(resource, stored)
	g.Type = o.text("resource.type", resource["type"], true)
	g.ID = strings.ToLower(o.text("resource.id", resource["id"], false))
	g.Name = o.text("resource.name", resource["name"], false)
	g.Org = o.text("resource.org", resource["org"], false)
	o.checkType(g.Type)
	o.checkID(g, isText(resource["id"]))
	o.checkName(g, isText(resource["name"]))
	o.inOrg(&g, resource)
	return g, o.problems
}

// apiObject is one object being read; it collects what is wrong with it.
type apiObject struct {
	at       Place
	problems problem.List
}

// problem notes what is wrong with a key; key may be a path such as resource.id.
func (o *apiObject) problem(key, format string, args ...any) {
	o.problems = append(o.problems, problem.InField(o.at.String()+"."+key, format, args...))
}

// text takes a JSON string.
func (o *apiObject) text(key string, value any, required bool) string {
	s, ok := value.(string)
	switch {
	case ok && s == "" && required, value == nil && required:
		o.problem(key, "missing")
	case !ok && value != nil:
		o.problem(key, "must be a string")
	case len(s) > maxText:
		o.problem(key, "too long: %d bytes; at most %d are allowed", len(s), maxText)
		return ""
	}
	return s
}

func isText(value any) bool {
	_, ok := value.(string)
	return ok
}

func (o *apiObject) onlyKeys(prefix string, object map[string]any, known []string) {
	var unknown []string
	for key := range object {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	allowed := "; allowed: " + strings.Join(known, ", ") // said once
	for _, key := range unknown {
		o.problem(prefix+key, "unknown key%s%s", allowed, problem.DidYouMean(key, known))
		allowed = ""
	}
}

// noNulls refuses keys that are there and null: it is what a variable without a value becomes, and taken for a key that
// is left out it would grant every bucket, or every resource.
func (o *apiObject) noNulls(resource map[string]any, stored bool) {
	for _, optional := range []struct {
		key, all string
		narrows  bool
	}{
		{"id", "all of the type", true},
		{"name", "all buckets", true},
		{"org", "the role's organization", false},
		{"orgID", "the role's organization", false},
	} {
		if value, given := resource[optional.key]; given && value == nil && (optional.narrows || !stored) {
			o.problem("resource."+optional.key, "null; leave the key out for %s", optional.all)
		}
	}
}

func (o *apiObject) checkType(t string) {
	switch t {
	case instance:
		o.problem("resource.type", "instance is for InfluxDB's own set-up; no token can hold it")
	case All:
		o.problem("resource.type", `"*" is not a resource type; use read_resources=* or write_resources=*`)
	}
}

func (o *apiObject) checkID(g Grant, given bool) {
	if given && !IsID(g.ID) {
		named := ""
		if g.Type == Buckets && strings.Trim(g.ID, "0123456789abcdef") != "" {
			named = "; a bucket's name is written to name"
		}
		o.problem("resource.id", "%q is not an ID of 16 hexadecimal digits%s", problem.Clip(g.ID), named)
	}
}

func (o *apiObject) checkName(g Grant, given bool) {
	switch {
	case !given:
	case g.Name == "":
		o.problem("resource.name", "empty; leave it out for all buckets")
	case g.Type != "" && !slices.Contains(KnownTypes, g.Type) && g.Type != instance && g.Type != All: // these are problems already
		o.problem("resource.type", "%s", unknownType(g, KnownTypes))
	case g.Type != Buckets:
		o.problem("resource.name", "names are understood for buckets only; give the id")
	case g.ID != "":
		o.problem("resource.name", "give either name or id")
	}
}

// inOrg takes org and orgID: a name, an ID, or * for every organization.
func (o *apiObject) inOrg(g *Grant, resource map[string]any) {
	if isText(resource["org"]) && g.Org == "" {
		o.problem("resource.org", "empty; leave it out for the role's organization")
	}
	orgID := o.text("resource.orgID", resource["orgID"], false)
	switch {
	case !isText(resource["orgID"]): // left out, null, or noted as no string
	case orgID == All:
		g.AllOrgs = true
		if g.ID != "" || g.Name != "" || g.Org != "" {
			o.problem("resource.orgID", `"*" (every organization) excludes id, name and org`)
		}
	case !IsID(orgID):
		o.problem("resource.orgID", `%q is not an ID of 16 hexadecimal digits, nor "*" for every organization; a name is written to org`, problem.Clip(orgID))
	case g.Org != "":
		o.problem("resource.orgID", "give either org or orgID")
	default:
		g.Org = strings.ToLower(orgID)
	}
}
