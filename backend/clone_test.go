package backend

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// source is a token of somebody's that roles are cloned from.
func source(server *influxtest.Server, permissions ...influxtest.Permission) string {
	id, _ := server.AddToken(server.OrgID(), server.UserID(), permissions...)
	return id
}

func TestCloneCopiesPermissions(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	org := server.OrgID()
	permissions := []influxtest.Permission{
		influxtest.InOrgByID("read", "buckets", server.BucketID(), org), influxtest.InOrg("write", "dashboards", org), influxtest.ByID("read", "orgs", org),
	}
	first, second := source(server, permissions...), source(server, influxtest.InOrg("read", "tasks", org))
	made := len(server.Tokens())
	require.Nil(t, m.write("roles/clone", map[string]any{"clone_from": first, "ttl": "5m"}))
	require.Len(t, server.Tokens(), made, "no probe is left")
	mints := func(want ...influxtest.Permission) {
		t.Helper()
		l := m.mint("clone")
		require.Equal(t, inWords(want), inWords(live(server)[l.id].Permissions))
		require.NotContains(t, l.data, "read_buckets")
		tidyUp(t, server, l)
	}
	mints(permissions...)
	l := m.mint("clone")
	require.True(t, strings.HasPrefix(live(server)[l.id].Description, "Read buckets metrics orgs "+org+" Write dashboards (vault"), live(server)[l.id].Description)
	tidyUp(t, server, l)

	// It reads back as it was written; the copy itself is not shown.
	data := m.read("roles/clone").Data
	require.Equal(t, first, data["clone_from"])
	require.NotContains(t, data, "cloned")
	for _, list := range []string{"read_buckets", "write_buckets", "read_resources", "write_resources"} {
		require.Empty(t, data[list])
	}

	// The source may vanish: the copy stays, whatever else is written.
	deleteToken(t, server, first)
	mints(permissions...)
	m.ok(logical.PatchOperation, "roles/clone", map[string]any{"ttl": "10m"})
	mints(permissions...)
	m.ok(logical.PatchOperation, "roles/clone", map[string]any{"ttl": "11m", "clone_from": first})
	mints(permissions...)
	require.Nil(t, m.write("roles/clone", map[string]any{"clone_from": first, "ttl": "12m"}))
	mints(permissions...)
	m.reload()
	mints(permissions...)

	// What the source holds later is not the role's; another source is.
	m.ok(logical.PatchOperation, "roles/clone", map[string]any{"clone_from": second})
	mints(influxtest.InOrg("read", "tasks", org))
	require.Contains(t, m.rejected(logical.PatchOperation, "roles/clone", map[string]any{"clone_from": first}),
		"clone_from: no authorization has the ID "+first)
	mints(influxtest.InOrg("read", "tasks", org))

	// And it can be given up.
	m.write("roles/clone", map[string]any{"read_buckets": "metrics"})
	require.Empty(t, m.read("roles/clone").Data["clone_from"])
	mints(influxtest.InOrgByID("read", "buckets", server.BucketID(), org))
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/other", map[string]any{"clone_from": ""}), "would grant nothing")
}

