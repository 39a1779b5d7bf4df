package permission_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// object is shorthand for JSON objects.
type object = map[string]any

// What the shape of InfluxDB's API is understood to grant.
func TestPermissionsInTheShapeOfTheAPI(t *testing.T) {
	tests := map[string]struct {
		resource object
		grant    permission.Grant
	}{
		"a type":                    {object{"type": "tasks"}, permission.Grant{Type: "tasks"}},
		"a bucket's name":           {object{"type": "buckets", "name": "metrics"}, permission.Grant{Type: "buckets", Name: "metrics"}},
		"a name is no wildcard":     {object{"type": "buckets", "name": "*"}, permission.Grant{Type: "buckets", Name: "*"}},
		"a name is no ID":           {object{"type": "buckets", "name": "id:" + metrics}, permission.Grant{Type: "buckets", Name: "id:" + metrics}},
		"a bucket's ID":             {object{"type": "buckets", "id": "0000000000000C01"}, permission.Grant{Type: "buckets", ID: metrics}},
		"a bucket of an org":        {object{"type": "buckets", "name": "metrics", "org": "acme"}, permission.Grant{Type: "buckets", Name: "metrics", Org: "acme"}},
		"a bucket of an org's ID":   {object{"type": "buckets", "id": metrics, "orgID": "0000000000000A01"}, permission.Grant{Type: "buckets", ID: metrics, Org: acme}},
		"a user's ID":               {object{"type": "users", "id": vault}, permission.Grant{Type: "users", ID: vault}},
		"every organization":        {object{"type": "buckets", "orgID": "*"}, permission.Grant{Type: "buckets", AllOrgs: true}},
		"a type that nobody knows":  {object{"type": "sofas"}, permission.Grant{Type: "sofas"}},
		"a type with a strange key": {object{"type": "a/../b"}, permission.Grant{Type: "a/../b"}},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			for _, action := range []string{"read", "write"} {
				grants, err := permission.Definition{Permissions: api(action, test.resource)}.Grants()
				require.NoError(t, err)
				want := test.grant
				want.Action, want.Place = action, permission.Place{List: "permissions"}
				require.Equal(t, []permission.Grant{want}, grants)
			}
		})
	}
}

