package permission

import (
	"fmt"
	"slices"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// KnownTypes are the resource types of InfluxDB OSS 2.0 to 2.9 (authz.go of each release) without instance,
// and Cloud's own. It stands in where a server has no GET /api/v2/resources.
var KnownTypes = []string{
	"authorizations", "buckets", "dashboards", "orgs", "sources", "tasks", "telegrafs", "users", "variables",
	"scrapers", "secrets", "labels", "views", "documents", "notificationRules", "notificationEndpoints",
	"checks", "dbrp", "notebooks", "annotations", "remotes", "replications",
	"flows", "functions", "subscriptions",
}

// CheckTypes finds the grants whose resource type the server does not list.
func CheckTypes(grants []Grant, types []string) problem.List {
	var problems problem.List
	for _, g := range grants {
		if g.Type != All && !slices.Contains(types, g.Type) {
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
