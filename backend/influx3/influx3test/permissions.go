package influx3test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Permission is what a token of Enterprise may do: actions on databases (the type "db"), or on the server's own pages
// ("system"). The name "*" stands for all of them, later ones too (documented).
type Permission struct {
	ResourceType  string   `json:"resource_type"`
	ResourceNames []string `json:"resource_names"`
	Actions       []string `json:"actions"`
}

// grant is a permission as it is stored. Names of databases have become IDs: one that is deleted and made anew is not
// reached (documented).
type grant struct {
	kind      string
	all       bool
	databases []uint64
	pages     []string
	actions   []string
}

// What permissions can name (read: permissions.rs in influxdb3_authz; Enterprise has the same words).
var (
	databaseActions = []string{"create", "describe", "read", "write", "delete"}
	systemActions   = []string{"read"}
	systemPages     = []string{"health", "metrics", "ping", "ready"}
)

// resolve turns the permissions of a request into grants. That a database must exist is documented, the answer where it
// does not is assumed. Core's source, where Enterprise's handler is not, has "cannot parse token permission, invalid
// resource name X" for it; its statuses for the other mistakes are assumed too.
func (c *catalog) resolve(permissions []Permission) ([]grant, *failure) {
	grants := make([]grant, 0, len(permissions)) // never nil, which would be an admin token
	for _, p := range permissions {
		g := grant{kind: p.ResourceType, all: slices.Contains(p.ResourceNames, "*"), actions: p.Actions}
		known := databaseActions
		switch {
		case p.ResourceType == "system":
			known = systemActions
		case p.ResourceType == "*":
			return nil, invalidPermission("* resource type can only be set for admin token")
		case p.ResourceType != "db":
			return nil, invalidPermission("resource type not supported " + p.ResourceType)
		}
		if g.all && len(p.ResourceNames) > 1 && slices.ContainsFunc(p.ResourceNames, func(n string) bool { return n != "*" }) {
			return nil, invalidPermission("mixed wildcard (*) and resource name")
		}
		for _, action := range p.Actions {
			if !slices.Contains(known, action) {
				return nil, invalidPermission("action not supported, " + action)
			}
		}
		if !g.all {
			if refused := c.identify(&g, p.ResourceNames); refused != nil {
				return nil, refused
			}
		}
		grants = append(grants, g)
	}
	return grants, nil
}

func (c *catalog) identify(g *grant, names []string) *failure {
	for _, name := range names {
		id, exists := c.databases[name]
		switch {
		case g.kind == "db" && exists:
			g.databases = append(g.databases, id)
		case g.kind == "system" && slices.Contains(systemPages, strings.ToLower(strings.TrimSpace(name))):
			g.pages = append(g.pages, strings.ToLower(strings.TrimSpace(name)))
		default:
			return notFound(name)
		}
	}
	return nil
}

func invalidPermission(why string) *failure {
	return text(http.StatusBadRequest, "cannot parse token permission, "+why)
}

// may reports whether a token may do this to a database of the catalog.
func (t *token) may(c *catalog, action, database string) bool {
	id, exists := c.databases[database]
	return t.admin() || slices.ContainsFunc(t.permissions, func(g grant) bool {
		return g.kind == "db" && slices.Contains(g.actions, action) && (g.all || exists && slices.Contains(g.databases, id))
	})
}

// mayReadSystem reports whether a token may read a page of the server.
func (t *token) mayReadSystem(page string) bool {
	return t.admin() || slices.ContainsFunc(t.permissions, func(g grant) bool {
		return g.kind == "system" && slices.Contains(g.actions, "read") && (g.all || slices.Contains(g.pages, page))
	})
}

// shown are a token's permissions with the names that its databases have now. Those that are gone are left out.
func (t *token) shown(c *catalog) []Permission {
	var permissions []Permission
	for _, g := range t.permissions {
		names := slices.Clone(g.pages)
		if g.all {
			names = []string{"*"}
		}
		for _, name := range slices.Sorted(maps.Keys(c.databases)) {
			if slices.Contains(g.databases, c.databases[name]) {
				names = append(names, name)
			}
		}
		permissions = append(permissions, Permission{g.kind, names, slices.Clone(g.actions)})
	}
	return permissions
}

// column is system.tokens' column permissions: "*:*:*" for an admin token (measured), else type:names:actions (documented)
// of each, with a semicolon between them (assumed).
func (t *token) column(c *catalog) string {
	if t.admin() {
		return "*:*:*"
	}
	var all []string
	for _, p := range t.shown(c) {
		all = append(all, p.ResourceType+":"+strings.Join(p.ResourceNames, ",")+":"+strings.Join(p.Actions, ","))
	}
	return strings.Join(all, ";")
}
