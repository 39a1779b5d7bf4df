package connection

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// dial makes a connection that nothing was verified of.
func dial(t *testing.T, server *influxtest.Server, change ...func(*store.Connection)) *Connection {
	t.Helper()
	config := stored(server, "one", "1")
	for _, each := range change {
		each(config)
	}
	c, err := NewPool("test").Dial(config)
	require.NoError(t, err)
	t.Cleanup(c.Client.Close)
	return c
}

func TestNamesAreCached(t *testing.T) {
	server := influxtest.New(t)
	n := dial(t, server).Names
	all := func() {
		orgID, err := n.OrgID(t.Context(), influxtest.OrgName)
		require.NoError(t, err)
		require.Equal(t, server.OrgID(), orgID)
		name, err := n.OrgName(t.Context(), strings.ToUpper(orgID))
		require.NoError(t, err)
		require.Equal(t, influxtest.OrgName, name)
		bucketID, err := n.BucketID(t.Context(), orgID, influxtest.BucketName)
		require.NoError(t, err)
		require.Equal(t, server.BucketID(), bucketID)
		name, bucketOrg, err := n.Bucket(t.Context(), bucketID)
		require.NoError(t, err)
		require.Equal(t, []string{influxtest.BucketName, orgID}, []string{name, bucketOrg})
		userID, err := n.UserID(t.Context(), influxtest.UserName)
		require.NoError(t, err)
		require.Equal(t, server.UserID(), userID)
		types, err := n.ResourceTypes(t.Context())
		require.NoError(t, err)
		require.Contains(t, types, "buckets")
	}
	all()
	server.ResetRequests()
	all()
	require.Empty(t, server.Requests())

	n.Forget(server.OrgID(), influxtest.OrgName, influxtest.UserName, []permission.Permission{{Name: influxtest.BucketName, ID: server.BucketID()}})
	all()
	require.Len(t, server.Requests(), 5, "all but the types")
}

func TestAbsencesAndFailuresAreNotCached(t *testing.T) {
	server := influxtest.New(t)
	n := dial(t, server).Names
	var none *permission.NoBucket
	_, err := n.BucketID(t.Context(), server.OrgID(), "alerts")
	require.ErrorAs(t, err, &none)
	id := server.AddBucket(server.OrgID(), "alerts")
	server.Refuse("", "/")
	_, err = n.BucketID(t.Context(), server.OrgID(), "alerts")
	require.True(t, influx.Is(err, influx.Unavailable))
	server.Intercept(nil)
	found, err := n.BucketID(t.Context(), server.OrgID(), "alerts")
	require.NoError(t, err)
	require.Equal(t, id, found)
}

// A caller that goes away leaves the look-up to the others that wait for it.
func TestALookupOutlivesItsCaller(t *testing.T) {
	server := influxtest.New(t)
	n := dial(t, server).Names
	release := server.Stall(http.MethodGet, "/")
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := n.OrgID(ctx, influxtest.OrgName)
		ended <- err
	}()
	require.Eventually(t, func() bool { return len(server.Requests()) == 1 }, time.Minute, time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	go func() {
		_, err := n.OrgID(t.Context(), influxtest.OrgName)
		ended <- err
	}()
	release()
	require.NoError(t, <-ended)
	require.Len(t, server.Requests(), 1, "one call for both")
}

// A role is tried with names of its own, of which nothing may be left.
func TestNamesLeaveNoGoroutines(t *testing.T) {
	server := influxtest.New(t)
	p := NewPool("test")
	t.Cleanup(p.CloseAll)
	before := runtime.NumGoroutine()
	const rounds = 200
	for range rounds {
		c, err := p.Uncached(stored(server, "one", "1"))
		require.NoError(t, err)
		_, err = c.Names.OrgID(t.Context(), influxtest.OrgName)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+rounds/2 }, time.Minute, 10*time.Millisecond,
		"%d goroutines before", before)
}

