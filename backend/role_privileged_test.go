package backend

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

const ifMeant = "; if that is meant, set allow_privileged=true"

// Each grant that can outlive the lease, make or see other tokens, or leave the organization has to be meant.
func TestPrivilegedGrants(t *testing.T) {
	t.Parallel()
	const (
		ofOthers = ` other tokens of org "acme"` + ifMeant
		later    = " can leave something behind that runs later with all the rights of the token's owner" + ifMeant
		whoMay   = " can change who may do what, and make other tokens" + ifMeant
	)
	api := func(action string, resource map[string]any) []any {
		return []any{map[string]any{"action": action, "resource": resource}}
	}
	cases := map[string]struct {
		data map[string]any
		says string
	}{
		"all-access":              {map[string]any{"token_type": "all-access"}, "token_type all-access can read and make" + ofOthers},
		"operator":                {map[string]any{"token_type": "operator"}, "token_type operator can do everything in every organization, and make other tokens" + ifMeant},
		"read authorizations":     {map[string]any{"read_resources": "authorizations"}, "read_resources[0]: read on authorizations can read" + ofOthers},
		"write authorizations":    {map[string]any{"write_resources": "authorizations"}, "write_resources[0]: write on authorizations can make" + ofOthers},
		"write users":             {map[string]any{"write_resources": "users"}, "write_resources[0]: write on users" + whoMay},
		"write orgs":              {map[string]any{"write_resources": "orgs"}, "write_resources[0]: write on orgs" + whoMay},
		"write tasks":             {map[string]any{"write_resources": "views,tasks"}, "write_resources[1]: write on tasks" + later},
		"write checks":            {map[string]any{"write_resources": "checks"}, "write_resources[0]: write on checks" + later},
		"write notificationRules": {map[string]any{"write_resources": "notificationRules"}, "write_resources[0]: write on notificationRules" + later},
		"read everything":         {map[string]any{"read_resources": "*"}, "read_resources[0]: read on every type can read" + ofOthers},
		"write everything":        {map[string]any{"write_resources": "*"}, "write_resources[0]: write on every type can make" + ofOthers},
		"as a permission":         {map[string]any{"permissions": api("write", map[string]any{"type": "tasks"})}, "permissions[0]: write on tasks" + later},
		"one task":                {map[string]any{"permissions": api("write", map[string]any{"type": "tasks", "id": "03a2bbf46309a000"})}, "permissions[0]: write on tasks" + later},
		"one user":                {map[string]any{"permissions": api("write", map[string]any{"type": "users", "id": "03a2bbf46309a000"})}, "permissions[0]: write on users" + whoMay},
		"one authorization":       {map[string]any{"permissions": api("read", map[string]any{"type": "authorizations", "id": "03a2bbf46309a000"})}, "permissions[0]: read on authorizations can read" + ofOthers},
		"every organization":      {map[string]any{"permissions": api("read", map[string]any{"type": "buckets", "orgID": "*"})}, `permissions[0]: read on buckets of every organization leaves org "acme"` + ifMeant},
	}
	m := newMount(t)
	server := m.connected()
	server.AddUser("vault")
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			for _, verify := range []bool{true, false} {
				c.data["verify"] = verify
				delete(c.data, "allow_privileged")
				require.Contains(t, strings.Split(m.rejected(logical.UpdateOperation, "roles/strong", c.data), "\n"), c.says)
				c.data["allow_privileged"] = "false"
				require.Contains(t, strings.Split(m.rejected(logical.UpdateOperation, "roles/strong", c.data), "\n"), c.says)
			}
			// Set apart from the root token's own user: what such a token leaves behind runs with its owner's rights.
			c.data["allow_privileged"], c.data["verify"], c.data["user"] = true, true, "vault"
			require.Nil(t, m.write("roles/strong", c.data))
			require.Contains(t, m.rejected(logical.PatchOperation, "roles/strong", map[string]any{"allow_privileged": nil}), c.says, "it can't be taken back alone")
			delete(c.data, "user")
			require.Contains(t, warned(m.write("roles/strong", c.data)), "user: the owner of this role's privileged tokens is the root token's own user")
			l := m.mint("strong")
			require.NotEmpty(t, live(server)[l.id].Permissions)
			require.NoError(t, l.revoke(t.Context()))
		})
	}
	require.Empty(t, live(server))
}

func TestHarmlessGrantsNeedNoWord(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	var read, write []string
	for _, kind := range influxtest.ResourceTypes() {
		switch kind {
		case "instance":
		case "authorizations":
		case "users", "orgs", "tasks", "checks", "notificationRules":
			read = append(read, kind)
		default:
			read, write = append(read, kind), append(write, kind)
		}
	}
	require.Nil(t, m.write("roles/app", map[string]any{"read_buckets": "*", "write_buckets": "*", "read_resources": read, "write_resources": write}))
	tidyUp(t, server, m.mint("app"))
}

// What is privileged is told with the other problems.
func TestPrivilegedGrantsBesideOtherProblems(t *testing.T) {
	m := newMount(t)
	m.connected()
	text := m.rejected(logical.UpdateOperation, "roles/app", map[string]any{"write_resources": "tasks,users", "ttl": "2h", "max_ttl": "1h", "user_id": "x"})
	for _, part := range []string{"write_resources[0]: ", "write_resources[1]: ", "ttl: 7200s", "user_id: "} {
		require.Contains(t, text, part)
	}
}

// The organization that a text names, as far as it is known without asking.
func TestPrivilegedGrantsNameTheOrganization(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	says := func(org string, more map[string]any) {
		t.Helper()
		data := map[string]any{"token_type": "all-access"}
		for field, value := range more {
			data[field] = value
		}
		require.Contains(t, m.rejected(logical.UpdateOperation, "roles/app", data), "tokens of "+org+"; if")
	}
	says("its organization", nil)
	says(`org "team"`, map[string]any{"org": "team"})
	says(`org "03a2bbf46309a000"`, map[string]any{"org_id": "03a2bbf46309a000"})
	m.configure(server, map[string]any{"verify_connection": false})
	says(`org "acme"`, nil)
	m.configure(server, map[string]any{"verify_connection": false, "org": "", "org_id": server.OrgID()})
	says(`org "`+server.OrgID()+`"`, nil)
	m.configure(server, map[string]any{"org": "", "org_id": server.OrgID()})
	says(`org "acme"`, nil)
	says(`org "team"`, map[string]any{"org": "team"})
}
