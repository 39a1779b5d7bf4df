package permission_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
)

func TestResolve(t *testing.T) {
	const inAcme = "orgs/" + acme
	privileged := scope
	privileged.Privileged = true
	tests := map[string]struct {
		definition permission.Definition
		scope      permission.Scope
		want       []string
		asked      []string
	}{
		"a bucket by name": {permission.Definition{ReadBuckets: []string{"metrics"}}, scope,
			[]string{"read:" + inAcme + "/buckets/" + metrics + " metrics"}, []string{"bucket metrics"}},
		"a bucket by ID": {permission.Definition{WriteBuckets: []string{"id:0000000000000C02"}}, scope,
			[]string{"write:" + inAcme + "/buckets/" + alerts + " alerts"}, []string{"bucket " + alerts}},
		"all buckets": {permission.Definition{ReadBuckets: []string{"*"}}, scope, []string{"read:" + inAcme + "/buckets"}, nil},
		"resources": {permission.Definition{ReadResources: []string{"tasks", "dashboards"}, WriteResources: []string{"tasks"}}, scope,
			[]string{"read:" + inAcme + "/tasks", "read:" + inAcme + "/dashboards", "write:" + inAcme + "/tasks"}, nil},
		"this organization":   {permission.Definition{ReadResources: []string{"orgs"}}, scope, []string{"read:orgs/" + acme}, nil},
		"the owner":           {permission.Definition{WriteResources: []string{"users"}}, scope, []string{"write:users/" + vault}, nil},
		"an object's type":    {permission.Definition{Permissions: api("read", object{"type": "checks"})}, scope, []string{"read:" + inAcme + "/checks"}, nil},
		"an object's bucket":  {permission.Definition{Permissions: api("read", object{"type": "buckets", "name": "alerts"})}, scope, []string{"read:" + inAcme + "/buckets/" + alerts + " alerts"}, []string{"bucket alerts"}},
		"an org by its name":  {permission.Definition{Permissions: api("read", object{"type": "buckets", "id": metrics, "org": "acme"})}, scope, []string{"read:" + inAcme + "/buckets/" + metrics + " metrics"}, []string{"bucket " + metrics}},
		"an org by its ID":    {permission.Definition{Permissions: api("read", object{"type": "tasks", "orgID": "0000000000000A01"})}, scope, []string{"read:" + inAcme + "/tasks"}, nil},
		"an org's ID as name": {permission.Definition{Permissions: api("read", object{"type": "tasks", "org": "0000000000000A01"})}, scope, []string{"read:" + inAcme + "/tasks"}, nil},
		"this org by ID":      {permission.Definition{Permissions: api("read", object{"type": "orgs", "id": acme})}, scope, []string{"read:orgs/" + acme}, nil},
		"the owner by ID":     {permission.Definition{Permissions: api("read", object{"type": "users", "id": vault})}, scope, []string{"read:users/" + vault}, nil},
		"an object's org":     {permission.Definition{Permissions: api("read", object{"type": "orgs"})}, scope, []string{"read:orgs/" + acme}, nil},
		"another resource by ID": {permission.Definition{Permissions: api("read", object{"type": "telegrafs", "id": telegraf})}, scope,
			[]string{"read:" + inAcme + "/telegrafs/" + telegraf}, []string{"telegrafs " + telegraf}},
		"another org, where that is allowed":    {permission.Definition{Permissions: api("read", object{"type": "orgs", "id": elsewhere})}, privileged, []string{"read:orgs/" + elsewhere}, nil},
		"another user, where that is allowed":   {permission.Definition{Permissions: api("write", object{"type": "users", "id": admin})}, privileged, []string{"write:users/" + admin}, nil},
		"another's resource, where it is meant": {permission.Definition{Permissions: api("read", object{"type": "telegrafs", "id": stranger})}, privileged, []string{"read:" + inAcme + "/telegrafs/" + stranger}, nil},
		"every organization":                    {permission.Definition{Permissions: api("read", object{"type": "buckets", "orgID": "*"})}, privileged, []string{"read:buckets"}, nil},
		"every user":                            {permission.Definition{Permissions: api("read", object{"type": "users", "orgID": "*"})}, privileged, []string{"read:users"}, nil},
		"twice the same, and what a wider one covers": {permission.Definition{ReadBuckets: []string{"metrics", "id:" + metrics, "*", "alerts"}, WriteBuckets: []string{"alerts", "alerts"}}, scope,
			[]string{"read:" + inAcme + "/buckets", "write:" + inAcme + "/buckets/" + alerts + " alerts"}, nil},
		"a clone": {permission.Definition{Cloned: []permission.Permission{
			{Action: "read", Type: "buckets", ID: metrics, OrgID: acme}, {Action: "write", Type: "tasks", OrgID: acme}, {Action: "read", Type: "orgs", ID: acme},
		}}, scope, []string{"read:" + inAcme + "/buckets/" + metrics + " metrics", "write:" + inAcme + "/tasks", "read:orgs/" + acme}, []string{"bucket " + metrics}},
		"IDs in capitals": {permission.Definition{ReadBuckets: []string{"id:" + metrics}, ReadResources: []string{"orgs", "users"}, Permissions: api("read", object{"type": "telegrafs", "id": telegraf})},
			permission.Scope{OrgID: "0000000000000A01", OrgName: "acme", OwnerID: "0000000000000B01"},
			[]string{"read:" + inAcme + "/buckets/" + metrics + " metrics", "read:orgs/" + acme, "read:users/" + vault, "read:" + inAcme + "/telegrafs/" + telegraf}, nil},
		"nothing": {permission.Definition{}, scope, []string{}, nil},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			d := &directory{}
			permissions, err := permission.Resolve(t.Context(), test.definition, test.scope, d)
			require.NoError(t, err)
			require.Equal(t, test.want, words(permissions))
			if test.asked != nil {
				require.Equal(t, test.asked, d.asked)
			}
		})
	}
}

