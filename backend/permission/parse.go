package permission

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// Definition is what a role says of its tokens' permissions, as it was written.
type Definition struct {
	// TokenType is Custom, AllAccess, Operator or Admin; empty means Custom.
	TokenType string
	// ReadBuckets and WriteBuckets hold names, id:<ID>, or *.
	ReadBuckets, WriteBuckets []string
	// ReadResources and WriteResources hold resource types, or *.
	ReadResources, WriteResources []string
	// ReadDatabases and WriteDatabases hold names, or *, of InfluxDB 3.
	ReadDatabases, WriteDatabases []string
	// Permissions are objects in the shape of InfluxDB's API: 2's or 3's.
	Permissions []map[string]any
	// Cloned are the permissions of another authorization, copied; they exclude everything else.
	Cloned []Permission

	stored bool
}

// AsStored returns the definition of a role that is in storage. Earlier versions stored keys that are null. A null name
// or id is a problem all the same: it grants more than was meant. A null org or orgID means the role's organization, as
// it did then.
func (d Definition) AsStored() Definition {
	d.stored = true
	return d
}

// Grant is one permission that a definition asks for, before names became IDs.
type Grant struct {
	Place  Place
	Action string
	// Type is a resource type or All.
	Type string
	// ID or Name narrow it to one resource; both empty means all in the organization. For orgs and users it
	// means this organization and the token's owner.
	ID, Name string
	// Org is the organization that the grant itself names, by ID or name; empty means the role's.
	Org string
	// AllOrgs grants it in every organization.
	AllOrgs bool
	// Of3 says that it is said in the words of InfluxDB 3.
	Of3 bool
}

func (g Grant) problem(format string, args ...any) error {
	return problem.InField(g.Place.String(), format, args...)
}

// Grants checks the definition's form and lists what it asks for. The error holds every problem, each with
// its field and index. A definition of token type all-access or operator asks for nothing more by itself, and
// neither does a clone.
func (d Definition) Grants() ([]Grant, error) {
	if d.size() > MaxGrants { // each could be wrong
		return nil, problem.InField(d.longest(), "the role names %d permissions; at most %d are allowed", d.size(), MaxGrants)
	}
	grants, problems := d.parse()
	switch {
	case d.TokenType != "" && d.TokenType != Custom && !d.whole():
		problems = append(problems, problem.InField("token_type", "%q is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin", d.TokenType))
	case d.whole() && len(grants)+len(problems) > 0:
		problems = append(problems, problem.InField("token_type", "%s already grants everything; leave %s out", d.TokenType, d.listsGiven()))
	case d.whole() && d.Cloned != nil:
		problems = append(problems, problem.InField("clone_from", "excludes token_type %s", d.TokenType))
	case d.Cloned != nil && len(grants)+len(problems) > 0:
		problems = append(problems, problem.InField("clone_from", "excludes %s: a clone has just what its source had", d.listsGiven()))
	}
	return grants, problems.Err()
}

// whole reports whether the token type alone says everything.
func (d Definition) whole() bool {
	return d.TokenType == AllAccess || d.TokenType == Operator || d.TokenType == Admin
}

// Empty reports whether a token made from it could do nothing. What a token type would grant that is not known, is not.
func (d Definition) Empty() bool {
	return (d.TokenType == "" || d.TokenType == Custom) && d.Cloned == nil && d.size() == 0
}

// count is how many permissions a field names.
type count struct {
	field string
	named int
}

// counts are those of the lists, by the names of the fields.
func (d Definition) counts() [7]count {
	return [...]count{
		{permissionsField, named(d.Permissions)},
		{"read_buckets", len(d.ReadBuckets)}, {"read_resources", len(d.ReadResources)},
		{"write_buckets", len(d.WriteBuckets)}, {"write_resources", len(d.WriteResources)},
		{"read_databases", len(d.ReadDatabases)}, {"write_databases", len(d.WriteDatabases)},
	}
}

// size is how many permissions it names.
func (d Definition) size() int {
	size := len(d.Cloned)
	for _, list := range d.counts() {
		size += list.named
	}
	return size
}

// listsGiven names the lists that hold something.
func (d Definition) listsGiven() string {
	var given []string
	for _, list := range d.counts() {
		if list.named > 0 {
			given = append(given, list.field)
		}
	}
	return strings.Join(given, ", ")
}

// longest names what holds most: the first of them, where there are several.
func (d Definition) longest() string {
	if d.Cloned != nil {
		return "clone_from"
	}
	counts := d.counts()
	return slices.MaxFunc(counts[:], func(a, b count) int { return a.named - b.named }).field
}

