package permission_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// What GET /api/v2/resources answers on InfluxDB 2.9.1, in its order.
var served = []string{
	"authorizations", "buckets", "dashboards", "orgs", "sources", "tasks", "telegrafs", "users", "variables",
	"scrapers", "secrets", "labels", "views", "documents", "notificationRules", "notificationEndpoints",
	"checks", "dbrp", "notebooks", "annotations", "remotes", "replications", "instance",
}

// influx auth create --all-access (influx-cli 2.8.0, clients/auth/auth.go): reading the organization, reading
// and writing the user, and all else read and write in the organization; never instance.
func TestAllAccessIsTheCLIs(t *testing.T) {
	const org = "orgs/" + acme
	want := []string{
		"read:" + org + "/authorizations", "write:" + org + "/authorizations",
		"read:" + org + "/buckets", "write:" + org + "/buckets",
		"read:" + org + "/dashboards", "write:" + org + "/dashboards",
		"read:orgs/" + acme,
		"read:" + org + "/sources", "write:" + org + "/sources",
		"read:" + org + "/tasks", "write:" + org + "/tasks",
		"read:" + org + "/telegrafs", "write:" + org + "/telegrafs",
		"read:users/" + vault, "write:users/" + vault,
		"read:" + org + "/variables", "write:" + org + "/variables",
		"read:" + org + "/scrapers", "write:" + org + "/scrapers",
		"read:" + org + "/secrets", "write:" + org + "/secrets",
		"read:" + org + "/labels", "write:" + org + "/labels",
		"read:" + org + "/views", "write:" + org + "/views",
		"read:" + org + "/documents", "write:" + org + "/documents",
		"read:" + org + "/notificationRules", "write:" + org + "/notificationRules",
		"read:" + org + "/notificationEndpoints", "write:" + org + "/notificationEndpoints",
		"read:" + org + "/checks", "write:" + org + "/checks",
		"read:" + org + "/dbrp", "write:" + org + "/dbrp",
		"read:" + org + "/notebooks", "write:" + org + "/notebooks",
		"read:" + org + "/annotations", "write:" + org + "/annotations",
		"read:" + org + "/remotes", "write:" + org + "/remotes",
		"read:" + org + "/replications", "write:" + org + "/replications",
	}
	permissions, err := permission.Resolve(t.Context(), permission.Definition{TokenType: permission.AllAccess}, scope, &directory{types: served})
	require.NoError(t, err)
	require.Equal(t, want, words(permissions))
	require.Len(t, permissions, 43)
}

// influx auth create --operator: read and write of every type, without any organization; never instance.
func TestOperatorIsTheCLIs(t *testing.T) {
	var want []string
	for _, resourceType := range served[:22] {
		want = append(want, "read:"+resourceType, "write:"+resourceType)
	}
	permissions, err := permission.Resolve(t.Context(), permission.Definition{TokenType: permission.Operator}, scope, &directory{types: served})
	require.NoError(t, err)
	require.Equal(t, want, words(permissions))
	require.Len(t, permissions, 44)
}

// Without a known owner all-access is refused: a permission for users without an ID is one for all of them.
func TestAllAccessNeedsAnOwner(t *testing.T) {
	unowned := permission.Scope{OrgID: acme, OrgName: "acme"}
	_, err := permission.Resolve(t.Context(), permission.Definition{TokenType: permission.AllAccess}, unowned, &directory{types: served})
	require.ErrorContains(t, err, "token_type: the token's owner is not known; set user or user_id, in the role or in config")
	_, err = permission.Resolve(t.Context(), permission.Definition{TokenType: permission.Operator}, unowned, &directory{types: served})
	require.NoError(t, err)
}

// The wildcard is every type that the server has, in the organization.
func TestEveryType(t *testing.T) {
	d := permission.Definition{WriteResources: []string{"*"}}
	permissions, err := permission.Resolve(t.Context(), d, scope, &directory{types: []string{"buckets", "instance", "orgs", "users", "flows"}})
	require.NoError(t, err)
	require.Equal(t, []string{
		"write:orgs/" + acme + "/buckets", "write:orgs/" + acme, "write:users/" + vault, "write:orgs/" + acme + "/flows",
	}, words(permissions))
}

// The built-in list is the server's, without instance, and what Cloud adds.
func TestKnownTypes(t *testing.T) {
	require.Equal(t, append(served[:22:22], "flows", "functions", "subscriptions"), permission.KnownTypes)
}

func TestTypesAreCheckedAgainstTheServers(t *testing.T) {
	d := permission.Definition{
		ReadBuckets:    []string{"metrics"},
		ReadResources:  []string{"metrics", "tasks", "*", "instances"},
		WriteResources: []string{"Tasks"},
		Permissions:    append(api("read", object{"type": "bucket"}), api("read", object{"type": "flows"})...),
	}
	grants, err := d.Grants()
	require.NoError(t, err)
	requireProblems(t, []string{
		`read_resources[0]: "metrics" is not a resource type (buckets, tasks, …); for a bucket use read_buckets`,
		`read_resources[3]: "instances" is not a resource type (buckets, tasks, …); for a bucket use read_buckets`,
		`write_resources[0]: "Tasks" is not a resource type (buckets, tasks, …); did you mean tasks?`,
		`permissions[0]: "bucket" is not a resource type (buckets, tasks, …); did you mean buckets?`,
		`permissions[1]: "flows" is not a resource type (buckets, tasks, …)`,
	}, permission.CheckTypes(grants, served).Err())
	require.Empty(t, permission.CheckTypes(grants[:1], []string{"buckets"}))
	requireProblems(t, []string{`read_buckets[0]: "buckets" is not a resource type (tasks, …)`}, permission.CheckTypes(grants[:1], []string{"tasks"}).Err())
}
