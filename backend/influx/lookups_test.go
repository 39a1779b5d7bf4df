package influx_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

const unknownID = "0000000000000001"

func TestMe(t *testing.T) {
	srv := influxtest.New(t)
	me, err := connect(t, srv).Me(t.Context())
	require.NoError(t, err)
	require.Equal(t, influx.Named{ID: srv.UserID(), Name: influxtest.UserName, Status: "active"}, me)

	id, weak := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.InOrg("read", "buckets", srv.OrgID()))
	_, err = dial(t, influx.Options{URL: srv.URL, Token: weak}).Me(t.Context())
	e := failed(t, err)
	require.Equal(t, influx.MissingPermission, e.Kind)
	require.Equal(t, "read:users/"+srv.UserID(), e.Permission, "says whose token it is")

	srv.SetTokenActive(id, false)
	_, err = dial(t, influx.Options{URL: srv.URL, Token: weak}).Me(t.Context())
	require.True(t, influx.Is(err, influx.InactiveToken))
	srv.SetUserActive(srv.UserID(), false)
	_, err = connect(t, srv).Me(t.Context())
	require.True(t, influx.Is(err, influx.InactiveUser))
	_, err = dial(t, influx.Options{URL: srv.URL}).Me(t.Context())
	require.True(t, influx.Is(err, influx.BadToken))
}

func TestOrganizations(t *testing.T) {
	srv := influxtest.New(t)
	for i := range 120 {
		srv.AddOrg(fmt.Sprintf("org-%03d", i))
	}
	all, err := connect(t, srv).Organizations(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 100)

	_, blind := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.MintingPermissions(srv.OrgID(), srv.UserID())...)
	client := dial(t, influx.Options{URL: srv.URL, Token: blind})
	none, err := client.Organizations(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
}

// Where the token may not see it, or is inactive, a thing is hidden: that is not the same as none.
func TestWhatTheTokenMayNotSee(t *testing.T) {
	srv := influxtest.New(t)
	_, blind := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.MintingPermissions(srv.OrgID(), srv.UserID())...)
	inactive, switchedOff := srv.AddToken(srv.OrgID(), srv.UserID(), influxtest.OperatorPermissions()...)
	srv.SetTokenActive(inactive, false)
	for _, token := range []string{blind, switchedOff} {
		client := dial(t, influx.Options{URL: srv.URL, Token: token})
		_, org := client.Organization(t.Context(), influxtest.OrgName)
		_, bucket := client.Bucket(t.Context(), srv.OrgID(), influxtest.BucketName)
		_, user := client.User(t.Context(), influxtest.UserName)
		for permission, err := range map[string]error{"read:orgs": org, "read:orgs/" + srv.OrgID() + "/buckets": bucket, "read:users": user} {
			e := failed(t, err)
			require.Equal(t, influx.MissingPermission, e.Kind)
			require.Equal(t, permission, e.Permission)
			require.ErrorContains(t, e, "the root token can't see it: it is inactive or lacks "+permission)
		}
		_, err := client.Organization(t.Context(), "nowhere")
		require.True(t, influx.Is(err, influx.NotFound))
	}
}

// Names are exact, whatever the server makes of them: it trims them, takes an empty one for all, and so on.
func TestNamesAreExact(t *testing.T) {
	srv := influxtest.New(t)
	for i := range 30 {
		srv.AddOrg(fmt.Sprintf("org-%02d", i))
		srv.AddUser(fmt.Sprintf("user-%02d", i))
	}
	strange := "a&name=b/c?é %2F+"
	orgID, userID, bucketID := srv.AddOrg(strange), srv.AddUser(strange), srv.AddBucket(srv.OrgID(), strange)
	client := connect(t, srv)
	lookups := map[string]struct {
		find func(name string) (influx.Named, error)
		ids  map[string]string
	}{
		"organization": {func(name string) (influx.Named, error) { return client.Organization(t.Context(), name) },
			map[string]string{influxtest.OrgName: srv.OrgID(), strange: orgID}},
		"user": {func(name string) (influx.Named, error) {
			user, err := client.User(t.Context(), name)
			require.Equal(t, err == nil, user.Status == "active")
			user.Status = ""
			return user, err
		}, map[string]string{influxtest.UserName: srv.UserID(), strange: userID}},
		"bucket": {func(name string) (influx.Named, error) {
			bucket, err := client.Bucket(t.Context(), srv.OrgID(), name)
			require.Equal(t, err == nil, bucket.OrgID == srv.OrgID())
			bucket.OrgID = ""
			return bucket, err
		}, map[string]string{influxtest.BucketName: srv.BucketID(), strange: bucketID}},
	}
	for says, lookup := range lookups {
		t.Run(says, func(t *testing.T) {
			for name, id := range lookup.ids {
				found, err := lookup.find(name)
				require.NoError(t, err)
				require.Equal(t, influx.Named{ID: id, Name: name}, found)
				for _, other := range []string{name + "x", name[1:], " " + name, name + " ", "", "*", id} {
					_, err := lookup.find(other)
					e := failed(t, err)
					require.Equal(t, influx.NotFound, e.Kind, other)
				}
			}
		})
	}
	last, err := client.User(t.Context(), "user-29")
	require.NoError(t, err, "beyond the first page")
	require.Equal(t, "user-29", last.Name)
	_, err = client.Organization(t.Context(), "org-29")
	require.NoError(t, err, "beyond the first page")
}

