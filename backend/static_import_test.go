package backend

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// bucketToken makes a token by hand that reads and writes the server's bucket.
func bucketToken(server *influxtest.Server, user string, actions ...string) (id, token string) {
	var permissions []influxtest.Permission
	for _, action := range actions {
		permissions = append(permissions, influxtest.InOrgByID(action, "buckets", server.BucketID(), server.OrgID()))
	}
	return server.AddToken(server.OrgID(), user, permissions...)
}

func importing(id, token string, more map[string]any) map[string]any {
	data := map[string]any{"authorization_id": id, "token": token}
	for key, value := range more {
		data[key] = value
	}
	return data
}

func TestImport(t *testing.T) {
	eachStorageOfTokens(t, func(t *testing.T, m *testMount, server *influxtest.Server, _ bool) {
		id, token := bucketToken(server, server.UserID(), "read", "write")
		before := server.Tokens()
		write := importing(id, token, staticFields(map[string]any{"rotation_period": "24h", "grace_period": "10m"}))
		m.write("static-roles/kept", write)
		require.Equal(t, statuses(before), statuses(server.Tokens()), "nothing is made, changed or deleted")
		imported := m.readStatic("kept")
		require.Equal(t, token, imported["token"])
		require.Equal(t, id, imported["authorization_id"])
		require.NotEmpty(t, imported["last_vault_rotation"])
		require.Equal(t, "acme", imported["org"])
		m.tidies()
		require.Contains(t, existing(server), id)

		m.write("static-roles/kept", write) // as Terraform does with each apply
		require.Equal(t, token, m.readStatic("kept")["token"])
		m.write("rotate-role/kept", nil)
		require.NotEqual(t, token, m.readStatic("kept")["token"])
		require.Equal(t, http.StatusNoContent, writes(t, server, token), "within its grace")
		m.minutes(11)
		require.Equal(t, http.StatusUnauthorized, writes(t, server, token))
		require.NotContains(t, existing(server), id)

		rotated := m.readStatic("kept")["token"]
		m.write("static-roles/kept", write)
		require.Equal(t, rotated, m.readStatic("kept")["token"], "the pair that was taken over once is ignored")
		other, value := bucketToken(server, server.UserID(), "read", "write")
		require.Contains(t, m.rejected(logical.UpdateOperation, "static-roles/kept", importing(other, value, staticFields(nil))),
			`authorization_id: static role "kept" has a token already; an existing one is taken over when a role is made`)
		m.silent(append(server.IssuedTokens(), token), fmt.Sprint(m.read("static-roles/kept").Data))
	})
}

// Without permission fields the role takes over what the token grants, and its owner.
func TestImportTakesPermissionsOver(t *testing.T) {
	eachStorageOfTokens(t, func(t *testing.T, m *testMount, server *influxtest.Server, _ bool) {
		user := server.AddUser("telegraf")
		id, token := bucketToken(server, user, "write")
		pair := importing(id, token, nil)
		m.write("static-roles/kept", pair)
		role := m.read("static-roles/kept").Data
		require.Equal(t, id, role["clone_from"])
		require.Equal(t, user, role["user_id"])
		m.write("rotate-role/kept", map[string]any{"grace_period": 0})
		require.NotContains(t, existing(server), id)
		m.write("static-roles/kept", pair)
		now := m.readStatic("kept")
		made := existing(server)[now["authorization_id"].(string)]
		require.Equal(t, user, made.UserID)
		require.Equal(t, []influxtest.Permission{influxtest.InOrgByID("write", "buckets", server.BucketID(), server.OrgID())}, made.Permissions)
		require.Equal(t, http.StatusNoContent, writes(t, server, now["token"].(string)))
		require.Len(t, staticTokens(server), 1, "writing the pair again makes no token")
	})
}

