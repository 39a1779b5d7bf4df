package role

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

func newRoles() *Roles {
	m := &mount.Mount{UUID: mountUUID, Log: hclog.NewNullLogger(), Now: time.Now, System: logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 24 * time.Hour}}
	pool := connection.NewPool("test")
	return New(m, pool, token.NewIssuer(m), revoke.New(m, pool, &lease.Counter{}))
}

func reading(buckets ...string) func(*store.Role) {
	return func(r *store.Role) { r.ReadBuckets = buckets }
}

func TestRolesAreCachedUntilTheyAreWritten(t *testing.T) {
	roles, s := newRoles(), &logical.InmemStorage{}
	require.NoError(t, store.Roles.Put(t.Context(), s, "app", &store.Role{Org: "old"}))
	get := func() *store.Role {
		r, err := roles.Get(t.Context(), s, "app")
		require.NoError(t, err)
		return r
	}
	require.Equal(t, "old", get().Org)
	require.NoError(t, store.Roles.Put(t.Context(), s, "app", &store.Role{Org: "new"}))
	roles.Invalidate(store.ConfigKey)
	require.Equal(t, "old", get().Org)
	roles.Invalidate(store.RolePrefix + "app")
	require.Equal(t, "new", get().Org)
	require.NoError(t, store.Roles.Delete(t.Context(), s, "app"))
	roles.Invalidate(store.RolePrefix + "app")
	require.Nil(t, get())
}

// All that is wrong comes in one answer, also for a role that grants nothing, and nothing is stored.
func TestWriteNamesEveryProblem(t *testing.T) {
	server := influxtest.New(t)
	roles, s := newRoles(), &logical.InmemStorage{}
	require.NoError(t, store.Config.Put(t.Context(), s, &store.Connection{
		ID: "c", URL: server.URL, Token: server.RootToken(), OrgID: server.OrgID(), RequestTimeout: 10, MaxOpenConnections: 1,
	}))
	const nothing = `role "app" would grant nothing: a write replaces the whole role; to change one field use vault patch influxdb/roles/app ttl=5m`
	unknownType := func(r *store.Role) { r.TokenType = "root" }
	for _, c := range []struct {
		apply  func(*store.Role)
		verify bool
		want   []string
	}{
		{func(*store.Role) {}, true, []string{nothing}},
		{unknownType, true, []string{`token_type: "root" is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin`}},
		{unknownType, false, []string{`token_type: "root" is not known; allowed: custom, all-access, operator; on InfluxDB 3 custom, admin`}},
		{func(r *store.Role) { r.User, r.TTL, r.MaxTTL = "nobody", 2, 1 }, true, []string{nothing, "ttl: 2s is longer than max_ttl, 1s", `user: no user "nobody" that the root token can see`}},
		{func(r *store.Role) { r.CloneFrom = "x" }, true, []string{"clone_from: must be an authorization's ID of 16 hexadecimal digits"}},
	} {
		_, err := roles.Write(t.Context(), s, Write{Name: "app", MountPath: "influxdb/", Verify: c.verify, Apply: c.apply})
		require.Error(t, err)
		require.ElementsMatch(t, c.want, strings.Split(err.Error(), "\n"))
	}
	names, err := store.Roles.List(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, names)
	require.Len(t, server.Tokens(), 1, "no probe is left beside the root token")
}

func TestWriteMergesOrReplaces(t *testing.T) {
	roles, s := newRoles(), &logical.InmemStorage{}
	write := func(merge bool, apply func(*store.Role)) error {
		_, err := roles.Write(t.Context(), s, Write{Name: "app", MountPath: "influxdb/", Merge: merge, Apply: apply})
		return err
	}
	err := write(true, reading("metrics"))
	var missing *problem.Error
	require.ErrorAs(t, err, &missing)
	require.Equal(t, http.StatusNotFound, missing.Status)
	require.EqualError(t, err, `role "app" does not exist; write it first`)

	stored := func() *store.Role {
		r, err := store.Roles.Get(t.Context(), s, "app")
		require.NoError(t, err)
		return r
	}
	require.NoError(t, write(false, reading("metrics")))
	require.NoError(t, write(true, func(r *store.Role) { r.TTL = 60 }))
	require.Equal(t, []any{[]string{"metrics"}, 60}, []any{stored().ReadBuckets, stored().TTL})
	require.NoError(t, write(false, reading("alerts")))
	require.Equal(t, []any{[]string{"alerts"}, 0}, []any{stored().ReadBuckets, stored().TTL})
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"a", "app", "app-1.b_c", strings.Repeat("a", 128)} {
		require.NoError(t, CheckName(good), good)
	}
	for _, bad := range []string{"", "-app", "app-", ".", "a..b", "a/b", "a b", "ä", "a\n", strings.Repeat("a", 129)} {
		require.ErrorContains(t, CheckName(bad), "name: ", bad)
	}
}
