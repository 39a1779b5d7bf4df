package permission

import (
	"fmt"
	"slices"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// Product is an InfluxDB as far as its language of grants goes.
type Product string

// The products. What was stored without one is V2.
const (
	V2         Product = "v2"
	Core       Product = "core"
	Enterprise Product = "enterprise"
)

// Products are all of them.
var Products = []Product{V2, Core, Enterprise}

// IsV2 reports whether it is InfluxDB 2, OSS or Cloud.
func (p Product) IsV2() bool { return p == "" || p == V2 }

// String is the product's name.
func (p Product) String() string {
	switch p {
	case Core:
		return "InfluxDB 3 Core"
	case Enterprise:
		return "InfluxDB 3 Enterprise"
	}
	return "InfluxDB 2"
}

// What InfluxDB 3 grants: everything to an admin token, and databases and parts of the system to Enterprise's others.
const (
	// Admin is a token type, and the type of the one permission of such a token.
	Admin     = "admin"
	Databases = "db"
	System    = "system"
)

// internal is InfluxDB 3's own database, which holds the names, the permissions and a part of the hashes of all tokens.
const internal = "_internal"

// Types3 are the resource types of InfluxDB 3.
var Types3 = []string{Databases, System}

// foreign finds what of a definition is in the language of another product, and says what to write instead.
func (d Definition) foreign(p Product) problem.List {
	var problems problem.List
	for _, field := range d.counts() {
		if field.named == 0 {
			continue
		}
		if word := unknownList(p, field.field); word != "" {
			problems.Add(field.field, "%s", word)
		}
	}
	switch {
	case p.IsV2() && d.TokenType == Admin:
		problems.Add(tokenTypeField, "admin is for InfluxDB 3; this is InfluxDB 2: write all-access or operator")
	case !p.IsV2() && (d.TokenType == AllAccess || d.TokenType == Operator):
		problems.Add(tokenTypeField, "%s is for InfluxDB 2; this is %s: write admin", d.TokenType, p)
	case !p.IsV2() && d.Cloned != nil:
		problems.Add("clone_from", "this is %s, whose tokens can't be copied", p)
	case p == Core && len(problems) == 0 && d.TokenType != Admin:
		problems.Add(tokenTypeField, "%s has only admin tokens, which may do everything: write token_type=admin and allow_privileged=true, and nothing else", p)
	}
	return problems
}

// unknownList says what to write instead of a list that a product does not have; "" where it does.
func unknownList(p Product, field string) string {
	action, _, _ := strings.Cut(field, "_")
	switch {
	case p.IsV2() && strings.HasSuffix(field, "_databases"):
		return fmt.Sprintf("this is InfluxDB 2, which has buckets: write %s_buckets", action)
	case p == Core && field != permissionsField:
		return fmt.Sprintf("%s has only admin tokens: write token_type=admin and allow_privileged=true instead", p)
	case p == Enterprise && (strings.HasSuffix(field, "_buckets") || strings.HasSuffix(field, "_resources")):
		return fmt.Sprintf("this is %s, which has databases: write %s_databases", p, action)
	}
	return ""
}

const permissionsField = "permissions"

// misshapen finds the permissions that are in the shape of another product's API, whatever they are on: InfluxDB 3 has names
// alone, so that one of a database with an ID would be one of every database.
func (d Definition) misshapen(p Product) problem.List {
	var problems problem.List
	for i, object := range d.Permissions {
		at := Grant{Place: Place{permissionsField, i}}
		switch {
		case isShape3(object) != p.IsV2():
		case p.IsV2():
			problems = append(problems, at.problem(`this is InfluxDB 2; write it as {"action": "read", "resource": {"type": "buckets", "name": "metrics"}}`))
		default:
			problems = append(problems, at.problem(`this is %s; write it as {"resource_type": "db", "resource_names": ["metrics"], "actions": ["read"]}`, p))
		}
	}
	return problems
}

// resolve3 says what InfluxDB 3 is to be asked for: it takes names, so that nothing is looked up.
func resolve3(d Definition, grants []Grant) []Permission {
	if d.TokenType == Admin {
		return []Permission{{Action: Write, Type: Admin, Place: Place{List: tokenTypeField}}}
	}
	permissions := make([]Permission, len(grants))
	for i, g := range grants {
		permissions[i] = Permission{Action: g.Action, Type: g.Type, ID: g.Name, Name: g.Name, Place: g.Place}
	}
	return Normal(permissions)
}

// parseDatabase takes an element of read_databases or write_databases.
func parseDatabase(g Grant, item string) (Grant, error) {
	g.Type, g.Of3 = Databases, true
	if item == "" {
		return g, g.problem("an empty name; allowed: a database's name, or *")
	}
	if item != All {
		g.Name = item
	}
	return g, nil
}

// isShape3 reports whether a permission is in the shape of InfluxDB 3's API.
func isShape3(object map[string]any) bool { return object["resource_type"] != nil }

var keys3 = []string{"resource_type", "resource_names", "actions"}

// parse3 takes a permission in the shape of InfluxDB 3's API: {"resource_type": "db", "resource_names": ["metrics"],
// "actions": ["read", "write"]}.
func parse3(at Place, object map[string]any) ([]Grant, problem.List) {
	o := apiObject{at: at}
	o.onlyKeys("", object, keys3)
	kind := o.text("resource_type", object["resource_type"], true)
	if kind != "" && !slices.Contains(Types3, kind) {
		o.problem("resource_type", "%q is not known; allowed: %s", kind, strings.Join(Types3, ", "))
	}
	names, actions := o.texts("resource_names", object["resource_names"]), o.texts("actions", object["actions"])
	var grants []Grant
	for _, name := range names {
		if name == All {
			name = ""
		}
		for _, action := range actions {
			grants = append(grants, Grant{Place: at, Action: action, Type: kind, Name: name, Of3: true})
		}
	}
	return grants, o.problems
}

// named is how many permissions objects name: one of InfluxDB 3's API stands for each of its names with each of its actions.
func named(objects []map[string]any) (count int) {
	for _, object := range objects {
		names, _ := object["resource_names"].([]any)
		actions, _ := object["actions"].([]any)
		count += max(1, len(names)*len(actions))
	}
	return count
}

// texts takes a list of strings, none of which is empty.
func (o *apiObject) texts(key string, value any) []string {
	list, ok := value.([]any)
	if !ok || len(list) == 0 || len(list) > MaxGrants {
		o.problem(key, "must be a list of 1 to %d strings", MaxGrants)
		return nil
	}
	texts := make([]string, len(list))
	for i, item := range list {
		texts[i] = o.text(fmt.Sprintf("%s[%d]", key, i), item, true)
	}
	return texts
}
