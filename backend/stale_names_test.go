package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// What a bucket's name meant before must not be granted: InfluxDB takes any ID.
func TestMintNoticesABucketMadeAnew(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	server.DeleteBucket(server.BucketID())
	anew := server.AddBucket(server.OrgID(), "metrics")
	server.ResetRequests()

	l := m.mint("app")

	for _, p := range live(server)[l.id].Permissions {
		require.Equal(t, anew, p.Resource.ID)
	}
	require.Len(t, live(server), 2, "the token with the stale ID is deleted")
	methods := []string{}
	for _, r := range server.Requests() {
		methods = append(methods, r.Method)
	}
	require.Equal(t, []string{"POST", "DELETE", "GET", "POST"}, methods)
}

func TestMintNoticesARenamedBucket(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/by-id", map[string]any{"read_buckets": "id:" + server.BucketID()})
	m.mint("app")
	m.mint("by-id")
	server.RenameBucket(server.BucketID(), "points")

	status, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, 400, status)
	require.Equal(t, "read_buckets[0]: no bucket \"metrics\" in org \"acme\"\nwrite_buckets[0]: no bucket \"metrics\" in org \"acme\"", text)

	l := m.mint("by-id")
	require.Contains(t, live(server)[l.id].Description, "Read buckets points ", "an ID stays the bucket's, whatever its name")
	require.Len(t, live(server), 3)
}

func TestMintNoticesAnOrganizationOrUserMadeAnew(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	orgID := server.AddOrg("beta")
	userID := server.AddUser("telegraf")
	m.write("roles/beta", map[string]any{"org": "beta", "user": "telegraf", "read_buckets": "_monitoring"})
	m.mint("beta")
	server.DeleteOrg(orgID)
	server.DeleteUser(userID)
	orgID, userID = server.AddOrg("beta"), server.AddUser("telegraf")

	l := m.mint("beta")

	require.Equal(t, orgID, live(server)[l.id].OrgID)
	require.Equal(t, userID, live(server)[l.id].UserID)
	require.Equal(t, orgID, l.data["org_id"])
}

// The names that the configuration gives count as a role's own.
func TestMintNoticesTheDefaultUserOrOrganizationMadeAnew(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	userID := server.AddUser("vault")
	m.configure(server, map[string]any{"user": "vault"})
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	m.mint("app")
	server.DeleteUser(userID)
	userID = server.AddUser("vault")
	l := m.mint("app")
	require.Equal(t, userID, live(server)[l.id].UserID)

	orgID := server.AddOrg("beta")
	m.write("config", map[string]any{"org": "beta", "verify_connection": false})
	m.write("roles/app", map[string]any{"read_buckets": "_monitoring"})
	m.mint("app")
	server.DeleteOrg(orgID)
	orgID = server.AddOrg("beta")
	l = m.mint("app")
	require.Equal(t, orgID, live(server)[l.id].OrgID)
	require.Equal(t, orgID, l.data["org_id"])
}

// A bucket that was never looked up before is looked for in the organization that has the name now.
func TestMintLooksInAnOrganizationMadeAnew(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	orgID := server.AddOrg("beta")
	m.write("roles/first", map[string]any{"org": "beta", "read_buckets": "_monitoring"})
	m.write("roles/second", map[string]any{"org": "beta", "read_buckets": "_tasks"})
	m.mint("first")
	server.DeleteOrg(orgID)
	status, text := m.refused(logical.ReadOperation, "creds/second", nil)
	require.Equal(t, 400, status)
	require.Equal(t, `org: no organization "beta" that the root token can see`, text)

	orgID = server.AddOrg("beta")
	m.mint("first")
	server.DeleteOrg(orgID)
	orgID = server.AddOrg("beta")
	l := m.mint("second")
	require.Equal(t, orgID, live(server)[l.id].OrgID)

	m.write("roles/third", map[string]any{"org": "beta", "read_buckets": "_monitoring"})
	server.Fail("", "/", 503, "", "")
	server.ResetRequests()
	m.refused(logical.ReadOperation, "creds/third", nil)
	require.Len(t, server.Requests(), 1, "an outage is no reason to ask again")
}