func TestProblemsOfNames(t *testing.T) {
	unowned, nowhere := scope, scope
	unowned.OwnerID, nowhere.OrgID = "", ""
	const owner = "the token's owner is not known; set user or user_id, in the role or in config"
	tests := map[string]struct {
		definition permission.Definition
		scope      permission.Scope
		similar    []string
		problems   []string
	}{
		"no bucket, and one that looks alike": {permission.Definition{ReadBuckets: []string{"alerts", "metrcs"}}, scope, []string{"metrics"},
			[]string{`read_buckets[1]: no bucket "metrcs" in org "acme"; buckets there that look alike: metrics`}},
		"no bucket, and two that look alike": {permission.Definition{ReadBuckets: []string{"metrcs"}}, scope, []string{"metrics", "metric"},
			[]string{`read_buckets[0]: no bucket "metrcs" in org "acme"; buckets there that look alike: metrics, metric`}},
		"no bucket": {permission.Definition{ReadBuckets: []string{"zebra"}}, scope, nil, []string{`read_buckets[0]: no bucket "zebra" in org "acme"`}},
		"an ID for a name": {permission.Definition{WriteBuckets: []string{"03a2bbf46309a000"}}, scope, []string{"x"},
			[]string{`write_buckets[0]: no bucket named "03a2bbf46309a000"; if this is an ID write id:03a2bbf46309a000`}},
		"no bucket of that ID":                   {permission.Definition{WriteBuckets: []string{"id:" + nothing}}, scope, nil, []string{"write_buckets[0]: no bucket has the ID " + nothing}},
		"another organization's":                 {permission.Definition{ReadBuckets: []string{"id:" + foreign}}, scope, nil, []string{"read_buckets[0]: bucket " + foreign + ` belongs to another organization (` + elsewhere + `), not to "acme"`}},
		"another organization's name":            {permission.Definition{Permissions: api("read", object{"type": "tasks", "org": "other"})}, scope, nil, []string{`permissions[0]: organization "other" is not the role's ("acme", ` + acme + `); a token belongs to one organization`}},
		"another organization's ID":              {permission.Definition{Permissions: api("read", object{"type": "tasks", "orgID": elsewhere})}, scope, nil, []string{`permissions[0]: organization "` + elsewhere + `" is not the role's ("acme", ` + acme + `); a token belongs to one organization`}},
		"an organization's name in another case": {permission.Definition{Permissions: api("read", object{"type": "tasks", "org": "Acme"})}, scope, nil, []string{`permissions[0]: organization "Acme" is not the role's ("acme", ` + acme + `); a token belongs to one organization`}},
		"another organization itself":            {permission.Definition{Permissions: api("read", object{"type": "orgs", "id": elsewhere})}, scope, nil, []string{"permissions[0]: orgs " + elsewhere + ` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`}},
		"another user":                           {permission.Definition{Permissions: api("read", object{"type": "users", "id": admin})}, scope, nil, []string{"permissions[0]: users " + admin + ` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`}},
		"another's resource":                     {permission.Definition{Permissions: api("read", object{"type": "telegrafs", "id": stranger})}, scope, nil, []string{"permissions[0]: telegrafs " + stranger + ` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`}},
		"a resource that is not seen":            {permission.Definition{Permissions: api("read", object{"type": "secrets", "id": nothing})}, scope, nil, []string{"permissions[0]: secrets " + nothing + ` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`}},
		"a clone of a bucket that is gone": {permission.Definition{Cloned: []permission.Permission{{Action: "read", Type: "tasks", OrgID: acme}, {Action: "read", Type: "buckets", ID: nothing, OrgID: acme}}}, scope, nil,
			[]string{"clone_from[1]: no bucket has the ID " + nothing}},
		"a clone that leaves the organization": {permission.Definition{Cloned: []permission.Permission{
			{Action: "read", Type: "telegrafs", ID: stranger, OrgID: acme}, {Action: "read", Type: "orgs", ID: elsewhere}, {Action: "read", Type: "users", ID: admin}, {Action: "read", Type: "buckets", ID: foreign, OrgID: acme},
		}}, scope, nil, []string{
			"clone_from[0]: telegrafs " + stranger + ` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`,
			"clone_from[1]: orgs " + elsewhere + ` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`,
			"clone_from[2]: users " + admin + ` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`,
			"clone_from[3]: bucket " + foreign + " belongs to another organization (" + elsewhere + `), not to "acme"`,
		}},
		"nobody owns it": {permission.Definition{ReadResources: []string{"tasks", "users"}, WriteResources: []string{"*"}}, unowned, nil, []string{"read_resources[1]: " + owner, "write_resources[0]: " + owner}},
		"it is nowhere":  {permission.Definition{ReadResources: []string{"tasks"}}, nowhere, nil, []string{"org: the organization's ID is not known"}},
		"all that can be wrong, at once": {permission.Definition{
			ReadBuckets:  []string{"metrics", "zebra", "id:" + nothing},
			WriteBuckets: []string{"id:" + foreign},
			Permissions:  api("read", object{"type": "tasks", "org": "other"}),
		}, scope, nil, []string{
			`read_buckets[1]: no bucket "zebra" in org "acme"`,
			"read_buckets[2]: no bucket has the ID " + nothing,
			"write_buckets[0]: bucket " + foreign + " belongs to another organization (" + elsewhere + `), not to "acme"`,
			`permissions[0]: organization "other" is not the role's ("acme", ` + acme + `); a token belongs to one organization`,
		}},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			_, err := permission.Resolve(t.Context(), test.definition, test.scope, &directory{similar: test.similar})
			requireProblems(t, test.problems, err)
			var problem *problem.Error
			require.True(t, errors.As(err, &problem))
		})
	}
}

