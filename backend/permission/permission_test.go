package permission_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
)

func TestIsID(t *testing.T) {
	for _, id := range []string{"03a2bbf46309a000", "03A2BBF46309A000", "0000000000000001", "ffffffffffffffff"} {
		require.True(t, permission.IsID(id), id)
	}
	for _, other := range []string{
		"", "metrics", "03a2bbf46309a00", "03a2bbf46309a0000", "0000000000000000", "03a2bbf46309a00g",
		"03a2bbf46309a00 ", "id:a2bbf46309a000", "03a2bbf46309a0é", strings.Repeat("é", 8), "０000000000000",
	} {
		require.False(t, permission.IsID(other), other)
	}
}

func TestProblemsAreLines(t *testing.T) {
	require.NoError(t, problem.List{}.Err())
	one := problem.InField("read_buckets[1]", "no")
	problems := problem.List{one, errors.New("two")}
	require.EqualError(t, problems.Err(), "read_buckets[1]: no\ntwo")
	require.ErrorIs(t, problems.Err(), one)
}

func TestPlaces(t *testing.T) {
	require.Equal(t, "permissions[7]", permission.Place{List: "permissions", Index: 7}.String())
	require.Equal(t, "token_type", permission.Place{List: "token_type"}.String())
}

func TestPermissionsInWords(t *testing.T) {
	tests := map[string]struct {
		permission permission.Permission
		text, said string
	}{
		"a bucket":             {permission.Permission{Action: "write", Type: "buckets", ID: metrics, OrgID: acme, Name: "metrics"}, "write:orgs/" + acme + "/buckets/" + metrics, "write:buckets/metrics in org acme"},
		"all buckets":          {permission.Permission{Action: "read", Type: "buckets", OrgID: acme}, "read:orgs/" + acme + "/buckets", "read:buckets in org acme"},
		"another organization": {permission.Permission{Action: "read", Type: "buckets", OrgID: elsewhere}, "read:orgs/" + elsewhere + "/buckets", "read:buckets in org " + elsewhere},
		"a user":               {permission.Permission{Action: "read", Type: "users", ID: vault}, "read:users/" + vault, "read:users/" + vault},
		"everywhere":           {permission.Permission{Action: "write", Type: "tasks"}, "write:tasks", "write:tasks in every organization"},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			require.Equal(t, test.text, test.permission.String())
			require.Equal(t, test.said, test.permission.Words(scope))
		})
	}
	nameless := permission.Permission{Action: "read", Type: "buckets", OrgID: acme}
	require.Equal(t, "read:buckets in org "+acme, nameless.Words(permission.Scope{OrgID: acme}))
}

// What holding one permission allows: InfluxDB's rule, but that an ID of another organization is not covered.
func TestMissing(t *testing.T) {
	all := permission.Permission{Action: "read", Type: "buckets"}
	inAcme := permission.Permission{Action: "read", Type: "buckets", OrgID: acme}
	one := permission.Permission{Action: "read", Type: "buckets", ID: metrics, OrgID: acme}
	oneByID := permission.Permission{Action: "read", Type: "buckets", ID: metrics}
	away := permission.Permission{Action: "read", Type: "buckets", ID: metrics, OrgID: elsewhere}
	writing := permission.Permission{Action: "write", Type: "buckets", ID: metrics, OrgID: acme}
	tasks := permission.Permission{Action: "read", Type: "tasks", OrgID: acme}
	tests := map[string]struct{ held, wanted, missing []permission.Permission }{
		"nothing wanted":        {nil, nil, nil},
		"nothing held":          {nil, []permission.Permission{one}, []permission.Permission{one}},
		"the same":              {[]permission.Permission{one}, []permission.Permission{one}, nil},
		"a global one":          {[]permission.Permission{all}, []permission.Permission{all, inAcme, one, oneByID, away}, nil},
		"an organization's":     {[]permission.Permission{inAcme}, []permission.Permission{inAcme, one, all, oneByID, away}, []permission.Permission{all, oneByID, away}},
		"a single one":          {[]permission.Permission{one}, []permission.Permission{one, inAcme, all, oneByID, away}, []permission.Permission{inAcme, all, oneByID, away}},
		"a single one anywhere": {[]permission.Permission{oneByID}, []permission.Permission{one, oneByID, away, inAcme}, []permission.Permission{inAcme}},
		"other kinds":           {[]permission.Permission{all}, []permission.Permission{writing, tasks}, []permission.Permission{writing, tasks}},
		"several":               {[]permission.Permission{tasks, one, writing}, []permission.Permission{writing, one, tasks}, nil},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			require.Equal(t, test.missing, permission.Missing(test.held, test.wanted))
		})
	}
}

func TestNormal(t *testing.T) {
	named := func(p permission.Permission, name string, index int) permission.Permission {
		p.Name, p.Place = name, permission.Place{List: "read_buckets", Index: index}
		return p
	}
	all := permission.Permission{Action: "read", Type: "buckets"}
	inAcme := permission.Permission{Action: "read", Type: "buckets", OrgID: acme}
	one := permission.Permission{Action: "read", Type: "buckets", ID: metrics, OrgID: acme}
	two := permission.Permission{Action: "read", Type: "buckets", ID: alerts, OrgID: acme}
	writing := permission.Permission{Action: "write", Type: "buckets", ID: metrics, OrgID: acme}
	tests := map[string]struct{ given, want []permission.Permission }{
		"nothing":            {nil, []permission.Permission{}},
		"nothing to drop":    {[]permission.Permission{two, writing, one}, []permission.Permission{two, writing, one}},
		"twice":              {[]permission.Permission{named(one, "metrics", 0), two, named(one, "", 2)}, []permission.Permission{named(one, "metrics", 0), two}},
		"wide and narrow":    {[]permission.Permission{one, inAcme, two, writing}, []permission.Permission{inAcme, writing}},
		"wider and wide":     {[]permission.Permission{inAcme, one, all}, []permission.Permission{all}},
		"wide twice":         {[]permission.Permission{named(inAcme, "", 0), named(inAcme, "", 1)}, []permission.Permission{named(inAcme, "", 0)}},
		"in two, and by IDs": {[]permission.Permission{inAcme, {Action: "read", Type: "buckets", OrgID: elsewhere}, {Action: "read", Type: "orgs", ID: acme}}, []permission.Permission{inAcme, {Action: "read", Type: "buckets", OrgID: elsewhere}, {Action: "read", Type: "orgs", ID: acme}}},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			normal := permission.Normal(test.given)
			require.Equal(t, test.want, normal)
			require.Empty(t, permission.Missing(normal, test.given), "nothing is lost")
			require.Empty(t, permission.Missing(test.given, normal), "nothing is won")
			require.Equal(t, normal, permission.Normal(normal))
		})
	}
}