func TestScope(t *testing.T) {
	server := influxtest.New(t)
	beta, telegraf := server.AddOrg("beta"), server.AddUser("telegraf")
	for name, c := range map[string]struct {
		config func(*store.Connection)
		role   store.Role
		org    string
		owner  Owner
		lookup string
		err    string
	}{
		"the role's names":       {role: store.Role{Org: "beta", User: "telegraf"}, org: beta, owner: Owner{"telegraf", telegraf}, lookup: "beta"},
		"the role's IDs":         {role: store.Role{OrgID: strings.ToUpper(beta), UserID: strings.ToUpper(telegraf)}, org: beta, owner: Owner{ID: telegraf}},
		"the configuration's":    {config: func(c *store.Connection) { c.Org, c.User = "beta", "telegraf" }, org: beta, owner: Owner{"telegraf", telegraf}, lookup: "beta"},
		"the configuration's ID": {config: func(c *store.Connection) { c.OrgID, c.UserID = beta, telegraf }, org: beta, owner: Owner{ID: telegraf}},
		"what was verified": {config: func(c *store.Connection) {
			c.Org, c.Found = "gone", &store.Found{DefaultOrgID: beta, DefaultOrg: "beta"}
		}, org: beta},
		"none": {err: "org: not given, and config has no default; set org or org_id"},
		"both unknown": {role: store.Role{Org: "gamma", User: "eve"},
			err: "org: no organization \"gamma\" that the root token can see\nuser: no user \"eve\" that the root token can see", lookup: "gamma"},
	} {
		t.Run(name, func(t *testing.T) {
			var change []func(*store.Connection)
			if c.config != nil {
				change = append(change, c.config)
			}
			e := dial(t, server, change...)
			scope, owner, err := e.Scope(t.Context(), &c.role)
			require.Equal(t, c.lookup, e.OrgLookupName(&c.role))
			if c.err != "" {
				require.EqualError(t, err, c.err)
				require.True(t, problem.HasField(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.org, scope.OrgID)
			require.Equal(t, "beta", scope.OrgName)
			require.Equal(t, c.owner, owner)
			require.Equal(t, c.owner.ID, scope.OwnerID)
		})
	}
}

func TestRecheckOrg(t *testing.T) {
	server := influxtest.New(t)
	beta := server.AddOrg("beta")
	c := dial(t, server)
	r := &store.Role{Org: "beta"}
	scope, _, err := c.Scope(t.Context(), r)
	require.NoError(t, err)
	missing := problem.InField("read_buckets[0]", "no bucket")
	require.Equal(t, missing, c.RecheckOrg(t.Context(), r, scope, missing), "it is still there")
	server.DeleteOrg(beta)
	server.AddOrg("beta")
	outage := &influx.Error{Kind: influx.Unavailable}
	require.Equal(t, outage, c.RecheckOrg(t.Context(), r, scope, outage), "an outage says nothing of names")
	require.ErrorIs(t, c.RecheckOrg(t.Context(), r, scope, missing), ErrStaleName)
	require.Equal(t, missing, c.RecheckOrg(t.Context(), &store.Role{OrgID: beta}, scope, missing), "given by ID")
}

func TestCheckOwner(t *testing.T) {
	server := influxtest.New(t)
	c, id := dial(t, server), server.AddUser("telegraf")
	user, err := c.CheckOwner(t.Context(), Owner{ID: id})
	require.NoError(t, err)
	require.Equal(t, "telegraf", user.Name)
	server.SetUserActive(id, false)
	_, err = c.CheckOwner(t.Context(), Owner{ID: id})
	require.EqualError(t, err, `user: "telegraf" is inactive: its tokens would be refused`)
	server.DeleteUser(id)
	_, err = c.CheckOwner(t.Context(), Owner{ID: id})
	require.EqualError(t, err, "user_id: no user has the ID "+id)
	_, err = c.CheckOwner(t.Context(), Owner{})
	require.NoError(t, err, "the root token's own user is not looked up")
}
