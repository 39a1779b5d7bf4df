package permission_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
)

func TestListsAreParsed(t *testing.T) {
	grants, err := permission.Definition{
		ReadBuckets:    []string{"metrics", "*", "id:00000000000000AB", "ID:x", " spaced "},
		WriteBuckets:   []string{"metrics", "metrics"},
		ReadResources:  []string{"tasks", "*"},
		WriteResources: []string{"orgs", "flows"},
		Permissions:    api("read", map[string]any{"type": "buckets", "name": "logs", "org": "acme"})[:1:1],
	}.Grants()
	require.NoError(t, err)
	at := func(list string, i int) permission.Place { return permission.Place{List: list, Index: i} }
	require.Equal(t, []permission.Grant{
		{Place: at("read_buckets", 0), Action: "read", Type: "buckets", Name: "metrics"},
		{Place: at("read_buckets", 1), Action: "read", Type: "buckets"},
		{Place: at("read_buckets", 2), Action: "read", Type: "buckets", ID: "00000000000000ab"},
		{Place: at("read_buckets", 3), Action: "read", Type: "buckets", Name: "ID:x"},
		{Place: at("read_buckets", 4), Action: "read", Type: "buckets", Name: " spaced "},
		{Place: at("write_buckets", 0), Action: "write", Type: "buckets", Name: "metrics"},
		{Place: at("write_buckets", 1), Action: "write", Type: "buckets", Name: "metrics"},
		{Place: at("read_resources", 0), Action: "read", Type: "tasks"},
		{Place: at("read_resources", 1), Action: "read", Type: "*"},
		{Place: at("write_resources", 0), Action: "write", Type: "orgs"},
		{Place: at("write_resources", 1), Action: "write", Type: "flows"},
		{Place: at("permissions", 0), Action: "read", Type: "buckets", Name: "logs", Org: "acme"},
	}, grants)
}

func TestProblemsOfAForm(t *testing.T) {
	const (
		emptyBucket = "an empty name; allowed: a bucket's name, id:<16 hex digits>, or *"
		emptyType   = "an empty name; allowed: a resource type, such as tasks, or *"
		noInstance  = "instance is for InfluxDB's own set-up; no token can hold it"
	)
	one := []permission.Permission{{Action: "read", Type: "tasks", OrgID: acme}}
	tests := map[string]struct {
		definition permission.Definition
		problems   []string
	}{
		"nothing":               {permission.Definition{}, nil},
		"custom":                {permission.Definition{TokenType: "custom", ReadBuckets: []string{"metrics"}}, nil},
		"all-access":            {permission.Definition{TokenType: "all-access"}, nil},
		"operator":              {permission.Definition{TokenType: "operator"}, nil},
		"a clone":               {permission.Definition{Cloned: one}, nil},
		"a clone of nothing":    {permission.Definition{Cloned: []permission.Permission{}}, nil},
		"an unknown token type": {permission.Definition{TokenType: "All-Access"}, []string{`token_type: "All-Access" is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin`}},
		"an empty bucket":       {permission.Definition{WriteBuckets: []string{"a", ""}}, []string{"write_buckets[1]: " + emptyBucket}},
		"an ID that is none":    {permission.Definition{ReadBuckets: []string{"id:03a2"}}, []string{`read_buckets[0]: "id:03a2" is not an ID; write id: and 16 hexadecimal digits`}},
		"an ID that is zero":    {permission.Definition{ReadBuckets: []string{"id:0000000000000000"}}, []string{`read_buckets[0]: "id:0000000000000000" is not an ID; write id: and 16 hexadecimal digits`}},
		"an empty type":         {permission.Definition{ReadResources: []string{""}}, []string{"read_resources[0]: " + emptyType}},
		"instance":              {permission.Definition{WriteResources: []string{"tasks", "instance"}}, []string{"write_resources[1]: " + noInstance}},
		"everything and more":   {permission.Definition{TokenType: "all-access", ReadBuckets: []string{"a"}}, []string{"token_type: all-access already grants everything; leave read_buckets out"}},
		"more than everything": {permission.Definition{TokenType: "operator", WriteResources: []string{""}, Permissions: api("read", map[string]any{"type": "tasks"})}, []string{
			"write_resources[0]: " + emptyType,
			"token_type: operator already grants everything; leave permissions, write_resources out"}},
		"a clone and everything": {permission.Definition{TokenType: "operator", Cloned: one}, []string{"clone_from: excludes token_type operator"}},
		"a clone and more":       {permission.Definition{Cloned: one, ReadBuckets: []string{"a"}, WriteBuckets: []string{"b"}}, []string{"clone_from: excludes read_buckets, write_buckets: a clone has just what its source had"}},
		"all that can be wrong, at once": {permission.Definition{
			TokenType:      "root",
			ReadBuckets:    []string{"", "id:zz"},
			WriteBuckets:   []string{"good", ""},
			ReadResources:  []string{"instance"},
			WriteResources: []string{""},
			Permissions:    append(api("rw", map[string]any{"type": "tasks"}), map[string]any{}),
		}, []string{
			"read_buckets[0]: " + emptyBucket,
			`read_buckets[1]: "id:zz" is not an ID; write id: and 16 hexadecimal digits`,
			"write_buckets[1]: " + emptyBucket,
			"read_resources[0]: " + noInstance,
			"write_resources[0]: " + emptyType,
			`permissions[0].action: "rw" is not an action; allowed: read, write`,
			"permissions[1].action: missing",
			`permissions[1].resource: must be an object such as {"type": "buckets", "name": "metrics"}`,
			`token_type: "root" is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin`,
		}},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			_, err := test.definition.Grants()
			requireProblems(t, test.problems, err)
			_, err = permission.Resolve(t.Context(), test.definition, scope, &directory{})
			if len(test.problems) == 0 {
				require.NoError(t, err)
				return
			}
			// What is well formed is looked up all the same, and its problems come after those of what is not.
			require.True(t, strings.HasPrefix(err.Error(), strings.Join(test.problems, "\n")), err)
			var problem *problem.Error
			require.True(t, errors.As(err, &problem))
			require.Equal(t, test.problems[0], problem.Field+": "+problem.Text)
		})
	}
}

