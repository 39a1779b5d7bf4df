package permission_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// What must be meant: what can outlive the lease, make or see other tokens, or leave the organization.
func TestPrivileged(t *testing.T) {
	const (
		meant = "; if that is meant, set allow_privileged=true"
		later = " can leave something behind that runs later with all the rights of the token's owner" + meant
		who   = " can change who may do what, and make other tokens" + meant
	)
	read := func(types ...string) permission.Definition { return permission.Definition{ReadResources: types} }
	write := func(types ...string) permission.Definition { return permission.Definition{WriteResources: types} }
	every := func(action, resourceType string) permission.Definition {
		return permission.Definition{Permissions: api(action, object{"type": resourceType, "orgID": "*"})}
	}
	tests := map[string]struct {
		definition permission.Definition
		problems   []string
	}{
		"all-access":            {permission.Definition{TokenType: "all-access"}, []string{`token_type all-access can read and make other tokens of org "acme"` + meant}},
		"operator":              {permission.Definition{TokenType: "operator"}, []string{"token_type operator can do everything in every organization, and make other tokens" + meant}},
		"read authorizations":   {read("authorizations"), []string{`read_resources[0]: read on authorizations can read other tokens of org "acme"` + meant}},
		"write authorizations":  {write("authorizations"), []string{`write_resources[0]: write on authorizations can make other tokens of org "acme"` + meant}},
		"one authorization":     {permission.Definition{Permissions: api("read", object{"type": "authorizations", "id": nothing})}, []string{`permissions[0]: read on authorizations can read other tokens of org "acme"` + meant}},
		"read everything":       {read("*"), []string{`read_resources[0]: read on every type can read other tokens of org "acme"` + meant}},
		"write everything":      {write("*"), []string{`write_resources[0]: write on every type can make other tokens of org "acme"` + meant}},
		"write users":           {write("users"), []string{"write_resources[0]: write on users" + who}},
		"write orgs":            {write("orgs"), []string{"write_resources[0]: write on orgs" + who}},
		"one user":              {permission.Definition{Permissions: api("write", object{"type": "users", "id": vault})}, []string{"permissions[0]: write on users" + who}},
		"write tasks":           {write("tasks"), []string{"write_resources[0]: write on tasks" + later}},
		"write checks":          {write("checks"), []string{"write_resources[0]: write on checks" + later}},
		"write rules":           {write("notificationRules"), []string{"write_resources[0]: write on notificationRules" + later}},
		"one task":              {permission.Definition{Permissions: api("write", object{"type": "tasks", "id": nothing})}, []string{"permissions[0]: write on tasks" + later}},
		"every org's buckets":   {every("read", "buckets"), []string{`permissions[0]: read on buckets of every organization leaves org "acme"` + meant}},
		"every org's views":     {every("write", "views"), []string{`permissions[0]: write on views of every organization leaves org "acme"` + meant}},
		"every organization":    {every("read", "orgs"), []string{`permissions[0]: read on orgs of every organization leaves org "acme"` + meant}},
		"several":               {permission.Definition{ReadResources: []string{"tasks", "authorizations"}, WriteResources: []string{"labels", "checks"}}, []string{`read_resources[1]: read on authorizations can read other tokens of org "acme"` + meant, "write_resources[1]: write on checks" + later}},
		"a clone of everything": {permission.Definition{Cloned: []permission.Permission{{Action: "read", Type: "tasks", OrgID: acme}, {Action: "write", Type: "buckets"}, {Action: "write", Type: "tasks", OrgID: acme}}}, []string{`clone_from[1]: write on buckets of every organization leaves org "acme"` + meant, "clone_from[2]: write on tasks" + later}},

		"buckets":             {permission.Definition{ReadBuckets: []string{"*"}, WriteBuckets: []string{"*", "a"}}, nil},
		"reading":             {read("orgs", "users", "tasks", "checks", "notificationRules", "secrets"), nil},
		"writing the rest":    {write("dashboards", "labels", "telegrafs", "notificationEndpoints", "variables", "secrets"), nil},
		"a clone of a bucket": {permission.Definition{Cloned: []permission.Permission{{Action: "write", Type: "buckets", ID: metrics, OrgID: acme}}}, nil},
		"nothing":             {permission.Definition{}, nil},
		"a broken definition": {permission.Definition{TokenType: "x", WriteResources: []string{"tasks", ""}}, []string{"write_resources[0]: write on tasks" + later}},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			requireProblems(t, test.problems, test.definition.Privileged("acme").Err())
		})
	}
}

// The name of an organization may hold anything, also what means something to a format.
func TestPrivilegedQuotesTheOrganization(t *testing.T) {
	problems := permission.Definition{TokenType: "all-access"}.Privileged(`50% "off" %s`)
	require.EqualError(t, problems.Err(), `token_type all-access can read and make other tokens of org "50% \"off\" %s"; if that is meant, set allow_privileged=true`)
	problems = permission.Definition{ReadResources: []string{"authorizations"}}.Privileged("100%d")
	require.EqualError(t, problems.Err(), `read_resources[0]: read on authorizations can read other tokens of org "100%d"; if that is meant, set allow_privileged=true`)
}
