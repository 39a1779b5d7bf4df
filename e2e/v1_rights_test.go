package e2e

import (
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// These are the tables and claims of docs/v1-clients.md.

const everyRoom = "SELECT * FROM room"

func TestV1ClientsTakeATokenAsThePassword(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", bucketRole(nil))
		m := e.mint(t, "app")
		meter := newV1User(t, e.influx)
		ways := map[string]struct {
			sign  signing
			taken bool
		}{
			"Basic, any user":             {basic("anyone", m.token), true},
			"Basic, no user":              {basic("", m.token), true},
			"Basic, a 1.x user":           {basic(meter, m.token), false},
			"Basic, another password":     {basic("anyone", "another"), false},
			"u and p, any user":           {inAddress(url.Values{"u": {"anyone"}, "p": {m.token}}), true},
			"u and p, an empty user":      {inAddress(url.Values{"u": {""}, "p": {m.token}}), false},
			"u and p, a 1.x user":         {inAddress(url.Values{"u": {meter}, "p": {m.token}}), false},
			"p alone":                     {inAddress(url.Values{"p": {m.token}}), false},
			"Token, the token":            {inHeader("Token " + m.token), true},
			"Token, any user : the token": {inHeader("Token anyone:" + m.token), true},
			"Bearer":                      {inHeader("Bearer " + m.token), false},
			"nothing":                     {func(*http.Request) {}, false},
		}
		for name, way := range ways {
			writes, reads := http.StatusUnauthorized, http.StatusUnauthorized
			if way.taken {
				writes, reads = http.StatusNoContent, http.StatusOK
			}
			assert.Equal(t, writes, writeV1(t, e.influx, way.sign, bucket).status, name)
			read := queryV1(t, e.influx, way.sign, bucket, everyRoom)
			assert.Equal(t, reads, read.status, name)
			if way.taken {
				assert.Contains(t, read.text, "attic", name)
			}
		}
		e.revoke(t, m.lease)
		for name, way := range ways {
			assert.Equal(t, http.StatusUnauthorized, writeV1(t, e.influx, way.sign, bucket).status, name)
			assert.Equal(t, http.StatusUnauthorized, queryV1(t, e.influx, way.sign, bucket, everyRoom).status, name)
		}
	})
}

// newV1User makes a user of 1.x, and returns the name.
func newV1User(t *testing.T, influx *lab.Influx) string {
	t.Helper()
	name, home := unique("meter"), influx.Onboarding
	path := handmade(t, influx, "/private/legacy/authorizations", map[string]any{
		"orgID": home.Org.ID, "token": name, "permissions": []lab.Permission{to("read", "buckets", home.Bucket.ID, home.Org.ID)},
	})
	status, text, err := influx.Call(t.Context(), influx.Operator, http.MethodPost, path+"/password", map[string]any{"password": "its own password"})
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, status, "%s", text)
	return name
}

// It has servers of its own: InfluxDB's DELETE looks at the measurements of all buckets, and fails with "engine is closed"
// while any of them is being deleted, as the other tests do.
func TestV1RightsAreThoseOfTheToken(t *testing.T) {
	t.Parallel()
	const noMapping, notThere = "no dbrp mapping found", "database not found: "
	onOwnInfluxes(t, func(t *testing.T, influx *lab.Influx) {
		e := connectedEngine(t, influx)
		home := e.influx.Onboarding.Org.ID
		neighbour := newBucket(t, e.influx, home, unique("neighbour"))
		own := newBucket(t, e.influx, home, unique("own")).Name // it is emptied
		e.role(t, "both", map[string]any{"read_buckets": own, "write_buckets": own})
		e.role(t, "reads", map[string]any{"read_buckets": own})
		e.role(t, "writes", map[string]any{"write_buckets": own})
		as := func(role string) signing { return basic("v1", e.mint(t, role).token) }
		both, reads, writes := as("both"), as("reads"), as("writes")

		assert.Equal(t, http.StatusNoContent, writeV1(t, e.influx, writes, own).status)
		assertAnswer(t, http.StatusForbidden, "insufficient permissions for write", writeV1(t, e.influx, reads, own))
		for _, elsewhere := range []string{neighbour.Name, "no-such-database", own + "/no-such-policy"} {
			assertAnswer(t, http.StatusNotFound, noMapping, writeV1(t, e.influx, both, elsewhere))
		}
		assertAnswer(t, http.StatusOK, "attic", queryV1(t, e.influx, reads, own, everyRoom))
		assertAnswer(t, http.StatusOK, notThere+own, queryV1(t, e.influx, writes, own, everyRoom))
		for _, elsewhere := range []string{neighbour.Name, "no-such-database"} {
			assertAnswer(t, http.StatusOK, notThere+elsewhere, queryV1(t, e.influx, both, elsewhere, everyRoom))
		}
		for _, statement := range []string{
			"CREATE DATABASE more", "DROP DATABASE " + strconv.Quote(own), "CREATE RETENTION POLICY p ON " + strconv.Quote(own) + " DURATION 1d REPLICATION 1",
			"SHOW CONTINUOUS QUERIES", "SHOW USERS", "SELECT * INTO copy FROM room", "DROP SERIES FROM room",
		} {
			assertAnswer(t, http.StatusOK, "not implemented", queryV1(t, e.influx, both, own, statement))
		}
		for _, statement := range []string{"DELETE FROM room", "DROP MEASUREMENT room"} {
			assertAnswer(t, http.StatusOK, "insufficient permissions", queryV1(t, e.influx, reads, own, statement))
			assertAnswer(t, http.StatusOK, "{}", queryV1(t, e.influx, both, own, statement))
			assert.NotContains(t, queryV1(t, e.influx, reads, own, everyRoom).text, "attic", statement)
			assert.Equal(t, http.StatusNoContent, writeV1(t, e.influx, writes, own).status)
		}
	})
}

