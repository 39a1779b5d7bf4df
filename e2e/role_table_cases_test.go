package e2e

import (
	"encoding/json"
	"fmt"
	"strings"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// fields are a role's.
type fields = map[string]any

func bucketRoles(l landmarks) []definition {
	readMetrics, writeMetrics := to("read", "buckets", l.metrics.ID, l.home.ID), to("write", "buckets", l.metrics.ID, l.home.ID)
	readAlerts, readAll := to("read", "buckets", l.alerts.ID, l.home.ID), to("read", "buckets", "", l.home.ID)
	metrics, id := "id:"+l.metrics.ID, "id:"+strings.ToUpper(l.metrics.ID)
	granted := func(p ...lab.Permission) []lab.Permission { return p }
	many := make([]string, 1000)
	for i := range many {
		many[i] = bucket
	}
	return []definition{
		{name: "one bucket", role: fields{"read_buckets": bucket}, grant: granted(readMetrics)},
		{name: "read and write of one", role: fields{"read_buckets": bucket, "write_buckets": bucket}, grant: granted(readMetrics, writeMetrics)},
		{name: "a list of one", role: fields{"read_buckets": []string{bucket}}, grant: granted(readMetrics)},
		{name: "a name twice", role: fields{"read_buckets": []string{bucket, bucket}}, grant: granted(readMetrics)},
		{name: "a name and its ID", role: fields{"read_buckets": []string{bucket, metrics}}, grant: granted(readMetrics)},
		{name: "an ID and its name", role: fields{"read_buckets": []string{metrics, bucket}}, grant: granted(readMetrics)},
		{name: "an ID in capitals", role: fields{"write_buckets": id}, grant: granted(writeMetrics)},
		{name: "an order of its own", role: fields{"read_buckets": []string{l.alerts.Name, bucket, l.alerts.Name}}, grant: granted(readMetrics, readAlerts)},
		{name: "* and names", role: fields{"read_buckets": []string{bucket, "*", l.alerts.Name}}, grant: granted(readAll)},
		{name: "* twice", role: fields{"read_buckets": []string{"*", "*"}}, grant: granted(readAll)},
		{name: "* covers no other action", role: fields{"read_buckets": "*", "write_buckets": bucket}, grant: granted(readAll, writeMetrics)},
		{name: "a system bucket by name and ID", role: fields{"read_buckets": []string{"_monitoring", "id:" + l.monitoring.ID}},
			grant: granted(to("read", "buckets", l.monitoring.ID, l.home.ID))},
		{name: "a system bucket and *", role: fields{"read_buckets": []string{"_tasks", "*"}}, grant: granted(readAll)},
		{name: "a comma list with blanks", role: fields{"read_buckets": "  " + bucket + " ,\t" + l.alerts.Name + " "},
			reads: fields{"read_buckets": []string{bucket, l.alerts.Name}}, grant: granted(readMetrics, readAlerts)},
		{name: "a JSON list in a text", role: fields{"read_buckets": fmt.Sprintf(" [%q,\n%q] ", bucket, l.alerts.Name)},
			reads: fields{"read_buckets": []string{bucket, l.alerts.Name}}, grant: granted(readMetrics, readAlerts)},
		{name: "empty lists beside", role: fields{"read_buckets": bucket, "write_buckets": "", "read_resources": "[]", "write_resources": []string{}},
			reads: fields{"write_buckets": []string{}, "read_resources": []string{}}, grant: granted(readMetrics)},
		{name: "nulls beside", role: fields{"read_buckets": bucket, "write_buckets": nil, "org": nil, "user": nil, "permissions": nil, "ttl": nil, "allow_privileged": nil},
			reads: fields{"write_buckets": []string{}, "org": "", "user": "", "permissions": []any{}, "ttl": 0, "allow_privileged": false}, grant: granted(readMetrics)},
		{name: "covered by the whole type", role: fields{"read_buckets": bucket, "read_resources": "buckets"}, grant: granted(readAll)},
		{name: "* and the whole type", role: fields{"read_buckets": "*", "read_resources": "buckets"}, grant: granted(readAll)},
		{name: "covered by a permission", role: fields{"read_buckets": bucket, "permissions": []any{raw("read", "type", "buckets")}}, grant: granted(readAll)},
		{name: "a thousand times the same", role: fields{"read_buckets": many}, grant: granted(readMetrics)},
		{name: "times and text", role: fields{"read_buckets": bucket, "ttl": "5m", "max_ttl": 3600, "max_leases": "3", "description": "for {{.Role}} of {{.Mount}}", "allow_privileged": "false"},
			reads: fields{"ttl": 300, "max_leases": 3, "allow_privileged": false}, grant: granted(readMetrics)},
	}
}

func resourceRoles(l landmarks) []definition {
	in := func(action, kind string) lab.Permission { return whole(action, kind, l.landscape) }
	privileged := func(field string, types any) fields { return fields{field: types, "allow_privileged": true} }
	return []definition{
		{name: "types", role: fields{"read_resources": []string{"labels", "dashboards"}, "write_resources": "labels"},
			grant: []lab.Permission{in("read", "labels"), in("read", "dashboards"), in("write", "labels")}},
		{name: "a type twice", role: fields{"write_resources": []string{"labels", "labels"}}, grant: []lab.Permission{in("write", "labels")}},
		{name: "types as JSON", role: fields{"read_resources": `["views","dbrp"]`}, reads: fields{"read_resources": []string{"views", "dbrp"}},
			grant: []lab.Permission{in("read", "views"), in("read", "dbrp")}},
		{name: "the organization and the owner", role: fields{"read_resources": "users,orgs"}, reads: fields{"read_resources": []string{"users", "orgs"}},
			grant: []lab.Permission{to("read", "users", l.root.ID, ""), to("read", "orgs", l.home.ID, "")}},
		{name: "the same said twice", role: fields{"read_resources": "orgs", "permissions": []any{raw("read", "type", "orgs", "id", l.home.ID), raw("read", "type", "orgs")}},
			grant: []lab.Permission{to("read", "orgs", l.home.ID, "")}},
		{name: "read every type", role: privileged("read_resources", "*"), grant: l.everyType("read", l.home.ID, l.root.ID)},
		{name: "write every type", role: privileged("write_resources", []string{"*"}), grant: l.everyType("write", l.home.ID, l.root.ID)},
		{name: "every type, and one", role: privileged("read_resources", []string{"orgs", "*", "labels"}), grant: l.everyType("read", l.home.ID, l.root.ID)},
		{name: "every type, and a bucket", role: fields{"read_resources": "*", "read_buckets": bucket, "allow_privileged": true}, grant: l.everyType("read", l.home.ID, l.root.ID)},
		{name: "authorizations, meant", role: privileged("read_resources", "authorizations"), grant: []lab.Permission{in("read", "authorizations")}},
		{name: "authorizations to write, meant", role: privileged("write_resources", "authorizations"), grant: []lab.Permission{in("write", "authorizations")}},
		{name: "users, meant", role: privileged("write_resources", "users"), grant: []lab.Permission{to("write", "users", l.root.ID, "")}},
		{name: "orgs, meant", role: privileged("write_resources", "orgs"), grant: []lab.Permission{to("write", "orgs", l.home.ID, "")}},
		{name: "what runs later, meant", role: privileged("write_resources", []string{"tasks", "checks", "notificationRules"}),
			grant: []lab.Permission{in("write", "tasks"), in("write", "checks"), in("write", "notificationRules")}},
	}
}

func permissionRoles(l landmarks) []definition {
	list := func(permissions ...any) fields { return fields{"permissions": permissions} }
	privileged := func(permissions ...any) fields { return fields{"permissions": permissions, "allow_privileged": true} }
	readMetrics, boards := to("read", "buckets", l.metrics.ID, l.home.ID), to("read", "dashboards", "", l.home.ID)
	one := raw("read", "type", "buckets", "name", bucket)
	asText, _ := json.Marshal([]any{one}) // strings in maps: nothing to fail
	one16, thousand, granted := "%016x", make([]any, 1000), make([]lab.Permission, 1000)
	for i := range thousand {
		id := fmt.Sprintf(one16, i+1)
		thousand[i], granted[i] = raw("read", "type", "views", "id", id), to("read", "views", id, l.home.ID)
	}
	return []definition{
		{name: "as a list", role: list(one), grant: []lab.Permission{readMetrics}},
		{name: "as a JSON text", role: fields{"permissions": " " + string(asText) + "\n"}, reads: fields{"permissions": []any{one}}, grant: []lab.Permission{readMetrics}},
		{name: "as a list of JSON texts", role: fields{"permissions": []string{string(asText), string(asText)}}, reads: fields{"permissions": []any{one, one}}, grant: []lab.Permission{readMetrics}},
		{name: "name and ID", role: list(one, raw("read", "type", "buckets", "id", l.metrics.ID)), grant: []lab.Permission{readMetrics}},
		{name: "an ID in capitals as a permission", role: list(raw("read", "type", "buckets", "id", strings.ToUpper(l.metrics.ID), "orgID", strings.ToUpper(l.home.ID))), grant: []lab.Permission{readMetrics}},
		{name: "the role's organization by name", role: list(raw("read", "type", "buckets", "name", bucket, "org", org)), grant: []lab.Permission{readMetrics}},
		{name: "an ID under its whole type", role: list(raw("read", "type", "dashboards", "id", l.board), raw("read", "type", "dashboards")), grant: []lab.Permission{boards}},
		{name: "two of one type", role: list(raw("read", "type", "dashboards", "id", l.board), raw("write", "type", "dashboards", "id", l.board)),
			grant: []lab.Permission{to("read", "dashboards", l.board, l.home.ID), to("write", "dashboards", l.board, l.home.ID)}},
		{name: "a label by ID", role: list(raw("write", "type", "labels", "id", l.label)), grant: []lab.Permission{to("write", "labels", l.label, l.home.ID)}},
		{name: "another organization's dashboard, meant", role: privileged(raw("read", "type", "dashboards", "id", l.foreign)), grant: []lab.Permission{to("read", "dashboards", l.foreign, l.home.ID)}},
		{name: "every organization, meant", role: privileged(one, raw("read", "type", "buckets"), raw("read", "type", "buckets", "orgID", "*")), grant: []lab.Permission{to("read", "buckets", "", "")}},
		{name: "every user, meant", role: privileged(raw("read", "type", "users", "orgID", "*"), raw("read", "type", "users")), grant: []lab.Permission{to("read", "users", "", "")}},
		{name: "another user and organization, meant", role: privileged(raw("read", "type", "users", "id", l.dedicated.ID), raw("read", "type", "orgs", "id", l.other.ID)),
			grant: []lab.Permission{to("read", "users", l.dedicated.ID, ""), to("read", "orgs", l.other.ID, "")}},
		{name: "an empty JSON list beside a bucket", role: fields{"permissions": "[]", "read_buckets": bucket}, reads: fields{"permissions": []any{}}, grant: []lab.Permission{readMetrics}},
		{name: "a thousand", role: privileged(thousand...), grant: granted},
	}
}

func wholeRoles(l landmarks) []definition {
	readNamesake := []lab.Permission{to("read", "buckets", l.namesake.ID, l.other.ID)}
	self := []lab.Permission{to("read", "users", l.dedicated.ID, ""), to("read", "orgs", l.other.ID, "")}
	return []definition{
		{name: "custom", role: fields{"token_type": "custom", "read_resources": "orgs"}, grant: []lab.Permission{to("read", "orgs", l.home.ID, "")}},
		{name: "all-access", role: fields{"token_type": "all-access", "allow_privileged": true}, grant: l.allAccess(l.home.ID, l.root.ID)},
		{name: "all-access elsewhere for another", role: fields{"token_type": "all-access", "allow_privileged": true, "org": l.other.Name, "user": l.dedicated.Name},
			grant: l.allAccess(l.other.ID, l.dedicated.ID), orgID: l.other.ID, ownerID: l.dedicated.ID},
		{name: "operator", role: fields{"token_type": "operator", "allow_privileged": true}, grant: l.operator()},
		{name: "the organization by name", role: fields{"org": l.other.Name, "read_buckets": bucket}, grant: readNamesake, orgID: l.other.ID},
		{name: "a name from a file", role: fields{"org": l.other.Name + "\n", "read_buckets": bucket}, reads: fields{"org": l.other.Name}, grant: readNamesake, orgID: l.other.ID},
		{name: "the organization by ID", role: fields{"org_id": l.other.ID, "read_buckets": bucket}, grant: readNamesake, orgID: l.other.ID},
		{name: "the organization by ID in capitals", role: fields{"org_id": strings.ToUpper(l.other.ID), "read_buckets": []string{bucket, "id:" + l.namesake.ID}}, grant: readNamesake, orgID: l.other.ID},
		{name: "user and organization by name", role: fields{"org": l.other.Name, "user": l.dedicated.Name, "read_resources": []string{"users", "orgs"}}, grant: self, orgID: l.other.ID, ownerID: l.dedicated.ID},
		{name: "user by ID in capitals", role: fields{"org": l.other.Name, "user_id": strings.ToUpper(l.dedicated.ID), "read_resources": []string{"users", "orgs"},
			"permissions": []any{raw("read", "type", "users", "id", l.dedicated.ID)}}, grant: self, orgID: l.other.ID, ownerID: l.dedicated.ID},
		{name: "not looked at", role: fields{"read_buckets": bucket, "verify": false}, grant: []lab.Permission{to("read", "buckets", l.metrics.ID, l.home.ID)}},
	}
}