// A server that ignores the filter answers others: they are not taken for the wanted one.
func TestFiltersThatAreIgnored(t *testing.T) {
	client := serve(t, answer{status: 200, content: jsonType, body: `{
		"orgs": [{"id":"0a","name":"Acme"}], "users": [{"id":"0b","name":"Vault"}],
		"buckets": [{"id":"0c","orgID":"0e","name":"metrics"}, {"id":"0d","orgID":"0a","name":"Metrics"}]}`}.ServeHTTP)
	_, err := client.Organization(t.Context(), "acme")
	require.EqualError(t, err, "GET "+client.URL()+`/api/v2/orgs: 200 "\"acme\" not found"`)
	_, err = client.User(t.Context(), "vault")
	require.EqualError(t, err, "GET "+client.URL()+`/api/v2/users: 200 "\"vault\" not found"`)
	_, err = client.Bucket(t.Context(), "0a", "metrics")
	require.EqualError(t, err, "GET "+client.URL()+`/api/v2/buckets: 200 "\"metrics\" not found"`)
}

func TestLookupsByID(t *testing.T) {
	srv := influxtest.New(t)
	client := connect(t, srv)
	org, err := client.OrganizationByID(t.Context(), srv.OrgID())
	require.NoError(t, err)
	require.Equal(t, influx.Named{ID: srv.OrgID(), Name: influxtest.OrgName}, org)
	user, err := client.UserByID(t.Context(), srv.UserID())
	require.NoError(t, err)
	require.Equal(t, influx.Named{ID: srv.UserID(), Name: influxtest.UserName, Status: "active"}, user)
	bucket, err := client.BucketByID(t.Context(), srv.BucketID())
	require.NoError(t, err)
	require.Equal(t, influx.Named{ID: srv.BucketID(), Name: influxtest.BucketName, OrgID: srv.OrgID()}, bucket)

	_, err = client.OrganizationByID(t.Context(), unknownID)
	require.True(t, influx.Is(err, influx.NotFound))
	_, err = client.UserByID(t.Context(), unknownID)
	require.True(t, influx.Is(err, influx.NotFound))
	_, err = client.BucketByID(t.Context(), unknownID)
	require.True(t, influx.Is(err, influx.NotFound))
	_, err = client.BucketByID(t.Context(), "zz")
	require.True(t, influx.Is(err, influx.Invalid))
}

