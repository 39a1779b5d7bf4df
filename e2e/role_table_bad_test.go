package e2e

import "fmt"

const nowhere, meant = "0ada5b0a2d000000", "; if that is meant, set allow_privileged=true"

// manyOf is one item so many times.
func manyOf(item any, count int) []any {
	items := make([]any, count)
	for i := range items {
		items[i] = item
	}
	return items
}

func badLists(l landmarks) []refusal {
	const (
		noList  = "must be a list of strings: a JSON list, or one string with commas between the names"
		anEmpty = "an empty name; allowed: a bucket's name, id:<16 hex digits>, or *"
		nothing = `role "table" would grant nothing: a write replaces the whole role; to change one field use vault patch <mount>/roles/table ttl=5m`
	)
	return []refusal{
		{"unknown bucket", fields{"read_buckets": []string{bucket, "nobody's bucket"}}, []string{`read_buckets[1]: no bucket "nobody's bucket" in org "acme"`}},
		{"misspelt bucket", fields{"write_buckets": "Metrcs"}, []string{`write_buckets[0]: no bucket "Metrcs" in org "acme"; buckets there that look alike: metrics`}},
		{"bucket of another organization", fields{"read_buckets": "id:" + l.namesake.ID}, []string{fmt.Sprintf(`read_buckets[0]: bucket %s belongs to another organization (%s), not to "acme"`, l.namesake.ID, l.other.ID)}},
		{"unknown ID", fields{"read_buckets": []string{"*", "id:" + nowhere}}, []string{"read_buckets[1]: no bucket has the ID " + nowhere}},
		{"ID without id:", fields{"write_buckets": l.metrics.ID}, []string{fmt.Sprintf("write_buckets[0]: no bucket named %q; if this is an ID write id:%[1]s", l.metrics.ID)}},
		{"short ID", fields{"read_buckets": "id:12"}, []string{`read_buckets[0]: "id:12" is not an ID; write id: and 16 hexadecimal digits`}},
		{"ID of zeroes", fields{"read_buckets": "id:0000000000000000"}, []string{`read_buckets[0]: "id:0000000000000000" is not an ID; write id: and 16 hexadecimal digits`}},
		{"empty names", fields{"read_buckets": bucket + ",", "write_buckets": []string{""}}, []string{"read_buckets[1]: " + anEmpty, "write_buckets[0]: " + anEmpty}},
		{"empty type", fields{"read_resources": []string{""}}, []string{"read_resources[0]: an empty name; allowed: a resource type, such as tasks, or *"}},
		{"broken JSON list", fields{"read_buckets": `["metrics"`}, []string{"read_buckets: starts with [ but is not a JSON list of strings"}},
		{"numbers", fields{"read_buckets": []any{"metrics", 5}, "write_resources": "[1]"}, []string{"read_buckets: element 1 must be a string", "write_resources: starts with [ but is not a JSON list of strings"}},
		{"no list", fields{"read_resources": 7, "write_buckets": fields{"a": 1}}, []string{"read_resources: " + noList, "write_buckets: " + noList}},
		{"unknown types", fields{"read_resources": []string{"labels", "metrics"}, "write_resources": "bucket"}, []string{
			`read_resources[1]: "metrics" is not a resource type (buckets, tasks, …); for a bucket use read_buckets`,
			`write_resources[0]: "bucket" is not a resource type (buckets, tasks, …); for a bucket use write_buckets`}},
		{"instance", fields{"read_resources": "instance"}, []string{"read_resources[0]: instance is for InfluxDB's own set-up; no token can hold it"}},
		{"nothing", fields{"ttl": "5m"}, []string{nothing}},
		{"empty lists only", fields{"read_buckets": "", "write_buckets": "[]", "permissions": []any{}, "token_type": "custom"}, []string{nothing}},
		{"over a thousand", fields{"read_buckets": manyOf(bucket, 600), "write_buckets": manyOf(bucket, 401)}, []string{"read_buckets: the role names 1001 permissions; at most 1000 are allowed"}},
		{"over a thousand permissions", fields{"permissions": manyOf(raw("read", "type", "labels"), 1001)}, []string{"permissions: the role names 1001 permissions; at most 1000 are allowed"}},
		{"everything at once", fields{"read_buckets": "nobody's bucket", "write_buckets": "id:" + l.namesake.ID, "read_resources": "label", "org": org,
			"permissions": []any{raw("read", "type", "dashboards", "id", l.foreign), raw("write", "type", "orgs")}}, []string{
			"permissions[1]: write on orgs can change who may do what, and make other tokens" + meant,
			`read_resources[0]: "label" is not a resource type (buckets, tasks, …); for a bucket use read_buckets`,
			`read_buckets[0]: no bucket "nobody's bucket" in org "acme"`,
			fmt.Sprintf(`write_buckets[0]: bucket %s belongs to another organization (%s), not to "acme"`, l.namesake.ID, l.other.ID),
			"permissions[0]: dashboards " + l.foreign + unseen + "; if it is meant all the same, set allow_privileged=true",
		}},
	}
}