// A look-up that fails ends it, and is no problem of the role's.
func TestLookupsThatFail(t *testing.T) {
	down := errors.New("out of reach")
	for says, d := range map[string]permission.Definition{
		"a bucket by name": {ReadBuckets: []string{"metrics"}},
		"a bucket by ID":   {ReadBuckets: []string{"id:" + metrics}},
		"types":            {WriteResources: []string{"*"}},
		"all-access":       {TokenType: permission.AllAccess},
		"operator":         {TokenType: permission.Operator},
		"a resource":       {Permissions: api("read", object{"type": "telegrafs", "id": telegraf})},
		"a clone":          {Cloned: []permission.Permission{{Action: "read", Type: "buckets", ID: metrics, OrgID: acme}}},
		"after a problem":  {ReadBuckets: []string{"*"}, Permissions: append(api("read", object{"type": "tasks", "org": "other"}), api("read", object{"type": "buckets", "name": "a"})...)},
	} {
		t.Run(says, func(t *testing.T) {
			directory := &directory{down: down}
			permissions, err := permission.Resolve(t.Context(), d, scope, directory)
			require.ErrorIs(t, err, down)
			require.Nil(t, permissions)
			var problem *problem.Error
			require.False(t, errors.As(err, &problem))
			require.Len(t, directory.asked, 1)
		})
	}
}

// All of a type in the organization does not hold a resource of another one, whatever the role may do besides:
// InfluxDB compares IDs alone.
func TestWhatHasToBeWithinAGrantStaysInItsOrganization(t *testing.T) {
	everyTelegraf := permission.Permission{Action: "read", Type: "telegrafs", OrgID: acme}
	named, anywhere := everyTelegraf, everyTelegraf
	named.ID, anywhere.OrgID = stranger, ""
	for says, test := range map[string]struct {
		within []permission.Permission
		id     string
		fine   bool
	}{
		"its own, of all":         {[]permission.Permission{everyTelegraf}, telegraf, true},
		"another's, of all":       {[]permission.Permission{everyTelegraf}, stranger, false},
		"nothing, of all":         {[]permission.Permission{everyTelegraf}, nothing, false},
		"another's, of that":      {[]permission.Permission{everyTelegraf, named}, stranger, true},
		"another's, of every org": {[]permission.Permission{anywhere}, stranger, true},
		"another's, of none":      {[]permission.Permission{}, stranger, false},
	} {
		t.Run(says, func(t *testing.T) {
			scope := scope
			scope.Privileged, scope.Within = true, test.within
			d := permission.Definition{Permissions: api("read", object{"type": "telegrafs", "id": test.id})}
			permissions, err := permission.Resolve(t.Context(), d, scope, &directory{})
			if test.fine {
				require.NoError(t, err)
				require.Len(t, permissions, 1)
				return
			}
			requireProblems(t, []string{"permissions[0]: telegrafs " + test.id + ` can't be seen to be of org "acme"; if it is meant all the same, the role has to name it by this ID`}, err)
		})
	}
}

func TestErrorsOfADirectory(t *testing.T) {
	require.EqualError(t, &permission.NoBucket{}, "no such bucket")
	require.EqualError(t, &permission.NoResource{}, "no such resource, or none that can be asked for")
}