// Every look-up passes a failure on; none takes it for an absence.
func TestLookupsPassFailuresOn(t *testing.T) {
	srv := influxtest.New(t)
	srv.Fail("", "/", 503, "", "")
	client := connect(t, srv)
	ctx := t.Context()
	for says, lookup := range map[string]func() error{
		"Me":               func() error { _, err := client.Me(ctx); return err },
		"Ping":             func() error { _, err := client.Ping(ctx); return err },
		"Organizations":    func() error { _, err := client.Organizations(ctx); return err },
		"Organization":     func() error { _, err := client.Organization(ctx, "a"); return err },
		"OrganizationByID": func() error { _, err := client.OrganizationByID(ctx, unknownID); return err },
		"Bucket":           func() error { _, err := client.Bucket(ctx, srv.OrgID(), "a"); return err },
		"BucketByID":       func() error { _, err := client.BucketByID(ctx, unknownID); return err },
		"Buckets":          func() error { _, err := client.Buckets(ctx, srv.OrgID(), 10); return err },
		"User":             func() error { _, err := client.User(ctx, "a"); return err },
		"UserByID":         func() error { _, err := client.UserByID(ctx, unknownID); return err },
		"ResourceOrg":      func() error { _, err := client.ResourceOrg(ctx, unknownID, "tasks", unknownID); return err },
		"ResourceTypes":    func() error { _, err := client.ResourceTypes(ctx); return err },
		"GetAuthorization": func() error { _, err := client.GetAuthorization(ctx, unknownID); return err },
	} {
		require.True(t, influx.Is(lookup(), influx.Unavailable), says)
	}
}

func TestResourceTypes(t *testing.T) {
	srv := influxtest.New(t)
	types, err := connect(t, srv).ResourceTypes(t.Context())
	require.NoError(t, err)
	require.Equal(t, influxtest.ResourceTypes(), types)

	srv.Fail("GET", "/api/v2/resources", 404, jsonType, `{"code":"not found","message":"path not found"}`)
	_, err = connect(t, srv).ResourceTypes(t.Context())
	require.True(t, influx.Is(err, influx.NoSuchPath))
}

func TestResourceOrg(t *testing.T) {
	tests := map[string]struct{ path, body string }{
		"telegrafs": {"/api/v2/telegrafs/" + unknownID, `{"id":"0b","orgID":"0a"}`},
		"labels":    {"/api/v2/labels/" + unknownID, `{"links":{},"label":{"id":"0b","orgID":"0a"}}`},
		"dbrp":      {"/api/v2/dbrps/" + unknownID + "?orgID=0a", `{"id":"0b","orgID":"0a"}`},
		"a/b":       {"/api/v2/a%2Fb/" + unknownID, `{"orgID":"0a"}`},
	}
	for resourceType, test := range tests {
		t.Run(resourceType, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RequestURI() != test.path {
					w.WriteHeader(http.StatusTeapot)
				}
				_, _ = w.Write([]byte(test.body))
			})
			orgID, err := client.ResourceOrg(t.Context(), "0a", resourceType, unknownID)
			require.NoError(t, err)
			require.Equal(t, "0a", orgID)
		})
	}
	srv := influxtest.New(t)
	for _, resourceType := range []string{"secrets", "documents"} {
		_, err := connect(t, srv).ResourceOrg(t.Context(), srv.OrgID(), resourceType, unknownID)
		require.True(t, influx.Is(err, influx.NoSuchPath) || influx.Is(err, influx.NotFound), "%v", err)
	}
}

// JSON of another kind decodes as well: what is asked for by its ID is there only where the answer repeats the ID.
func TestAnAnswerRepeatsTheIDThatWasAskedFor(t *testing.T) {
	for _, body := range []string{`{}`, `null`, `{"error":"denied"}`, `{"id":"0000000000000002","name":"other"}`} {
		client := serve(t, answer{status: 200, content: jsonType, body: body}.ServeHTTP)
		ctx := t.Context()
		_, authorization := client.GetAuthorization(ctx, unknownID)
		_, org := client.OrganizationByID(ctx, unknownID)
		_, bucket := client.BucketByID(ctx, unknownID)
		_, user := client.UserByID(ctx, unknownID)
		for _, err := range []error{authorization, org, bucket, user, client.SetAuthorizationStatus(ctx, unknownID, true)} {
			e := failed(t, err)
			require.Equal(t, influx.NotInfluxDB, e.Kind, body)
			require.False(t, e.NotApplied())
			require.ErrorContains(t, err, `200 "the answer is not what was asked for"`)
		}
	}
	client := serve(t, answer{status: 200, content: jsonType, body: `{"name":"admin"}`}.ServeHTTP)
	_, err := client.Me(t.Context())
	require.True(t, influx.Is(err, influx.NotInfluxDB), "%v", err)

	srv := influxtest.New(t)
	org, err := connect(t, srv).OrganizationByID(t.Context(), strings.ToUpper(srv.OrgID()))
	require.NoError(t, err)
	require.Equal(t, srv.OrgID(), org.ID)
}