func TestCloneExcludes(t *testing.T) {
	influxtest.NotOnCloud(t, "it has no operator tokens")
	m := newMount(t)
	server := m.connected()
	id := source(server, influxtest.InOrg("read", "tasks", server.OrgID()))
	for field, value := range map[string]any{
		"read_buckets": "metrics", "write_buckets": "metrics", "read_resources": "tasks", "write_resources": "labels",
		"permissions": []any{apiPermission("read", "type", "tasks")},
	} {
		require.Equal(t, "clone_from: excludes "+field+": a clone has just what its source had",
			m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": id, field: value}))
	}
	for _, kind := range []string{"all-access", "operator"} {
		require.Equal(t, "clone_from: excludes token_type "+kind,
			m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": id, "token_type": kind, "allow_privileged": true}))
	}
	m.write("roles/clone", map[string]any{"clone_from": id, "token_type": "custom"})
	require.Contains(t, m.rejected(logical.PatchOperation, "roles/clone", map[string]any{"read_buckets": "metrics"}), "clone_from: excludes read_buckets")
	require.Contains(t, m.rejected(logical.PatchOperation, "roles/app", map[string]any{"clone_from": id}), "clone_from: excludes read_buckets, write_buckets")

	// But a request may narrow it.
	require.Contains(t, m.rejected(logical.ReadOperation, "creds/clone", map[string]any{"read_resources": "labels"}), `read_resources[0]: role "clone" does not cover`)
	tidyUp(t, server, m.leased(m.ok(logical.ReadOperation, "creds/clone", map[string]any{"read_resources": "tasks"})))
}

func TestCloneOfPrivilegedTokens(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	org, admin := server.OrgID(), server.UserID()
	vault, other := server.AddUser("vault"), server.AddOrg("globex")
	server.AddBucket(other, "theirs")
	for name, c := range map[string]struct {
		permissions []influxtest.Permission
		says        []string
	}{
		"operator":            {influxtest.OperatorPermissions(), nil},
		"all-access":          {influxtest.AllAccessPermissions(org, admin), nil},
		"authorizations":      {[]influxtest.Permission{influxtest.InOrg("read", "tasks", org), influxtest.InOrg("read", "authorizations", org)}, []string{`clone_from[1]: read on authorizations can read other tokens of org "acme"` + ifMeant}},
		"tasks":               {[]influxtest.Permission{influxtest.InOrg("write", "tasks", org)}, []string{"clone_from[0]: write on tasks can leave something behind that runs later with all the rights of the token's owner" + ifMeant}},
		"every organization":  {[]influxtest.Permission{influxtest.Everywhere("read", "buckets")}, []string{`clone_from[0]: read on buckets of every organization leaves org "acme"` + ifMeant}},
		"users":               {[]influxtest.Permission{influxtest.ByID("write", "users", admin)}, []string{"clone_from[0]: write on users can change who may do what, and make other tokens" + ifMeant}},
		"another user":        {[]influxtest.Permission{influxtest.ByID("read", "users", vault)}, []string{"clone_from[0]: users " + vault}},
		"another org":         {[]influxtest.Permission{influxtest.ByID("read", "orgs", other)}, []string{"clone_from[0]: orgs " + other}},
		"a task of some org":  {[]influxtest.Permission{influxtest.InOrgByID("read", "tasks", "03a2bbf46309a000", org)}, []string{"clone_from[0]: tasks 03a2bbf46309a000"}},
		"a task without org":  {[]influxtest.Permission{influxtest.ByID("read", "tasks", "03a2bbf46309a000")}, []string{"clone_from[0]: tasks 03a2bbf46309a000"}},
		"more than one wrong": {[]influxtest.Permission{influxtest.InOrg("write", "checks", org), influxtest.InOrg("read", "labels", org), influxtest.Everywhere("write", "labels")}, []string{"clone_from[0]: ", "clone_from[2]: "}},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			id := source(server, c.permissions...)
			text := m.rejected(logical.UpdateOperation, "roles/strong", map[string]any{"clone_from": id})
			require.Contains(t, text, "set allow_privileged=true")
			lines := strings.Split(text, "\n")
			for i, want := range c.says {
				require.True(t, strings.HasPrefix(lines[i], want), text)
			}
			m.write("roles/strong", map[string]any{"clone_from": id, "allow_privileged": true})
			l := m.mint("strong")
			require.Len(t, live(server)[l.id].Permissions, len(c.permissions))
			tidyUp(t, server, l)
			m.ok(logical.DeleteOperation, "roles/strong", nil)
		})
	}
}