// parse reads the lists, in the order in which they are documented.
func (d Definition) parse() ([]Grant, problem.List) {
	grants := make([]Grant, 0, d.size())
	var problems problem.List
	for _, list := range []struct {
		field, action string
		items         []string
		parse         func(Grant, string) (Grant, error)
	}{
		{"read_buckets", Read, d.ReadBuckets, parseBucket},
		{"write_buckets", Write, d.WriteBuckets, parseBucket},
		{"read_resources", Read, d.ReadResources, parseResource},
		{"write_resources", Write, d.WriteResources, parseResource},
		{"read_databases", Read, d.ReadDatabases, parseDatabase},
		{"write_databases", Write, d.WriteDatabases, parseDatabase},
	} {
		for i, item := range list.items {
			g, err := list.parse(Grant{Place: Place{list.field, i}, Action: list.action}, item)
			if len(item) > maxText {
				err = g.problem("too long: %d bytes; at most %d are allowed", len(item), maxText)
			}
			if err != nil {
				problems = append(problems, err)
				continue
			}
			grants = append(grants, g)
		}
	}
	for i, object := range d.Permissions {
		if isShape3(object) {
			of3, bad := parse3(Place{permissionsField, i}, object)
			grants, problems = append(grants, of3...), append(problems, bad...)
			continue
		}
		g, bad := parsePermission(Place{"permissions", i}, object, d.stored)
		if len(bad) > 0 {
			problems = append(problems, bad...)
			continue
		}
		grants = append(grants, g)
	}
	return grants, problems
}

func parseBucket(g Grant, item string) (Grant, error) {
	g.Type = Buckets
	id, isID := strings.CutPrefix(item, IDPrefix)
	switch {
	case item == "":
		return g, g.problem("an empty name; allowed: a bucket's name, id:<16 hex digits>, or *")
	case item == All:
	case isID && !IsID(id):
		return g, g.problem("%q is not an ID; write id: and 16 hexadecimal digits", item)
	case isID:
		g.ID = strings.ToLower(id)
	default:
		g.Name = item
	}
	return g, nil
}

func parseResource(g Grant, item string) (Grant, error) {
	g.Type = item
	switch item {
	case "":
		return g, g.problem("an empty name; allowed: a resource type, such as tasks, or *")
	case instance:
		return g, g.problem("instance is for InfluxDB's own set-up; no token can hold it")
	}
	return g, nil
}

// Privileged lists the grants that can outlive the lease, make or see other tokens, or leave the
// organization. Each text says what the danger is and how to say that it is meant. org is the
// organization's name for the texts.
func (d Definition) Privileged(org string) problem.List {
	const meant = "; if that is meant, set allow_privileged=true"
	switch d.TokenType {
	case AllAccess:
		return problem.List{problem.BadInput("token_type all-access can read and make other tokens of %s"+meant, orgText(org))}
	case Admin:
		return problem.List{problem.BadInput("token_type admin can do everything, and make tokens that outlive it: a lease of it contains nobody, and is for whoever may have it all" + meant)}
	case Operator:
		return problem.List{problem.BadInput("token_type operator can do everything in every organization, and make other tokens" + meant)}
	}
	grants, _ := d.Grants() // what is malformed is a problem of its own
	var problems problem.List
	for i, p := range d.Cloned {
		grants = append(grants, Grant{Place: Place{"clone_from", i}, Action: p.Action, Type: p.Type, ID: p.ID, AllOrgs: p.global()})
	}
	for _, g := range grants {
		if danger := g.danger(org); danger != "" {
			problems = append(problems, g.problem("%s", danger+meant))
		}
	}
	return problems
}

func orgText(org string) string {
	if org == "" {
		return "its organization"
	}
	return fmt.Sprintf("org %q", org)
}

// runsLater are the types whose objects InfluxDB runs later with all the rights of the token's owner, also
// after the token is gone (task_service.go, checks/service.go and the notification rules' service of 2.9.1).
var runsLater = []string{"tasks", "checks", "notificationRules"}

func (g Grant) danger(org string) string {
	verb := map[string]string{Read: "read", Write: "make"}[g.Action]
	switch {
	case g.Type == "authorizations":
		return fmt.Sprintf("%s on authorizations can %s other tokens of %s", g.Action, verb, orgText(org))
	case g.Type == All:
		return fmt.Sprintf("%s on every type can %s other tokens of %s", g.Action, verb, orgText(org))
	case g.AllOrgs:
		return fmt.Sprintf("%s on %s of every organization leaves %s", g.Action, g.Type, orgText(org))
	case g.Type == Databases && (g.Name == "" || g.Name == internal):
		return fmt.Sprintf("%s on %s reaches the database %s, which lists the tokens of all", g.Action, cmp.Or(g.Name, "every database"), internal)
	case g.Action == Write && (g.Type == Users || g.Type == Orgs):
		return fmt.Sprintf("write on %s can change who may do what, and make other tokens", g.Type)
	case g.Action == Write && slices.Contains(runsLater, g.Type):
		return fmt.Sprintf("write on %s can leave something behind that runs later with all the rights of the token's owner", g.Type)
	}
	return ""
}
