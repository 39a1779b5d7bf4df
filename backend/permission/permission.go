// Package permission is the language of grants: what a role says a token may do, and what InfluxDB is asked
// for. It does no I/O: names are looked up through a Directory, and neither HTTP nor Vault is known here.
//
//	Definition --Grants--> []Grant --Resolve--> []Permission
//
// InfluxDB drops a resource's name without a word, so that a permission sent with a name alone grants every
// bucket of every organization; and it never checks that a bucket ID exists or belongs to the organization.
// So names become IDs here, every permission carries its organization, and a bucket's organization is compared.
package permission

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// The two actions that InfluxDB knows.
const (
	Read  = "read"
	Write = "write"
)

// Resource types that are treated in a way of their own.
const (
	Buckets = "buckets"
	Orgs    = "orgs"
	Users   = "users"
	// instance exists for the set-up user's sessions only: no token may ask for it (403 on influxd 2.4).
	instance = "instance"
)

// Token types, as token_type names them.
const (
	Custom    = "custom"
	AllAccess = "all-access"
	Operator  = "operator"
)

// All is how a role says "every one": of the buckets, of the resource types, of the organizations.
const All = "*"

// tokenTypeField is the one field that is no list.
const tokenTypeField = "token_type"

// IDPrefix marks an ID where a name is expected: id:03a2bbf46309a000.
const IDPrefix = "id:"

// MaxGrants bounds a role: more is refused, with the field that held too many. InfluxDB itself takes 5,000
// and more without complaint, and then compares each request with all of them.
const MaxGrants = 1000

// maxText bounds a name, an ID and a resource type, in bytes.
const maxText = 1024

// Permission is one permission as InfluxDB stores it.
type Permission struct {
	// Action is Read or Write.
	Action string `json:"action"`
	// Type is the resource type: buckets, tasks, …
	Type string `json:"type"`
	// ID narrows it to one resource; empty means all of the type in OrgID.
	ID string `json:"id,omitempty"`
	// OrgID is the organization. It is empty for orgs and users, which InfluxDB checks by ID alone, and for
	// a permission in every organization.
	OrgID string `json:"org_id,omitempty"`
	// Name is the bucket's name, for descriptions and for comparison with what InfluxDB echoes; not sent.
	Name string `json:"-"`
	// Place is where the role or the request asks for it, for messages; not sent.
	Place Place `json:"-"`
}

// Place is where something stands in a definition: read_buckets[1].
type Place struct {
	List  string
	Index int
}

func (p Place) String() string {
	if p.List == tokenTypeField { // not a list
		return p.List
	}
	return p.List + "[" + strconv.Itoa(p.Index) + "]"
}

// IsID reports whether s looks as InfluxDB writes IDs: 16 hexadecimal digits, not all zero.
func IsID(s string) bool {
	n, err := strconv.ParseUint(s, 16, 64)
	return len(s) == 16 && err == nil && n != 0
}

// String says a permission as InfluxDB does in its errors: write:orgs/<org>/buckets/<id>, read:users/<id>,
// write:tasks (in every organization).
func (p Permission) String() string {
	text := p.Type
	if p.OrgID != "" {
		text = "orgs/" + p.OrgID + "/" + text
	}
	if p.ID != "" {
		text += "/" + p.ID
	}
	return p.Action + ":" + text
}

// Words says a permission so that people can read it: write:buckets/metrics in org acme.
func (p Permission) Words(scope Scope) string {
	text := p.Action + ":" + p.Type
	if label := p.label(); label != "" {
		text += "/" + label
	}
	switch {
	case slices.Contains(Types3, p.Type):
	case p.global():
		text += " in every organization"
	case p.OrgID == "":
	case p.OrgID == scope.OrgID:
		text += " in org " + scope.label()
	default:
		text += " in org " + p.OrgID
	}
	return text
}

func (s Scope) label() string { return cmp.Or(s.OrgName, s.OrgID) }

// global reports whether a permission is for every organization.
func (p Permission) global() bool { return p.ID == "" && p.OrgID == "" }

// covers reports whether a token that holds p can do all that q allows. It is InfluxDB's own rule (authz.go of
// 2.9.1, matchesV1) without its hole: there an ID matches whatever its organization.
func (p Permission) covers(q Permission) bool {
	if p.Action != q.Action || p.Type != q.Type {
		return false
	}
	switch {
	case p.global():
		return true
	case p.ID == "":
		return p.OrgID == q.OrgID
	}
	return p.ID == q.ID && (p.OrgID == "" || p.OrgID == q.OrgID)
}

// kind is what two permissions have to share before one can cover the other.
type kind struct{ action, resourceType string }

func (p Permission) kind() kind { return kind{p.Action, p.Type} }

// Missing lists what of wanted is not covered by held, in wanted's order.
func Missing(held, wanted []Permission) []Permission {
	if slices.ContainsFunc(held, func(p Permission) bool { return p.Type == Admin }) {
		return nil
	}
	byKind := make(map[kind][]Permission, len(held))
	for _, p := range held {
		byKind[p.kind()] = append(byKind[p.kind()], p)
	}
	var missing []Permission
	for _, q := range wanted {
		if !slices.ContainsFunc(byKind[q.kind()], func(p Permission) bool { return p.covers(q) }) {
			missing = append(missing, q)
		}
	}
	return missing
}

