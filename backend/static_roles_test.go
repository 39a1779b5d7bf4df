package backend

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// statically is a mount with a static role kept that reads and writes metrics.
func (m *testMount) statically(fields map[string]any, options ...influxtest.Option) *influxtest.Server {
	m.t.Helper()
	server := m.connected(options...)
	m.write("static-roles/kept", staticFields(fields))
	return server
}

// staticFields are the fields of a static role that reads and writes metrics, and more.
func staticFields(more map[string]any) map[string]any {
	data := map[string]any{"read_buckets": "metrics", "write_buckets": "metrics"}
	for key, value := range more {
		data[key] = value
	}
	return data
}

// staticTokens are the tokens of this mount's that are stamped as static, by ID.
func staticTokens(server *influxtest.Server) map[string]influxtest.Token {
	found := map[string]influxtest.Token{}
	for id, token := range live(server) {
		if st, ok := readStamp(token.Description); ok && st.Kind == kindStatic {
			found[id] = token
		}
	}
	return found
}

// readStatic is what static-creds answers.
func (m *testMount) readStatic(name string) map[string]any {
	m.t.Helper()
	resp := m.read("static-creds/" + name)
	require.Nil(m.t, resp.Secret, "no lease")
	return resp.Data
}

// storedStatic is a static role as it lies in storage.
func (m *testMount) storedStatic(name string) *store.StaticRole {
	m.t.Helper()
	role, err := store.StaticRoles.Get(m.t.Context(), m.storage.Storage, name)
	require.NoError(m.t, err)
	require.NotNil(m.t, role)
	return role
}

// minutes lets time pass, a tick a minute.
func (m *testMount) minutes(n int) {
	m.t.Helper()
	for range n {
		m.clock.advance(time.Minute)
		require.NoError(m.t, m.tick())
	}
}

func TestStaticRoleHasOneToken(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "24h"})
	made := staticTokens(server)
	require.Len(t, made, 1)
	first := m.readStatic("kept")
	token := made[first["authorization_id"].(string)]
	require.Equal(t, token.Token, first["token"])
	require.Equal(t, token.Description, first["description"])
	require.Regexp(t, `^Read buckets metrics Write buckets metrics \(vault influxdb/static-creds/kept\) \[vault:v1:`+testUUID+`:static:kept:[0-9a-f]{16}:0\]$`, token.Description)
	require.Equal(t, http.StatusNoContent, writes(t, server, token.Token))

	server.Refuse("", "/") // from storage alone
	require.Equal(t, first["token"], m.readStatic("kept")["token"])
	require.Equal(t, `[kept]`, fmt.Sprint(m.ok(logical.ListOperation, "static-roles/", nil).Data["keys"]))
	server.Intercept(nil)

	m.ok(logical.DeleteOperation, "static-roles/kept", nil)
	require.Empty(t, staticTokens(server))
	require.Empty(t, m.keys("static-role/"))
	require.Contains(t, m.rejected(logical.ReadOperation, "static-creds/kept", nil), `static role "kept" does not exist`)
	m.ok(logical.DeleteOperation, "static-roles/kept", nil)
	m.silent(server.IssuedTokens())
}

// writes is the status that a server answers to a token that wants to write.
func writes(t *testing.T, server *influxtest.Server, token string) int {
	t.Helper()
	return statusOf(t, http.MethodPost, server.URL+"/api/v2/write?org="+server.OrgID()+"&bucket="+server.BucketID(), token)
}

func TestStaticRoleRotates(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "2h", "grace_period": "30m"})
	first := m.readStatic("kept")
	m.minutes(119)
	require.Equal(t, first["token"], m.readStatic("kept")["token"], "never early")
	m.minutes(2)
	second := m.readStatic("kept")
	require.NotEqual(t, first["token"], second["token"])
	require.Len(t, staticTokens(server), 2)
	require.Equal(t, http.StatusNoContent, writes(t, server, first["token"].(string)), "its grace is not over")
	role := m.read("static-roles/kept").Data
	require.Equal(t, first["authorization_id"], role["previous_authorization_id"])
	require.NotEmpty(t, role["previous_ends"])

	m.minutes(31)
	require.Equal(t, http.StatusUnauthorized, writes(t, server, first["token"].(string)))
	require.Equal(t, http.StatusNoContent, writes(t, server, second["token"].(string)))
	require.Len(t, staticTokens(server), 1)
	require.Empty(t, m.read("static-roles/kept").Data["previous_authorization_id"])
	require.Empty(t, m.keys("intention/"))
	require.Empty(t, m.pendingIDs())
}

func TestRotateRole(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	tokens := []string{m.readStatic("kept")["token"].(string)}
	rotate := func(data map[string]any) {
		m.write("rotate-role/kept", data)
		tokens = append(tokens, m.readStatic("kept")["token"].(string))
	}
	rotate(nil)
	require.Equal(t, []int{204, 204}, eachWrites(t, server, tokens))
	rotate(nil)
	require.Equal(t, []int{401, 204, 204}, eachWrites(t, server, tokens), "the one before the current one goes first")
	rotate(map[string]any{"grace_period": 0})
	require.Equal(t, []int{401, 401, 401, 204}, eachWrites(t, server, tokens), "a leak")
	rotate(map[string]any{"grace_period": "1m"})
	m.minutes(2)
	require.Equal(t, []int{401, 401, 401, 401, 204}, eachWrites(t, server, tokens))
	require.Contains(t, m.rejected(logical.UpdateOperation, "rotate-role/other", nil), `static role "other" does not exist`)
}

func eachWrites(t *testing.T, server *influxtest.Server, tokens []string) []int {
	t.Helper()
	var statuses []int
	for _, token := range tokens {
		statuses = append(statuses, writes(t, server, token))
	}
	return statuses
}

// A token that has leaked and can't be deleted yet: the caller is told, and it goes later.
func TestRotateRoleWarnsOfATokenThatStillWorks(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	first := m.readStatic("kept")["token"].(string)
	server.Refuse(http.MethodDelete, authorizations)
	resp := m.write("rotate-role/kept", map[string]any{"grace_period": 0})
	require.Contains(t, warned(resp), "the previous one still works")
	require.NotEqual(t, first, m.readStatic("kept")["token"])
	server.Intercept(nil)
	m.minutes(2)
	require.Equal(t, http.StatusUnauthorized, writes(t, server, first))
	require.Len(t, staticTokens(server), 1)
	require.Empty(t, m.read("static-roles/kept").Data["previous_authorization_id"])
	require.Empty(t, m.pendingIDs())
}

// However many ask at once, there are one current and at most one previous token.
func TestManyRotateRolesAtOnce(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "1h"})
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			resp, err := m.request(logical.UpdateOperation, "rotate-role/kept", nil)
			assertGood(t, resp, err)
		})
		callers.Go(func() {
			resp, err := m.request(logical.ReadOperation, "static-creds/kept", nil)
			assertGood(t, resp, err)
		})
	}
	callers.Wait()
	require.Len(t, staticTokens(server), 2)
	require.Equal(t, http.StatusNoContent, writes(t, server, m.readStatic("kept")["token"].(string)))
	require.Empty(t, m.keys("intention/"))
	require.Empty(t, m.pendingIDs())
}
