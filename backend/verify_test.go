package backend

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// minting are the permissions that this engine asks of a root token for one organization and owner.
func minting(orgID, userID string, more ...influxtest.Permission) []influxtest.Permission {
	return append(append(influxtest.MintingPermissions(orgID, userID),
		influxtest.ByID("read", "orgs", orgID), influxtest.ByID("read", "users", userID), influxtest.InOrg("read", "authorizations", orgID)), more...)
}

func TestOrgLeftOut(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	only := map[string]any{"url": server.URL, "token": server.RootToken()}
	require.Equal(t, fmt.Sprintf(`org: not given; using "acme" (%s), the only one that the token sees`, server.OrgID()), warned(m.write("config", only)))
	data := m.read("config").Data
	require.Equal(t, []any{"acme", server.OrgID()}, []any{data["org"], data["org_id"]})
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	tidyUp(t, server, m.mint("app"))

	server.AddOrg("globex")
	text := m.rejected(logical.UpdateOperation, "config", nil)
	require.Contains(t, []string{ // InfluxDB's order, which is random
		"org: the token sees more than one organization (acme, globex); write org or org_id; the stored configuration is unchanged",
		"org: the token sees more than one organization (globex, acme); write org or org_id; the stored configuration is unchanged",
	}, text)
	for i := range 25 {
		server.AddOrg(fmt.Sprintf("org-%02d", i))
	}
	text = m.rejected(logical.UpdateOperation, "config", nil)
	require.Equal(t, 20-1, strings.Count(text[:strings.Index(text, ")")], ", "), "not all of a thousand: %s", text)
}

// A token with just what it needs sees neither the organization nor its user; the answers to its own probe
// hold their names.
func TestRootTokenThatReadsNothing(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	_, token := server.AddToken(server.OrgID(), server.UserID(), append(influxtest.MintingPermissions(server.OrgID(), server.UserID()),
		influxtest.InOrg("read", "buckets", server.OrgID()))...)
	data := map[string]any{"url": server.URL, "token": token}
	require.Equal(t, "org: the token sees no organization; write org_id",
		m.rejected(logical.UpdateOperation, "config", data))

	data["org_id"] = server.OrgID()
	m.write("config", data)
	got := m.read("config").Data
	require.Equal(t, []any{"acme", server.OrgID()}, []any{got["org"], got["org_id"]})
	require.Equal(t, []any{"admin", server.UserID()}, []any{got["root_user"], got["root_user_id"]})
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	tidyUp(t, server, m.mint("app"))

	data["user_id"] = server.UserID()
	m.write("config", data)
	require.Equal(t, "admin", m.read("config").Data["user"])
}

