package permission

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// parsePermissions reads the objects of the permissions field, which have the shape of InfluxDB's API:
//
//	{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}
//
// name is understood for buckets only. orgID "*" means every organization.
func parsePermissions(objects []map[string]any) ([]Grant, Problems) {
	var (
		grants   []Grant
		problems Problems
	)
	for i, object := range objects {
		g, bad := parsePermission(fmt.Sprintf("permissions[%d]", i), object)
		problems = append(problems, bad...)
		if len(bad) == 0 {
			grants = append(grants, g)
		}
	}
	return grants, problems
}

func parsePermission(field string, object map[string]any) (Grant, Problems) {
	g := Grant{Field: field}
	problems := unknownKeys(field, object, "action", "resource")
	action, err := text(field+".action", object["action"])
	if err == nil && action != Read && action != Write {
		err = &Problem{field + ".action", fmt.Sprintf("%q is not an action; allowed: read, write", action)}
	}
	problems = add(problems, err)
	g.Action = action
	resource, ok := object["resource"].(map[string]any)
	if !ok {
		return g, append(problems, &Problem{field + ".resource", `must be an object such as {"type": "buckets", "name": "metrics"}`})
	}
	return parseAPIResource(g, resource, problems)
}

func parseAPIResource(g Grant, resource map[string]any, problems Problems) (Grant, Problems) {
	field := g.Field + ".resource"
	problems = append(problems, unknownKeys(field, resource, "type", "id", "name", "org", "orgID")...)
	values := map[string]string{}
	for _, key := range []string{"type", "id", "name", "org", "orgID"} {
		if resource[key] == nil {
			continue
		}
		value, err := text(field+"."+key, resource[key])
		problems = add(problems, err)
		values[key] = value
	}
	g.Type, g.ID, g.Name, g.Org = values["type"], strings.ToLower(values["id"]), values["name"], values["org"]
	switch {
	case g.Type == "":
		problems = append(problems, &Problem{field + ".type", "missing; allowed: a resource type, such as buckets or tasks"})
	case g.Type == instance:
		problems = append(problems, &Problem{field + ".type", "instance is for InfluxDB's own set-up; no token can hold it"})
	case g.Type == All:
		problems = append(problems, &Problem{field + ".type", `"*" is not a resource type; use read_resources=* or write_resources=*`})
	}
	if resource["id"] != nil && !IsID(g.ID) {
		problems = append(problems, &Problem{field + ".id", fmt.Sprintf("%q is not an ID of 16 hexadecimal digits", values["id"])})
	}
	problems = append(problems, g.nameProblems(field, resource)...)
	return g.inOrg(field, values["orgID"], resource["orgID"] != nil, problems)
}

func (g Grant) nameProblems(field string, resource map[string]any) Problems {
	var problems Problems
	switch {
	case resource["name"] == nil:
	case g.Name == "":
		problems = append(problems, &Problem{field + ".name", "empty; leave it out for all buckets"})
	case g.Type != Buckets:
		problems = append(problems, &Problem{field + ".name", "names are understood for buckets only; give the id"})
	case resource["id"] != nil:
		problems = append(problems, &Problem{field + ".name", "give either name or id"})
	}
	if resource["org"] != nil && g.Org == "" {
		problems = append(problems, &Problem{field + ".org", "empty; leave it out for the role's organization"})
	}
	return problems
}

// inOrg takes the orgID key: an ID, or * for every organization.
func (g Grant) inOrg(field, orgID string, given bool, problems Problems) (Grant, Problems) {
	switch {
	case !given:
	case orgID == All:
		g.AllOrgs = true
		if g.ID != "" || g.Name != "" || g.Org != "" {
			problems = append(problems, &Problem{field + ".orgID", `"*" (every organization) excludes id, name and org`})
		}
	case !IsID(orgID):
		problems = append(problems, &Problem{field + ".orgID", fmt.Sprintf(`%q is not an ID of 16 hexadecimal digits, nor "*" for every organization`, orgID)})
	case g.Org != "":
		problems = append(problems, &Problem{field + ".orgID", "give either org or orgID"})
	default:
		g.Org = strings.ToLower(orgID)
	}
	return g, problems
}

// text takes a JSON string.
func text(field string, value any) (string, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case nil:
		return "", &Problem{field, "missing"}
	}
	return "", &Problem{field, "must be a string"}
}

func add(problems Problems, err error) Problems {
	if err != nil {
		problems = append(problems, err)
	}
	return problems
}

func unknownKeys(field string, object map[string]any, known ...string) Problems {
	var problems Problems
	for key := range object {
		if !slices.Contains(known, key) {
			problems = append(problems, &Problem{field + "." + key, "unknown key; allowed: " + strings.Join(known, ", ")})
		}
	}
	sort.Slice(problems, func(i, j int) bool { return problems[i].Error() < problems[j].Error() })
	return problems
}