// Normal drops what says nothing new: duplicates, and what a wider permission of the same list covers. What
// is left keeps its order.
func Normal(permissions []Permission) []Permission {
	var wide map[kind][]Permission // those for all of a type; few roles have both them and single resources
	for i := range permissions {
		if p := &permissions[i]; p.ID == "" {
			if wide == nil {
				wide = map[kind][]Permission{}
			}
			wide[p.kind()] = append(wide[p.kind()], *p)
		}
	}
	seen := make(map[grantKey]struct{}, len(permissions))
	normal := make([]Permission, 0, len(permissions))
	for i := range permissions {
		p := &permissions[i]
		key := grantKey{p.ID, p.kind(), p.OrgID}
		if _, known := seen[key]; known || wide != nil && coveredByOther(wide[p.kind()], p) {
			continue
		}
		seen[key] = struct{}{}
		normal = append(normal, *p)
	}
	return normal
}

// grantKey is all of a permission that InfluxDB is sent.
type grantKey struct {
	id    string
	kind  kind
	orgID string
}

// coveredByOther reports whether a permission other than p itself covers p.
func coveredByOther(wide []Permission, p *Permission) bool {
	return slices.ContainsFunc(wide, func(w Permission) bool { return w.covers(*p) && (w.ID != p.ID || w.OrgID != p.OrgID) })
}

// maxDescription bounds the list of names in a description, in bytes.
const maxDescription = 300

// Describe says what permissions allow in the wording that InfluxDB generates itself: "Read buckets metrics
// Write buckets alerts". Where the names would be too many it says what InfluxDB's own interface says then:
// "Read Multiple Write Multiple".
func Describe(tokenType string, permissions []Permission) string {
	switch tokenType {
	case AllAccess:
		return "All Access"
	case Operator:
		return "Operator"
	case Admin:
		return "Admin"
	}
	read, write := describe("Read", Read, permissions), describe("Write", Write, permissions)
	text := strings.TrimSpace(read + " " + write)
	if len(text) <= maxDescription {
		return text
	}
	text = ""
	if read != "" {
		text = "Read Multiple"
	}
	if write != "" {
		text += " Write Multiple"
	}
	return strings.TrimSpace(text)
}

// describe lists one action's types, each with the names under it: Read buckets a, b tasks.
func describe(verb, action string, permissions []Permission) string {
	var types []string
	names := map[string][]string{}
	for _, p := range permissions {
		if p.Action != action {
			continue
		}
		if _, seen := names[p.Type]; !seen {
			types = append(types, p.Type)
			names[p.Type] = nil
		}
		if name := p.label(); name != "" {
			names[p.Type] = append(names[p.Type], name)
		}
	}
	if len(types) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(verb)
	for _, t := range types {
		b.WriteString(" " + t)
		if len(names[t]) > 0 {
			b.WriteString(" " + strings.Join(names[t], ", "))
		}
	}
	return b.String()
}

func (p Permission) label() string { return cmp.Or(p.Name, p.ID) }

// KnownTypes are the resource types of InfluxDB OSS 2.0 to 2.9 (authz.go of each release) without instance,
// and Cloud's own. It stands in where a server has no GET /api/v2/resources.
var KnownTypes = []string{
	"authorizations", "buckets", "dashboards", "orgs", "sources", "tasks", "telegrafs", "users", "variables",
	"scrapers", "secrets", "labels", "views", "documents", "notificationRules", "notificationEndpoints",
	"checks", "dbrp", "notebooks", "annotations", "remotes", "replications",
	"flows", "functions", "subscriptions",
}

// CheckTypes finds the grants whose resource type the server does not list. Of those of InfluxDB 3 Resolve says what to write.
func CheckTypes(grants []Grant, types []string) problem.List {
	var problems problem.List
	for _, g := range grants {
		if !g.Of3 && g.Type != All && !slices.Contains(types, g.Type) {
			problems = append(problems, g.problem("%s", unknownType(g, types)))
		}
	}
	return problems
}

func unknownType(g Grant, types []string) string {
	// The two that are asked for most, where the server has them.
	some := slices.DeleteFunc([]string{Buckets, "tasks"}, func(t string) bool { return !slices.Contains(types, t) })
	text := fmt.Sprintf("%q is not a resource type (%s, …)", g.Type, strings.Join(some, ", "))
	meant := problem.DidYouMean(g.Type, grantable(types))
	if strings.HasSuffix(g.Place.List, "_resources") && (meant == "" || strings.Contains(meant, Buckets)) {
		meant = fmt.Sprintf("; for a bucket use %s_buckets", g.Action)
	}
	return text + meant
}

// grantable are the types that a wildcard stands for: all but instance, which no token can hold.
func grantable(types []string) []string {
	return slices.DeleteFunc(slices.Clone(types), func(t string) bool { return t == instance })
}