func TestKindsOfBadTokens(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	org, admin := server.OrgID(), server.UserID()
	vault := server.AddUser("vault")
	gone := server.AddUser("gone")
	token := func(user string, permissions ...influxtest.Permission) string {
		_, token := server.AddToken(org, user, permissions...)
		return token
	}
	inactiveID, inactive := server.AddToken(org, admin, influxtest.OperatorPermissions()...)
	server.SetTokenActive(inactiveID, false)
	ofInactive, ofGone := token(vault, influxtest.OperatorPermissions()...), token(gone, influxtest.OperatorPermissions()...)
	server.SetUserActive(vault, false)
	server.DeleteUser(gone)
	for name, c := range map[string]struct {
		token string
		more  map[string]any
		says  string
	}{
		"unknown":                     {canary, nil, `token: InfluxDB at ` + server.URL + ` does not know it (401 "unauthorized access")` + unchangedText},
		"inactive":                    {inactive, nil, `token: InfluxDB at ` + server.URL + ` knows it, but it is inactive (401 "token is inactive"); set it active there, or write another one` + unchangedText},
		"of an inactive user":         {ofInactive, nil, `token: its user is inactive or deleted in InfluxDB at ` + server.URL + ` (403 "User is inactive"); set the user active there, or write a token of another one` + unchangedText},
		"of a deleted user":           {ofGone, nil, `token: its user is inactive or deleted in InfluxDB at ` + server.URL + ` (403 "User is inactive"); set the user active there, or write a token of another one` + unchangedText},
		"can't write authorizations":  {token(admin, influxtest.ByID("read", "orgs", org), influxtest.ByID("write", "users", admin)), nil, `token lacks write:orgs/` + org + `/authorizations, needed to create tokens in org "acme"; see docs/root-token.md`},
		"can't write its user":        {token(admin, influxtest.ByID("read", "orgs", org), influxtest.InOrg("write", "authorizations", org)), nil, `token lacks write:users/` + admin + `, needed to create tokens for user "` + admin + `"; see docs/root-token.md`},
		"can't write its user, named": {token(admin, influxtest.ByID("read", "orgs", org), influxtest.ByID("read", "users", admin), influxtest.InOrg("write", "authorizations", org)), nil, `token lacks write:users/` + admin + `, needed to create tokens for user "admin"; see docs/root-token.md`},
		"can't read the org":          {token(admin, influxtest.MintingPermissions(org, admin)...), nil, "read:orgs"},
		"can't read the user":         {token(admin, minting(org, admin)...), map[string]any{"user": "vault"}, "read:users"},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			data := map[string]any{"token": c.token}
			for field, value := range c.more {
				data[field] = value
			}
			text := m.rejected(logical.UpdateOperation, "config", data)
			require.Contains(t, text, c.says)
			m.silent(append(server.IssuedTokens(), canary), text)
		})
	}
	tidyUp(t, server, m.mint("app"))
}

func TestUnknownOrgsAndUsers(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	m := newMount(t)
	server := m.connected()
	for field, c := range map[string]struct{ value, says string }{
		"org":     {"acne", `org: no organization "acne" that the root token can see`},
		"org_id":  {"03a2bbf46309a000", `org_id: no organization has the ID 03a2bbf46309a000`},
		"user":    {"nobody", `user: no user "nobody", which config names, that the root token can see`},
		"user_id": {"03a2bbf46309a000", `user_id: no user has the ID 03a2bbf46309a000`},
	} {
		text := m.rejected(logical.UpdateOperation, "config", map[string]any{field: c.value})
		require.Contains(t, text, c.says)
	}
	tidyUp(t, server, m.mint("app"))
}

// The smallest root token may make tokens for a user that it can't read; InfluxDB says little when there is none.
func TestUnknownOwnerThatTheRootCanNotRead(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	const nobody = "03a2bbf46309a000"
	_, token := server.AddToken(server.OrgID(), server.UserID(), minting(server.OrgID(), server.UserID(), influxtest.ByID("write", "users", nobody))...)
	text := m.rejected(logical.UpdateOperation, "config", connectionTo(server, map[string]any{"token": token, "user_id": nobody}))
	require.Contains(t, text, "org_id, user_id: one of them does not exist: POST ")
	require.True(t, strings.HasSuffix(text, `400 "unable to create token"`), text)
}

// Who may write the configuration but not read the token can't have it sent to a server of his own.
func TestAnotherHostNeedsATokenOfItsOwn(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	for _, op := range configWrites {
		for _, url := range []string{other.URL, "https" + strings.TrimPrefix(server.URL, "http")} {
			for _, token := range []map[string]any{{}, {"token": nil}, {"token": ""}} {
				token["url"] = url
				require.Contains(t, []string{
					"url: leads to another host than " + server.URL + "; give its token in the same write, so that nobody can have the stored one sent elsewhere" + unchangedText,
					"token: missing; the root token of InfluxDB, see docs/root-token.md",
				}, m.rejected(op, "config", token))
			}
		}
	}
	require.Empty(t, other.Requests())
	m.write("config", map[string]any{"url": server.URL + "/", "token": server.RootToken()})
	tidyUp(t, server, m.mint("app"))
}
