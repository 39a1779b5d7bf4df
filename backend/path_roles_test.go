package backend

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// emptyRole is what a role reads back as where nothing was written.
func emptyRole(more map[string]any) map[string]any {
	role := map[string]any{
		"org": "", "org_id": "", "token_type": "custom", "read_buckets": []string{}, "write_buckets": []string{},
		"read_resources": []string{}, "write_resources": []string{}, "read_databases": []string{}, "write_databases": []string{}, "permissions": []any{}, "clone_from": "", "user": "", "user_id": "",
		"description": "", "ttl": 0, "max_ttl": 0, "max_leases": 0, "allow_privileged": false,
	}
	for field, value := range more {
		role[field] = value
	}
	return role
}

// fullRole uses every field but org_id, user_id, clone_from and verify.
func fullRole() map[string]any {
	return map[string]any{
		"org": "acme", "token_type": "custom", "read_buckets": []string{"metrics"}, "write_buckets": []string{"metrics"},
		"read_resources": []string{"tasks"}, "write_resources": []string{"dashboards"}, "read_databases": []string{}, "write_databases": []string{},
		"permissions": []any{map[string]any{"action": "read", "resource": map[string]any{"type": "buckets", "name": "metrics"}}},
		"user":        "admin", "description": "for {{.Role}}", "ttl": 300, "max_ttl": 3600, "max_leases": 5, "allow_privileged": true,
	}
}

func TestRolesAreReplacedByPOST(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	m.connected()
	require.Nil(t, m.read("roles/full"), "nothing is there: 404")
	m.write("roles/full", fullRole())
	sameData(t, emptyRole(fullRole()), m.read("roles/full").Data)
	m.write("roles/full", map[string]any{"write_resources": "telegrafs"})
	sameData(t, emptyRole(map[string]any{"write_resources": []string{"telegrafs"}}), m.read("roles/full").Data)
}

func TestRolesAreMergedByPATCH(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server := m.connected()
	status, text := m.refused(logical.PatchOperation, "roles/full", map[string]any{"ttl": "5m"})
	require.Equal(t, 404, status)
	require.Equal(t, `role "full" does not exist; write it first`, text)

	m.write("roles/full", fullRole())
	want := emptyRole(fullRole())
	patch := func(data, changed map[string]any) {
		t.Helper()
		m.ok(logical.PatchOperation, "roles/full", data)
		for field, value := range changed {
			want[field] = value
		}
		sameData(t, want, m.read("roles/full").Data)
	}
	patch(nil, nil)
	patch(map[string]any{"ttl": "10m"}, map[string]any{"ttl": 600})
	patch(map[string]any{"org_id": server.OrgID(), "user_id": server.UserID()},
		map[string]any{"org": "", "org_id": server.OrgID(), "user": "", "user_id": server.UserID()})
	patch(map[string]any{"org": "acme"}, map[string]any{"org": "acme", "org_id": ""})
	patch(map[string]any{"read_buckets": []string{}}, map[string]any{"read_buckets": []string{}})
	patch(map[string]any{"write_buckets": ""}, map[string]any{"write_buckets": []string{}})
	patch(map[string]any{"permissions": ""}, map[string]any{"permissions": []any{}})
	for field, empty := range map[string]any{
		"ttl": 0, "max_ttl": 0, "max_leases": 0, "allow_privileged": false, "description": "", "user_id": "", "org": "",
		"read_resources": []string{}, "token_type": "custom", "permissions": []any{},
	} {
		patch(map[string]any{field: nil}, map[string]any{field: empty})
	}
	require.Contains(t, m.rejected(logical.PatchOperation, "roles/full", map[string]any{"write_resources": nil}), "would grant nothing")
}