func badPermissions(l landmarks) []refusal {
	const noList = `permissions: must be a JSON list of objects such as [{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}]`
	one := func(name string, permission any, says ...string) refusal {
		for i := range says {
			says[i] = "permissions[0]." + says[i]
		}
		return refusal{name, fields{"permissions": []any{permission}}, says}
	}
	whole := func(name string, permissions any, says ...string) refusal {
		return refusal{name, fields{"permissions": permissions}, says}
	}
	unseenHere := unseen + "; if it is meant all the same, set allow_privileged=true"
	return []refusal{
		whole("one object", raw("read", "type", "buckets"), noList),
		whole("one object as a text", `{"action": "read"}`, noList),
		whole("no JSON", "read:buckets", noList),
		whole("numbers for permissions", []any{1}, noList),
		one("an empty object", fields{}, "action: missing", `resource: must be an object such as {"type": "buckets", "name": "metrics"}`),
		one("another action", raw("delete", "type", "buckets"), `action: "delete" is not an action; allowed: read, write`),
		one("no type", raw("read", "id", l.metrics.ID), "resource.type: missing"),
		one("a number for a type", fields{"action": "read", "resource": fields{"type": 5}}, "resource.type: must be a string"),
		one("unknown keys", fields{"action": "read", "status": "active", "resource": fields{"type": "buckets", "bucket": bucket}},
			"status: unknown key; allowed: action, resource", "resource.bucket: unknown key; allowed: type, id, name, org, orgID"),
		one("every type at once", raw("read", "type", "*"), `resource.type: "*" is not a resource type; use read_resources=* or write_resources=*`),
		one("instance as a permission", raw("read", "type", "instance"), "resource.type: instance is for InfluxDB's own set-up; no token can hold it"),
		one("a name of another type", raw("read", "type", "dashboards", "name", "mine"), "resource.name: names are understood for buckets only; give the id"),
		one("an empty bucket name", raw("read", "type", "buckets", "name", ""), "resource.name: empty; leave it out for all buckets"),
		one("name beside ID", raw("read", "type", "buckets", "name", bucket, "id", l.metrics.ID), "resource.name: give either name or id"),
		one("no ID", raw("read", "type", "buckets", "id", "id:"+l.metrics.ID), fmt.Sprintf(`resource.id: "id:%s" is not an ID of 16 hexadecimal digits`, l.metrics.ID)),
		one("an empty ID", raw("read", "type", "buckets", "id", ""), `resource.id: "" is not an ID of 16 hexadecimal digits`),
		one("org beside orgID", raw("read", "type", "buckets", "org", org, "orgID", l.home.ID), "resource.orgID: give either org or orgID"),
		one("a name for orgID", raw("read", "type", "buckets", "orgID", org), `resource.orgID: "acme" is not an ID of 16 hexadecimal digits, nor "*" for every organization`),
		one("one bucket everywhere", raw("read", "type", "buckets", "orgID", "*", "id", l.metrics.ID), `resource.orgID: "*" (every organization) excludes id, name and org`),
		whole("another organization by name", []any{raw("read", "type", "labels", "org", l.other.Name)}, fmt.Sprintf(`permissions[0]: organization %q is not the role's ("acme", %s); a token belongs to one organization`, l.other.Name, l.home.ID)),
		whole("another organization by ID", []any{raw("read", "type", "buckets", "name", bucket, "orgID", l.other.ID)}, fmt.Sprintf(`permissions[0]: organization %q is not the role's ("acme", %s); a token belongs to one organization`, l.other.ID, l.home.ID)),
		whole("no bucket is named *", []any{raw("read", "type", "buckets", "name", "*")}, `permissions[0]: no bucket "*" in org "acme"`),
		whole("no such bucket ID", []any{raw("read", "type", "labels"), raw("write", "type", "buckets", "id", nowhere)}, "permissions[1]: no bucket has the ID "+nowhere),
		whole("another organization's dashboard", []any{raw("read", "type", "dashboards", "id", l.foreign)}, "permissions[0]: dashboards "+l.foreign+unseenHere),
		whole("another organization itself", []any{raw("read", "type", "orgs", "id", l.other.ID)}, "permissions[0]: orgs "+l.other.ID+unseenHere),
		whole("another user", []any{raw("read", "type", "users", "id", l.dedicated.ID)}, "permissions[0]: users "+l.dedicated.ID+unseenHere),
		whole("a type of its own", []any{raw("read", "type", "bucket")}, `permissions[0]: "bucket" is not a resource type (buckets, tasks, …)`),
	}
}