func TestCloneThatCannotBeCopied(t *testing.T) {
	m := newMount(t)
	const unknown = "03a2bbf46309a000"
	require.Equal(t, "influxdb is not configured: write url, token and org to influxdb/config first",
		m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": unknown}))
	server := m.connected()
	for _, bad := range []string{"x", "0000000000000000", "03a2bbf46309a00", "03a2bbf46309a0000", "03a2bbf46309a00g", "../buckets/0000", "id:" + unknown, "*"} {
		require.Equal(t, "clone_from: must be an authorization's ID of 16 hexadecimal digits",
			m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": bad}), bad)
	}
	for _, verify := range []bool{true, false} {
		require.Equal(t, "clone_from: no authorization has the ID "+unknown+", or its owner or organization is gone",
			m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": unknown, "verify": verify}))
	}
	other := server.AddOrg("globex")
	foreign, _ := server.AddToken(other, server.UserID(), influxtest.InOrg("read", "tasks", other))
	require.Equal(t, `clone_from: authorization `+foreign+` belongs to another organization than "acme"; set org or org_id to its own`,
		m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": foreign}))
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": foreign, "org": "nowhere"}), `org: no organization "nowhere"`)
	m.write("roles/clone", map[string]any{"clone_from": foreign, "org": "globex"})
	tidyUp(t, server, m.mint("clone"))
	// The copy is of its organization: it can't move to another.
	require.Equal(t, "clone_from[0]: read:orgs/"+other+`/tasks is not of org "acme", to which this role's tokens belong; clone a token of that organization`,
		m.rejected(logical.PatchOperation, "roles/clone", map[string]any{"org": "acme"}))
	nothing := source(server)
	require.Equal(t, "clone_from: authorization "+nothing+" grants nothing", m.rejected(logical.UpdateOperation, "roles/clone2", map[string]any{"clone_from": nothing}))

	orphan := source(server, influxtest.InOrg("read", "tasks", server.OrgID()))
	gone := server.AddUser("gone")
	ofGone, _ := server.AddToken(server.OrgID(), gone, influxtest.InOrg("read", "tasks", server.OrgID()))
	server.DeleteUser(gone)
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/clone2", map[string]any{"clone_from": ofGone}), "clone_from: no authorization has the ID")

	// Nothing is copied from a server that does not answer; what was copied is kept.
	for _, fault := range []func(){
		func() { server.Refuse("", "/") },
		func() { server.Fail("", "/", 503, "text/html", "later") },
	} {
		fault()
		before := m.snapshot()
		status, text := m.refused(logical.UpdateOperation, "roles/clone2", map[string]any{"clone_from": orphan})
		require.Equal(t, http.StatusBadGateway, status)
		require.True(t, strings.HasPrefix(text, "clone_from: "), text)
		require.Equal(t, before, m.snapshot())
		require.Contains(t, warned(m.write("roles/clone", map[string]any{"clone_from": foreign, "org": "globex"})), "stored without a look at InfluxDB")
		server.Intercept(nil)
	}
	tidyUp(t, server, m.mint("clone"))
	require.Empty(t, live(server))
}

// The root token that reads no authorizations can't copy any, and is told why.
func TestCloneWithAWeakRoot(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id := source(server, influxtest.InOrg("read", "tasks", server.OrgID()))
	_, root := server.AddToken(server.OrgID(), server.UserID(), append(influxtest.MintingPermissions(server.OrgID(), server.UserID()),
		influxtest.ByID("read", "orgs", server.OrgID()), influxtest.InOrg("read", "tasks", server.OrgID()))...)
	m.write("config", map[string]any{"token": root})
	text := m.rejected(logical.UpdateOperation, "roles/clone", map[string]any{"clone_from": id})
	require.Contains(t, text, "clone_from: ")
	require.Contains(t, text, "read:orgs/"+server.OrgID()+"/authorizations/"+id)
}

func TestCloneWithABucketThatIsGone(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	bucket := server.AddBucket(server.OrgID(), "alerts")
	id := source(server, influxtest.InOrg("read", "tasks", server.OrgID()), influxtest.InOrgByID("read", "buckets", bucket, server.OrgID()))
	m.write("roles/clone", map[string]any{"clone_from": id})
	tidyUp(t, server, m.mint("clone"))

	server.RenameBucket(bucket, "alarms") // an ID stays the bucket's
	l := m.mint("clone")
	require.True(t, strings.HasPrefix(live(server)[l.id].Description, "Read tasks buckets alarms ("), live(server)[l.id].Description)
	tidyUp(t, server, l)

	server.DeleteBucket(bucket)
	for range 2 {
		require.Equal(t, "clone_from[1]: no bucket has the ID "+bucket, m.rejected(logical.ReadOperation, "creds/clone", nil))
	}
	require.Empty(t, live(server))
	require.Equal(t, "clone_from[1]: no bucket has the ID "+bucket, m.rejected(logical.PatchOperation, "roles/clone", map[string]any{"ttl": "5m"}))
}