func TestProblemsOfPermissions(t *testing.T) {
	const (
		noObject = `permissions[0].resource: must be an object such as {"type": "buckets", "name": "metrics"}`
		zero     = "0000000000000000"
	)
	tests := map[string]struct {
		object   object
		problems []string
	}{
		"nothing":            {object{}, []string{"permissions[0].action: missing", noObject}},
		"null":               {nil, []string{"permissions[0].action: missing", noObject}},
		"an empty action":    {object{"action": "", "resource": object{"type": "tasks"}}, []string{"permissions[0].action: missing"}},
		"an unknown action":  {object{"action": "READ", "resource": object{"type": "tasks"}}, []string{`permissions[0].action: "READ" is not an action; allowed: read, write`}},
		"an action's type":   {object{"action": 1.0, "resource": object{"type": "tasks"}}, []string{"permissions[0].action: must be a string"}},
		"a list of actions":  {object{"action": []any{"read"}, "resource": object{"type": "tasks"}}, []string{"permissions[0].action: must be a string"}},
		"a resource's type":  {object{"action": "read", "resource": "tasks"}, []string{noObject}},
		"unknown keys":       {object{"action": "read", "b": 1, "a": 2, "resource": object{"type": "tasks"}}, []string{"permissions[0].a: unknown key; allowed: action, resource", "permissions[0].b: unknown key"}},
		"an unknown key":     {object{"action": "read", "resource": object{"type": "tasks", "orgId": acme}}, []string{"permissions[0].resource.orgId: unknown key; allowed: type, id, name, org, orgID; did you mean orgID?"}},
		"the server's links": {object{"action": "read", "resource": object{"type": "tasks", "links": object{}}}, []string{"permissions[0].resource.links: unknown key; allowed: type, id, name, org, orgID"}},

		"no type":            {object{"action": "read", "resource": object{}}, []string{"permissions[0].resource.type: missing"}},
		"an empty type":      {object{"action": "read", "resource": object{"type": ""}}, []string{"permissions[0].resource.type: missing"}},
		"instance":           {object{"action": "read", "resource": object{"type": "instance"}}, []string{"permissions[0].resource.type: instance is for InfluxDB's own set-up; no token can hold it"}},
		"every type":         {object{"action": "read", "resource": object{"type": "*"}}, []string{`permissions[0].resource.type: "*" is not a resource type; use read_resources=* or write_resources=*`}},
		"an ID too short":    {object{"action": "read", "resource": object{"type": "buckets", "id": "c01"}}, []string{`permissions[0].resource.id: "c01" is not an ID of 16 hexadecimal digits`}},
		"an ID of zeroes":    {object{"action": "read", "resource": object{"type": "buckets", "id": zero}}, []string{`permissions[0].resource.id: "` + zero + `" is not an ID of 16 hexadecimal digits`}},
		"a name for an ID":   {object{"action": "read", "resource": object{"type": "buckets", "id": "metrics"}}, []string{`permissions[0].resource.id: "metrics" is not an ID of 16 hexadecimal digits; a bucket's name is written to name`}},
		"a bucket of bucket": {object{"action": "read", "resource": object{"type": "bucket", "name": "metrics"}}, []string{`permissions[0].resource.type: "bucket" is not a resource type (buckets, tasks, …); did you mean buckets?`}},
		"an empty ID":        {object{"action": "read", "resource": object{"type": "buckets", "id": ""}}, []string{`permissions[0].resource.id: "" is not an ID of 16 hexadecimal digits`}},
		"nulls": {object{"action": "read", "resource": object{"type": "buckets", "id": nil, "name": nil, "org": nil, "orgID": nil}}, []string{
			"permissions[0].resource.id: null; leave the key out for all of the type",
			"permissions[0].resource.name: null; leave the key out for all buckets",
			"permissions[0].resource.org: null; leave the key out for the role's organization",
			"permissions[0].resource.orgID: null; leave the key out for the role's organization",
		}},
		"a null action":       {object{"action": nil, "resource": object{"type": "tasks"}}, []string{"permissions[0].action: missing"}},
		"a null type":         {object{"action": "read", "resource": object{"type": nil}}, []string{"permissions[0].resource.type: missing"}},
		"a null resource":     {object{"action": "read", "resource": nil}, []string{noObject}},
		"a null unknown key":  {object{"action": "read", "id": nil, "resource": object{"type": "tasks"}}, []string{"permissions[0].id: unknown key; allowed: action, resource"}},
		"a null name and ID":  {object{"action": "read", "resource": object{"type": "buckets", "name": nil, "id": metrics}}, []string{"permissions[0].resource.name: null; leave the key out for all buckets"}},
		"an empty name":       {object{"action": "read", "resource": object{"type": "buckets", "name": ""}}, []string{"permissions[0].resource.name: empty; leave it out for all buckets"}},
		"a task's name":       {object{"action": "read", "resource": object{"type": "tasks", "name": "a"}}, []string{"permissions[0].resource.name: names are understood for buckets only; give the id"}},
		"a name and an ID":    {object{"action": "read", "resource": object{"type": "buckets", "name": "a", "id": metrics}}, []string{"permissions[0].resource.name: give either name or id"}},
		"an empty org":        {object{"action": "read", "resource": object{"type": "buckets", "org": ""}}, []string{"permissions[0].resource.org: empty; leave it out for the role's organization"}},
		"an org and its ID":   {object{"action": "read", "resource": object{"type": "buckets", "org": "acme", "orgID": acme}}, []string{"permissions[0].resource.orgID: give either org or orgID"}},
		"an org's bad ID":     {object{"action": "read", "resource": object{"type": "buckets", "orgID": "acme"}}, []string{`permissions[0].resource.orgID: "acme" is not an ID of 16 hexadecimal digits, nor "*" for every organization; a name is written to org`}},
		"an org's empty ID":   {object{"action": "read", "resource": object{"type": "buckets", "orgID": ""}}, []string{`permissions[0].resource.orgID: "" is not an ID of 16 hexadecimal digits, nor "*" for every organization; a name is written to org`}},
		"all orgs and an ID":  {object{"action": "read", "resource": object{"type": "buckets", "id": metrics, "orgID": "*"}}, []string{`permissions[0].resource.orgID: "*" (every organization) excludes id, name and org`}},
		"all orgs and a name": {object{"action": "read", "resource": object{"type": "buckets", "name": "a", "orgID": "*"}}, []string{`permissions[0].resource.orgID: "*" (every organization) excludes id, name and org`}},
		"all orgs and one":    {object{"action": "read", "resource": object{"type": "buckets", "org": "a", "orgID": "*"}}, []string{`permissions[0].resource.orgID: "*" (every organization) excludes id, name and org`}},
		"nothing but numbers": {object{"action": true, "resource": object{"type": 1, "id": 2, "name": 3, "org": 4, "orgID": 5}}, []string{
			"permissions[0].action: must be a string",
			"permissions[0].resource.type: must be a string",
			"permissions[0].resource.id: must be a string",
			"permissions[0].resource.name: must be a string",
			"permissions[0].resource.org: must be a string",
			"permissions[0].resource.orgID: must be a string",
		}},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			grants, err := permission.Definition{Permissions: []map[string]any{test.object}}.Grants()
			requireProblems(t, test.problems, err)
			require.Empty(t, grants)
		})
	}
}

// Roles with nulls were stored once. One that grants more than was meant asks for nothing any more, and names the field;
// the others go on.
func TestNullsThatWereStored(t *testing.T) {
	for key, problem := range map[string]string{
		"name":  "permissions[1].resource.name: null; leave the key out for all buckets",
		"id":    "permissions[1].resource.id: null; leave the key out for all of the type",
		"org":   "",
		"orgID": "",
	} {
		d := permission.Definition{Permissions: append(api("read", object{"type": "tasks"}), api("write", object{"type": "buckets", key: nil})...)}.AsStored()
		permissions, err := permission.Resolve(t.Context(), d, scope, &directory{})
		if problem != "" {
			requireProblems(t, []string{problem}, err)
			continue
		}
		require.NoError(t, err, key)
		require.Equal(t, []string{"read:orgs/" + acme + "/tasks", "write:orgs/" + acme + "/buckets"}, words(permissions))
	}
}