func badFields(l landmarks) []refusal {
	with := func(name string, more fields, says ...string) refusal {
		more["read_buckets"] = bucket
		return refusal{name, more, says}
	}
	return []refusal{
		with("unknown organization", fields{"org": "globex"}, `org: no organization "globex" that the root token can see`),
		with("unknown organization ID", fields{"org_id": nowhere}, "org_id: no organization has the ID "+nowhere),
		with("no organization ID", fields{"org_id": org}, `org_id: "acme" is not an ID of 16 hexadecimal digits`, "org_id: no organization has the ID acme"),
		with("two organizations", fields{"org": org, "org_id": l.home.ID}, "org: give either org or org_id"),
		with("unknown user", fields{"user": "nobody"}, `user: no user "nobody" that the root token can see`),
		with("unknown user ID", fields{"user_id": nowhere}, "user_id: no user has the ID "+nowhere),
		with("no user ID", fields{"user_id": user}, `user_id: "root" is not an ID of 16 hexadecimal digits`, "user_id: no user has the ID root"),
		with("two users", fields{"user": user, "user_id": l.root.ID}, "user: give either user or user_id"),
		with("inactive user", fields{"user": l.idle.Name}, fmt.Sprintf("user: %q is inactive: its tokens would be refused", l.idle.Name)),
		with("inactive user by ID", fields{"user_id": l.idle.ID}, fmt.Sprintf("user: %q is inactive: its tokens would be refused", l.idle.Name)),
		with("neither organization nor user", fields{"org": "globex", "user": "nobody"}, `org: no organization "globex" that the root token can see`, `user: no user "nobody" that the root token can see`),
		with("first longer than longest", fields{"ttl": "2h", "max_ttl": "1h"}, "ttl: 7200s is longer than max_ttl, 3600s"),
		with("no number", fields{"max_leases": -1, "org": 5, "allow_privileged": "perhaps"}, "allow_privileged: must be true or false", "max_leases: must be a whole number, 0 or more", "org: must be a string"),
		with("unknown type of token", fields{"token_type": "read-only"}, `token_type: "read-only" is not known; allowed: custom, all-access, operator`),
		with("all-access and a list", fields{"token_type": "all-access", "allow_privileged": true, "write_resources": "labels"}, "token_type: all-access already grants everything; leave read_buckets, write_resources out"),
		with("operator and a list", fields{"token_type": "operator", "allow_privileged": true}, "token_type: operator already grants everything; leave read_buckets out"),
		with("no ID to clone", fields{"clone_from": l.metrics.ID + "0"}, "clone_from: must be an authorization's ID of 16 hexadecimal digits"),
		with("clone of nothing", fields{"clone_from": nowhere}, "clone_from: no authorization has the ID "+nowhere+", or its owner or organization is gone"),
	}
}

// unmeantRoles are good but for allow_privileged: each danger has to be meant.
func unmeantRoles(l landmarks) []refusal {
	const later, others = " can leave something behind that runs later with all the rights of the token's owner" + meant, ` other tokens of org "acme"` + meant
	return []refusal{
		{"all-access", fields{"token_type": "all-access"}, []string{"token_type all-access can read and make" + others}},
		{"operator", fields{"token_type": "operator"}, []string{"token_type operator can do everything in every organization, and make other tokens" + meant}},
		{"read authorizations", fields{"read_resources": "authorizations"}, []string{"read_resources[0]: read on authorizations can read" + others}},
		{"write authorizations", fields{"write_resources": "authorizations"}, []string{"write_resources[0]: write on authorizations can make" + others}},
		{"every type", fields{"read_resources": "*", "write_resources": "*"}, []string{"read_resources[0]: read on every type can read" + others, "write_resources[0]: write on every type can make" + others}},
		{"write users", fields{"write_resources": "users"}, []string{"write_resources[0]: write on users can change who may do what, and make other tokens" + meant}},
		{"what runs later", fields{"write_resources": "tasks,labels,checks,notificationRules"}, []string{"write_resources[0]: write on tasks" + later, "write_resources[2]: write on checks" + later, "write_resources[3]: write on notificationRules" + later}},
		{"one task", fields{"permissions": []any{raw("write", "type", "tasks", "id", l.board)}}, []string{"permissions[0]: write on tasks" + later,
			"permissions[0]: tasks " + l.board + unseen + "; if it is meant all the same, set allow_privileged=true"}},
		{"every organization", fields{"permissions": []any{raw("read", "type", "buckets", "orgID", "*")}}, []string{`permissions[0]: read on buckets of every organization leaves org "acme"` + meant}},
	}
}