// What was written is read back: order, duplicates, spaces and capitals too.
func TestRolesReadBackAsWritten(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for _, name := range []string{"a,b", "Ünï cödé", "[x", " padded "} {
		server.AddBucket(server.OrgID(), name)
	}
	object := map[string]any{"action": "write", "resource": map[string]any{"type": "buckets", "id": server.BucketID(), "orgID": server.OrgID()}}
	read := map[string]any{"action": "read", "resource": map[string]any{"type": "buckets", "name": "metrics", "org": "acme"}}
	const asJSON = `[{"action":"read","resource":{"type":"buckets","name":"metrics","org":"acme"}}]`
	for name, c := range map[string]struct{ field, value, want any }{
		"comma list":                 {"read_buckets", "metrics,[x, metrics ,id:" + server.BucketID(), []string{"metrics", "[x", "metrics", "id:" + server.BucketID()}},
		"capitals in an ID":          {"read_buckets", "id:" + strings.ToUpper(server.BucketID()), []string{"id:" + strings.ToUpper(server.BucketID())}},
		"order and duplicates":       {"read_buckets", []string{"metrics", "[x", "metrics", "*"}, []string{"metrics", "[x", "metrics", "*"}},
		"comma in a list":            {"read_buckets", []string{"a,b", "metrics"}, []string{"a,b", "metrics"}},
		"comma in a JSON list":       {"read_buckets", `["a,b", "Ünï cödé", " padded ", "[x"]`, []string{"a,b", "Ünï cödé", " padded ", "[x"}},
		"JSON list with a newline":   {"read_buckets", "[\"a,b\"]\n", []string{"a,b"}},
		"one name with a newline":    {"read_buckets", "metrics\n", []string{"metrics"}},
		"empty JSON list":            {"read_buckets", `[]`, []string{}},
		"resources":                  {"write_resources", "views , views,labels", []string{"views", "views", "labels"}},
		"permissions as a list":      {"permissions", []any{object, read, object}, []any{object, read, object}},
		"permissions as Go has them": {"permissions", []map[string]any{object}, []any{object}},
		"permissions as JSON":        {"permissions", asJSON, []any{read}},
		"permissions from a file":    {"permissions", asJSON + "\n", []any{read}},
		"permissions as @file":       {"permissions", []any{asJSON}, []any{read}},
		"permissions, two files":     {"permissions", []any{asJSON, asJSON}, []any{read, read}},
		"permissions, both forms":    {"permissions", []any{object, asJSON}, []any{object, read}},
		"permissions, empty list":    {"permissions", []any{}, []any{}},
		"permissions, JSON null":     {"permissions", "null", []any{}},
		"description with a newline": {"description", "team A {{.DisplayName}}\n", "team A {{.DisplayName}}"},
	} {
		data := map[string]any{"read_resources": "tasks", c.field.(string): c.value}
		m.write("roles/app", data)
		sameData(t, emptyRole(map[string]any{"read_resources": []string{"tasks"}, c.field.(string): c.want}), m.read("roles/app").Data)
		require.NoError(t, m.try(logical.ReadOperation, "creds/app", nil), name)
	}
}

func TestRolesAreListed(t *testing.T) {
	m := newMount(t)
	list := func(data map[string]any) []string {
		t.Helper()
		resp := m.ok(logical.ListOperation, "roles/", data)
		keys, ok := resp.Data["keys"].([]string)
		if !ok { // over the plugin protocol
			for _, key := range asList(resp.Data["keys"]) {
				keys = append(keys, key.(string))
			}
		}
		return keys
	}
	require.Empty(t, list(nil))
	names := []string{"a", "b", "b.c", "b_d", "B"}
	for _, name := range names {
		m.write("roles/"+name, map[string]any{"read_buckets": "metrics"})
	}
	sorted := []string{"B", "a", "b", "b.c", "b_d"}
	for _, c := range []struct {
		data map[string]any
		want []string
	}{
		{nil, sorted},
		{map[string]any{"limit": "2"}, sorted[:2]},
		{map[string]any{"limit": 2, "after": "a"}, sorted[2:4]},
		{map[string]any{"limit": 2, "after": "b.c"}, sorted[4:]},
		{map[string]any{"after": "b_d"}, nil},
		{map[string]any{"after": "bb"}, nil},
		{map[string]any{"after": "aa"}, sorted[2:]},
		{map[string]any{"after": "", "limit": 0}, sorted},
		{map[string]any{"after": nil, "limit": nil}, sorted},
		{map[string]any{"limit": 5.0}, sorted},
		{map[string]any{"limit": "100"}, sorted},
	} {
		require.Equal(t, c.want, list(c.data), "%v", c.data)
	}
}

func asList(value any) []any {
	list, _ := value.([]any)
	return list
}

func TestRolesAreDeleted(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	for range 2 { // a second time does no harm
		require.Nil(t, m.ok(logical.DeleteOperation, "roles/app", nil))
		require.Nil(t, m.read("roles/app"))
	}
	require.Contains(t, m.rejected(logical.ReadOperation, "creds/app", nil), `role "app" does not exist`)
	require.Len(t, live(server), 1, "what it minted lives on")
	tidyUp(t, server, l)
}

func TestRolesNeedTheMountsLimits(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	m.configure(server)
	m.system.MaxLeaseTTLVal = 0 // over the plugin protocol a look-up that failed
	require.ErrorContains(t, m.try(logical.UpdateOperation, "roles/app", map[string]any{"read_buckets": "metrics"}), noLimitsText)
	require.Nil(t, m.read("roles/app"))
}