func TestImportRefusesWhatIsNotThePair(t *testing.T) {
	t.Parallel()
	eachStorageOfTokens(t, func(t *testing.T, m *testMount, server *influxtest.Server, hashed bool) {
		user := server.UserID()
		m.write("static-roles/other", staticFields(nil))
		static := m.readStatic("other")
		held := m.mint("app")
		id, token := bucketToken(server, user, "read", "write")
		reader, readerToken := bucketToken(server, user, "read")
		bobs, bobsToken := bucketToken(server, server.AddUser("bob"), "read", "write")
		off, offToken := bucketToken(server, user, "read", "write")
		server.SetTokenActive(off, false)
		another, anotherToken := server.AddToken(server.OrgID(), user, influxtest.InOrg("write", "buckets", server.OrgID()), influxtest.InOrg("read", "buckets", server.OrgID()))
		globex := server.AddOrg("globex")
		elsewhere, elsewhereToken := server.AddToken(globex, user, influxtest.InOrg("read", "buckets", globex))
		server.AddBucket(server.OrgID(), "logs")
		same := func(says string) string {
			if !hashed {
				return "is not the authorization of the token in token: InfluxDB shows another value for that ID"
			}
			return says
		}
		before := statuses(server.Tokens())
		both := staticFields(nil)
		for name, c := range map[string]struct {
			data map[string]any
			says string
		}{
			"no token":        {importing(id, "", both), "authorization_id: give it together with token, or neither"},
			"no ID":           {importing("", token, both), "authorization_id: give it together with token, or neither"},
			"no ID at all":    {importing("x", token, both), "authorization_id: must be an ID of 16 hexadecimal digits"},
			"no token at all": {importing(id, "a b", both), "token: holds a character that no token has"},
			"unknown ID":      {importing("0000000000000001", token, both), "authorization_id: no authorization has the ID 0000000000000001"},
			"unknown token":   {importing(id, "unknown", both), "token: InfluxDB does not accept it"},
			"inactive":        {importing(off, offToken, both), "authorization_id: " + off + " is inactive"},
			"inactive token":  {importing(id, offToken, both), "token: InfluxDB does not accept it"},
			"the root token":  {importing(server.RootID(), server.RootToken(), both), "is the root token, which config/rotate-root rotates"},
			"a lease's":       {importing(held.id, held.data["token"].(string), both), "is a lease token that a secrets engine made and will delete"},
			"another role's":  {importing(static["authorization_id"].(string), static["token"].(string), both), "is a static token that a secrets engine made"},
			"grants less":     {importing(reader, readerToken, both), "write_buckets[0]: authorization " + reader + " does not grant write:buckets/metrics in org acme"},
			"grants more":     {importing(another, anotherToken, both), "authorization_id: " + another + " grants"},
			"another org's":   {importing(elsewhere, elsewhereToken, both), "belongs to another organization"},
			"another user's":  {importing(id, bobsToken, both), same("it belongs to another user")},
			"of another user": {importing(bobs, token, both), same("it belongs to another user")},
		} {
			require.Contains(t, m.in(t).rejected(logical.UpdateOperation, "static-roles/kept", c.data), c.says, name)
			require.Equal(t, before, statuses(server.Tokens()), name)
		}
		m.silent(append(server.IssuedTokens(), token, readerToken, bobsToken))
	})
}

// A token that was taken over bears no stamp; it is another role's all the same, and would be deleted under this one.
func TestImportRefusesATokenThatIsTaken(t *testing.T) {
	eachStorageOfTokens(t, func(t *testing.T, m *testMount, server *influxtest.Server, _ bool) {
		id, token := bucketToken(server, server.UserID(), "read", "write")
		pair := importing(id, token, nil)
		m.write("static-roles/first", pair)
		refused := func() string { return m.in(t).rejected(logical.UpdateOperation, "static-roles/second", pair) }
		require.Contains(t, refused(), "authorization_id: "+id+` is a token of static role "first"`)
		m.write("rotate-role/first", nil)
		require.Contains(t, refused(), "authorization_id: "+id+` is a token of static role "first"`, "in its grace")
		server.Refuse(http.MethodDelete, authorizations)
		m.ok(logical.DeleteOperation, "static-roles/first", nil)
		require.Contains(t, refused(), "authorization_id: the deletion of "+id+" is pending")
		server.Intercept(nil)
		m.minutes(2)
		require.NotContains(t, existing(server), id)
	})
}