func assertAnswer(t *testing.T, status int, text string, got answer) {
	t.Helper()
	assert.Equal(t, status, got.status)
	assert.Contains(t, got.text, text)
}

func TestV1DatabasesAreBuckets(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		home := e.influx.Onboarding.Org.ID
		rooms := unique("rooms")
		weekly := newBucket(t, e.influx, home, rooms+"/weekly")
		mapped := newBucket(t, e.influx, home, unique("mapped"))
		e.role(t, "app", map[string]any{"read_buckets": []string{weekly.Name, mapped.Name}, "write_buckets": []string{weekly.Name, mapped.Name}})
		app := basic("v1", e.mint(t, "app").token)
		works := func(database string) {
			t.Helper()
			assert.Equal(t, http.StatusNoContent, writeV1(t, e.influx, app, database).status, database)
			assertAnswer(t, http.StatusOK, "attic", queryV1(t, e.influx, app, database, everyRoom))
		}
		works(weekly.Name)
		assert.Equal(t, http.StatusNotFound, writeV1(t, e.influx, app, rooms).status, "it is not the default")
		works(mapped.Name)
		works(mapped.Name + "/autogen")

		byHand := unique("telegraf")
		assert.Equal(t, http.StatusNotFound, writeV1(t, e.influx, app, byHand).status)
		newFolder(t, "INFLUX_HOST="+e.influx.URL, "INFLUX_TOKEN="+e.influx.Operator, "BUCKET_ID="+mapped.ID).
			runs(t, v1Commands(t, "## Databases are buckets", map[string]string{"--db telegraf": "--db " + byHand}))
		works(byHand)
	})
}

// Whoever may use one bucket can take the name of another one.
func TestV1MappingsAreMadeByWhoeverMayUseABucket(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		home := e.influx.Onboarding.Org.ID
		theirs, ours := newBucketUntil(t, e.influx, home, unique("theirs")), newBucket(t, e.influx, home, unique("ours"))
		role := func(buckets ...string) minted {
			e.role(t, "app", map[string]any{"read_buckets": buckets, "write_buckets": buckets})
			return e.mint(t, "app")
		}
		intruder, writer, both := role(theirs.Name), role(ours.Name), role(theirs.Name, ours.Name)
		e.role(t, "writes", map[string]any{"write_buckets": theirs.Name})
		assert.Equal(t, http.StatusNoContent, writeV1(t, e.influx, basic("v1", writer.token), ours.Name).status)

		mapping := map[string]any{"orgID": home, "bucketID": theirs.ID, "database": ours.Name, "retention_policy": "autogen", "default": true}
		create := func(m minted) int {
			status, _, err := e.influx.Call(t.Context(), m.token, http.MethodPost, "/api/v2/dbrps", mapping)
			require.NoError(t, err)
			return status
		}
		assert.Equal(t, http.StatusUnauthorized, create(e.mint(t, "writes")), "write alone is not enough")
		require.Equal(t, http.StatusCreated, create(intruder))
		e.revoke(t, intruder.lease)
		assert.Equal(t, http.StatusNotFound, writeV1(t, e.influx, basic("v1", writer.token), ours.Name).status, "the mapping outlives the token")
		assert.Equal(t, http.StatusNoContent, writeV1(t, e.influx, basic("v1", both.token), ours.Name).status)
		assertAnswer(t, http.StatusOK, "attic", queryV1(t, e.influx, basic("v1", both.token), theirs.Name, everyRoom))

		require.NoError(t, e.influx.DeleteBucket(t.Context(), theirs.ID))
		assert.Equal(t, http.StatusNoContent, writeV1(t, e.influx, basic("v1", writer.token), ours.Name).status, "it goes with its bucket")
	})
}