func TestEmptyDefinitions(t *testing.T) {
	for _, d := range []permission.Definition{{}, {TokenType: "custom"}, {ReadBuckets: []string{}}} {
		require.True(t, d.Empty(), "%+v", d)
	}
	for _, d := range []permission.Definition{
		{TokenType: "all-access"}, {TokenType: "operator"}, {ReadBuckets: []string{"a"}}, {WriteBuckets: []string{"a"}},
		{ReadResources: []string{"a"}}, {WriteResources: []string{"a"}}, {Permissions: []map[string]any{{}}},
		{Cloned: []permission.Permission{}},
	} {
		require.False(t, d.Empty(), "%+v", d)
	}
}

// A role is bounded, and the message names the list that holds most.
func TestRolesAreBounded(t *testing.T) {
	many := func(n int) []string { return slices.Repeat([]string{"a"}, n) }
	text := func(field string, n int) []string {
		return []string{fmt.Sprintf("%s: the role names %d permissions; at most 1000 are allowed", field, n)}
	}
	tests := map[string]struct {
		definition permission.Definition
		problems   []string
	}{
		"at the bound":         {permission.Definition{ReadBuckets: many(permission.MaxGrants)}, nil},
		"spread, at the bound": {permission.Definition{ReadBuckets: many(500), WriteResources: many(500)}, nil},
		"all of it wrong":      {permission.Definition{ReadBuckets: make([]string, 1_000_000)}, text("read_buckets", 1_000_000)},
		"one list":             {permission.Definition{WriteBuckets: many(1001)}, text("write_buckets", 1001)},
		"spread":               {permission.Definition{ReadBuckets: many(400), WriteBuckets: many(401), ReadResources: many(300)}, text("write_buckets", 1101)},
		"evenly spread":        {permission.Definition{ReadBuckets: many(600), WriteBuckets: many(600)}, text("read_buckets", 1200)},
		"objects": {permission.Definition{ReadBuckets: many(1), Permissions: slices.Repeat(api("read", map[string]any{"type": "tasks"}), 1000)},
			text("permissions", 1001)},
		"a clone": {permission.Definition{Cloned: make([]permission.Permission, 1001)}, text("clone_from", 1001)},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			for range 10 { // the order of a map must not show
				_, err := test.definition.Grants()
				requireProblems(t, test.problems, err)
			}
		})
	}
}

func TestNamesAreBounded(t *testing.T) {
	long := strings.Repeat("a", 1025)
	for field, d := range map[string]permission.Definition{
		"read_buckets[0]":              {ReadBuckets: []string{long}},
		"write_resources[0]":           {WriteResources: []string{long}},
		"permissions[0].resource.name": {Permissions: api("read", object{"type": "buckets", "name": long})},
	} {
		_, err := d.Grants()
		require.ErrorContains(t, err, field+": too long: 1025 bytes; at most 1024 are allowed")
	}
	_, err := permission.Definition{ReadBuckets: []string{long[1:]}}.Grants()
	require.NoError(t, err)
}

// One object may hold any number of unknown keys: what is said of them is bounded.
func TestProblemsAreBounded(t *testing.T) {
	resource := object{"type": "tasks"}
	for n := range 5_000 {
		resource[fmt.Sprint("key", n)] = n
	}
	_, err := permission.Definition{Permissions: api("read", resource)}.Grants()
	require.ErrorContains(t, err, "and 4000 more")
	require.Len(t, strings.Split(err.Error(), "\n"), permission.MaxGrants+1)
}
