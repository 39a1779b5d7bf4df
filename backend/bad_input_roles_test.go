package backend

import (
	"strings"
	"testing"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestBadRoles(t *testing.T) {
	t.Parallel()
	influxtest.NotOnCloud(t, "it has no operator tokens")
	m := newMount(t)
	m.connected()
	var cases []bad
	for _, text := range []string{"org", "org_id", "token_type", "clone_from", "user", "user_id", "description"} {
		cases = append(append(cases, notText(text)...), tooLong(text, 1024, "at most 1024 are allowed")...)
	}
	for _, list := range []string{"read_buckets", "write_buckets", "read_resources", "write_resources"} {
		cases = append(cases, notList(list)...)
		cases = append(cases,
			wrong(list, "empty name", "a,,b", list+"[1]: an empty name; allowed: "),
			wrong(list, "empty name in a list", []any{"a", ""}, list+"[1]: an empty name; allowed: "))
	}
	for _, id := range []string{"org_id", "user_id"} {
		cases = append(cases, badID(id)...)
	}
	for _, duration := range []string{"ttl", "max_ttl"} {
		cases = append(cases, notDuration(duration)...)
	}
	cases = append(append(append(cases, notNumber("max_leases")...), notFlag("allow_privileged")...), notFlag("verify")...)
	cases = append(append(cases, badRoleValues()...), badPermissions()...)
	good := map[string]any{"read_buckets": "metrics"}
	t.Run("update", func(t *testing.T) { refuseAll(t, m, logical.UpdateOperation, "roles/app", good, cases) })
	t.Run("patch", func(t *testing.T) { refuseAll(t, m, logical.PatchOperation, "roles/app", nil, cases) })
	t.Run("create", func(t *testing.T) { refuseAll(t, m, logical.UpdateOperation, "roles/fresh", good, badRoleValues()) })
	good["verify"] = false
	t.Run("not verified", func(t *testing.T) { refuseAll(t, m, logical.UpdateOperation, "roles/app", good, badRoleValues()) })
}

// badRoleValues are values of the right type that can't be used.
func badRoleValues() []bad {
	cases := []bad{
		wrong("clone_from", "no ID", "app", "clone_from: must be an authorization's ID of 16 hexadecimal digits"),
		wrong("user", "bad template", "{{identity.entity.name", "is not an identity template"),
		wrong("read_buckets", "bad template", "a,{{identity.entity.name", `read_buckets[1]: "{{identity.entity.name" is not an identity template`),
		{"ttl above max_ttl", map[string]any{"ttl": "2h", "max_ttl": "1h"}, []string{"ttl: 7200s is longer than max_ttl, 3600s"}},
		{"org and org_id", map[string]any{"org": "acme", "org_id": "03a2bbf46309a000"}, []string{"org: give either org or org_id"}},
		{"user and user_id", map[string]any{"user": "admin", "user_id": "03a2bbf46309a000"}, []string{"user: give either user or user_id"}},
		wrong("token_type", "unknown", "root", `"root" is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin`),
		{"all-access beside buckets", map[string]any{"token_type": "all-access", "allow_privileged": true, "read_buckets": "metrics"}, []string{"token_type: all-access already grants everything; leave read_buckets"}},
		{"operator beside buckets", map[string]any{"token_type": "operator", "allow_privileged": true, "read_buckets": "metrics"}, []string{"token_type: operator already grants everything"}},
		wrong("read_buckets", "not an ID", "id:metrics", `read_buckets[0]: "id:metrics" is not an ID; write id: and 16 hexadecimal digits`),
		wrong("write_buckets", "empty ID", "id:", "write_buckets[0]: ", "write id: and 16 hexadecimal digits"),
		wrong("read_resources", "instance", "tasks,instance", "read_resources[1]: instance is for InfluxDB's own set-up"),
		wrong("read_buckets", "too many", strings.TrimSuffix(strings.Repeat("a,", 1001), ","), "at most 1000 are allowed"),
		wrong("description", "not closed", "{{.Role", "{{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}}"),
		wrong("description", "unknown field", "{{.Token}}", "not a template that can be used"),
		wrong("description", "unknown function", "{{nope}}", "not a template that can be used"),
		{"unknown field", map[string]any{"polices": "x"}, []string{"polices: unknown field; allowed here: allow_privileged, ", "max_leases, max_ttl"}},
		{"name in the body", map[string]any{"name": "other"}, []string{"name: stands in the path; leave it out of the body"}},
		{"name of the wrong type", map[string]any{"name": []any{canary}}, []string{"name: stands in the path"}},
		{"several at once", map[string]any{"ttl": "2h", "max_ttl": "1h", "read_buckets": "a,", "user_id": "x", "description": "{{"},
			[]string{"ttl: ", "read_buckets[1]: ", "user_id: ", "description: "}},
	}
	return cases
}

// badPermissions are permissions that InfluxDB would refuse, or would take for something else.
func badPermissions() []bad {
	const form = "permissions: must be a JSON list of objects such as "
	resource := func(keys map[string]any) []any {
		return []any{map[string]any{"action": "read", "resource": keys}}
	}
	cases := []bad{
		wrong("permissions", "number", 7, form), wrong("permissions", "boolean", true, form),
		wrong("permissions", "one object", map[string]any{"action": "read"}, form),
		wrong("permissions", "words", "read:buckets", form), wrong("permissions", "broken JSON", `[{"action":`, form),
		wrong("permissions", "one object in JSON", `{"action":"read"}`, form), wrong("permissions", "JSON of words", `["read"]`, form),
		wrong("permissions", "list of numbers", []any{7}, form), wrong("permissions", "list of lists", []any{[]any{}}, form),
		wrong("permissions", "list of words", []any{"read"}, form),
		wrong("permissions", "too long", veryLong, "too long", "at most 1048576 are allowed"),
	}
	for _, c := range []struct {
		name  string
		value any
		says  string
	}{
		{"no action", []any{map[string]any{"resource": map[string]any{"type": "buckets"}}}, "permissions[0].action: missing"},
		{"unknown action", []any{map[string]any{"action": "delete", "resource": map[string]any{"type": "buckets"}}}, `permissions[0].action: "delete" is not an action; allowed: read, write`},
		{"action is no text", []any{map[string]any{"action": 1, "resource": map[string]any{"type": "buckets"}}}, "permissions[0].action: must be a string"},
		{"no resource", []any{map[string]any{"action": "read"}}, "permissions[0].resource: must be an object"},
		{"resource is text", `[{"action":"read","resource":"buckets"}]`, "permissions[0].resource: must be an object"},
		{"unknown key", []any{map[string]any{"action": "read", "resource": map[string]any{"type": "buckets"}, "effect": "allow"}}, "permissions[0].effect: unknown key; allowed: action, resource"},
		{"unknown key below", resource(map[string]any{"type": "buckets", "bucket": "metrics"}), "permissions[0].resource.bucket: unknown key; allowed: type, id, name, org, orgID"},
		{"no type", resource(map[string]any{"name": "metrics"}), "permissions[0].resource.type: missing"},
		{"type is no text", resource(map[string]any{"type": 7}), "permissions[0].resource.type: must be a string"},
		{"every type", resource(map[string]any{"type": "*"}), `permissions[0].resource.type: "*" is not a resource type; use read_resources=*`},
		{"instance", resource(map[string]any{"type": "instance"}), "permissions[0].resource.type: instance is for InfluxDB's own set-up"},
		{"bad id", resource(map[string]any{"type": "tasks", "id": "7"}), "permissions[0].resource.id: "},
		{"name of a task", resource(map[string]any{"type": "tasks", "name": "t"}), "permissions[0].resource.name: names are understood for buckets only"},
		{"empty name", resource(map[string]any{"type": "buckets", "name": ""}), "permissions[0].resource.name: empty; leave it out for all buckets"},
		{"name and id", resource(map[string]any{"type": "buckets", "name": "metrics", "id": "03a2bbf46309a000"}), "permissions[0].resource.name: give either name or id"},
		{"empty org", resource(map[string]any{"type": "buckets", "org": ""}), "permissions[0].resource.org: empty"},
		{"bad orgID", resource(map[string]any{"type": "buckets", "orgID": "acme"}), "permissions[0].resource.orgID: "},
		{"org and orgID", resource(map[string]any{"type": "buckets", "org": "acme", "orgID": "03a2bbf46309a000"}), "permissions[0].resource.orgID: give either org or orgID"},
		{"every org and an id", resource(map[string]any{"type": "buckets", "orgID": "*", "id": "03a2bbf46309a000"}), `permissions[0].resource.orgID: "*" (every organization) excludes`},
		{"the second", `[{"action":"read","resource":{"type":"buckets"}},{"action":"read"}]`, "permissions[1].resource: must be an object"},
	} {
		cases = append(cases, bad{"permissions: " + c.name, map[string]any{"permissions": c.value}, []string{c.says}})
	}
	return cases
}

func TestBadCreds(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	cases := append(notDuration("ttl"), badPermissions()...)
	for _, list := range []string{"read_buckets", "write_buckets", "read_resources", "write_resources"} {
		cases = append(append(cases, notList(list)...), wrong(list, "empty name", "a,,b", list+"[1]: an empty name; allowed: "))
	}
	cases = append(cases,
		wrong("read_buckets", "not an ID", "id:x", "write id: and 16 hexadecimal digits"),
		wrong("write_buckets", "more than the role has", "*", `write_buckets[0]: role "app" does not cover `),
		wrong("read_resources", "more than the role has", "tasks", `read_resources[0]: role "app" does not cover `),
		bad{"unknown field", map[string]any{"tll": canary}, []string{"tll: unknown field; allowed here: ", "ttl"}},
		bad{"name in the body", map[string]any{"name": "other"}, []string{"name: stands in the path; leave it out of the body"}})
	for _, op := range []logical.Operation{logical.ReadOperation, logical.UpdateOperation} {
		t.Run(string(op), func(t *testing.T) {
			refuseAll(t, m, op, "creds/app", nil, cases)
			require.Contains(t, m.in(t).rejected(op, "creds/nobody", nil), `role "nobody" does not exist; vault list influxdb/roles shows those that do`)
		})
	}
	require.Empty(t, live(server))
}

func TestBadCheck(t *testing.T) {
	m := newMount(t)
	m.connected()
	cases := append(append(notText("role"), tooLong("role", 1024, "at most 1024 are allowed")...),
		wrong("role", "that is none", "nobody", `role "nobody" does not exist`), wrong("role", "that can be none", "a..b", `role "a..b" does not exist`))
	refuseAll(t, m, logical.ReadOperation, "check", nil, cases)
}

func TestBadLists(t *testing.T) {
	m := newMount(t)
	m.connected()
	cases := append(notNumber("limit"), tooLong("after", 1024, "at most 1024 are allowed")...)
	cases = append(append(cases, notText("after")...),
		bad{"unknown field", map[string]any{"offset": 1}, []string{"offset: unknown field; allowed here: after, limit"}})
	for _, path := range []string{"roles", "roles/"} {
		refuseAll(t, m, logical.ListOperation, path, nil, cases)
	}
}

// Reads and deletions take no field, and say so instead of ignoring one.
func TestUnknownFieldsOnReadsAndDeletions(t *testing.T) {
	m := newMount(t)
	m.connected()
	for _, path := range []string{"config", "roles/app"} {
		for _, op := range []logical.Operation{logical.ReadOperation, logical.DeleteOperation} {
			text := m.rejected(op, path, map[string]any{"version": "3"})
			require.Contains(t, text, "version: unknown field; allowed here: ", path)
		}
	}
}

func TestBadNames(t *testing.T) {
	names := []string{
		"..", ".", "a..b", "-a", ".a", "a-", "a.", "-", "a b", "a/b", "a/", "/a", "a//b", "ä", "日本", "a@b", "a:b", "a,b", "a%2fb", `a"b`, "*", "+",
		"{{.}}", strings.Repeat("a", 129),
	}
	m := newMount(t)
	server := m.connected()
	for _, name := range names {
		for _, op := range []logical.Operation{logical.ReadOperation, logical.UpdateOperation, logical.PatchOperation, logical.DeleteOperation} {
			text := m.rejected(op, "roles/"+name, map[string]any{})
			require.True(t, strings.HasPrefix(text, "name: "), "%s %s: %s", op, name, text)
		}
		for _, op := range []logical.Operation{logical.ReadOperation, logical.UpdateOperation} {
			require.True(t, strings.HasPrefix(m.rejected(op, "creds/"+name, nil), "name: "), "%s %s", op, name)
		}
	}
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/a b", nil), `name: "a b" can't be used; allowed: letters, digits and _, inside also - and single dots`)
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/"+strings.Repeat("a", 129), nil), "name: too long: 129 bytes; at most 128 are allowed")
	require.Empty(t, live(server))
	for _, name := range []string{"a", "_", "A.b-c_D.9", "0", strings.Repeat("a", 128)} {
		m.write("roles/"+name, map[string]any{"read_buckets": "metrics"})
		require.NoError(t, m.mint(name).revoke(t.Context()))
	}
}
