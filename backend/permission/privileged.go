package permission

import (
	"fmt"
	"slices"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// Privileged lists the grants that can outlive the lease, make or see other tokens, or leave the
// organization. Each text says what the danger is and how to say that it is meant. org is the
// organization's name for the texts.
func (d Definition) Privileged(org string) problem.List {
	const meant = "; if that is meant, set allow_privileged=true"
	switch d.TokenType {
	case AllAccess:
		return problem.List{problem.BadInput("token_type all-access can read and make other tokens of %s"+meant, orgText(org))}
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
	case g.Action == Write && (g.Type == Users || g.Type == Orgs):
		return fmt.Sprintf("write on %s can change who may do what, and make other tokens", g.Type)
	case g.Action == Write && slices.Contains(runsLater, g.Type):
		return fmt.Sprintf("write on %s can leave something behind that runs later with all the rights of the token's owner", g.Type)
	}
	return ""
}
