package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// operatorToken is what two InfluxDBs may both know: a container that sets itself up on an empty volume has it, too.
const operatorToken = "the-operator-token-of-both-InfluxDBs=="

// otherwise lets another InfluxDB, which knows the root token as well, answer at the address of the one that is connected.
func (m *testMount) otherwise(server *influxtest.Server) *influxtest.Server {
	m.t.Helper()
	other := influxtest.New(m.t, influxtest.RootToken(operatorToken))
	other.SetClock(m.clock.now)
	server.Intercept(influxtest.Instead(other))
	return other
}

// wrongInfluxDB is what is said while another InfluxDB answers at the address of the one that is connected.
func wrongInfluxDB(server *influxtest.Server) string {
	return "another InfluxDB answers at " + server.URL + " than the one that issued the tokens: it knows no user " + server.UserID()
}

func looksForTheUser(server *influxtest.Server) (looks int) {
	for _, r := range server.Requests() {
		if r.Path == "/api/v2/me" {
			looks++
		}
	}
	return looks
}

func TestAnotherInfluxDBRevokesNothing(t *testing.T) {
	influxtest.NotOnCloud(t, "no two of them have the same root token")
	m := newMount(t)
	server := m.connected(influxtest.RootToken(operatorToken))
	require.NoError(t, m.tick())
	waiting, background, renewed := m.mint("app"), m.mint("app"), m.mint("app")
	other := m.otherwise(server)

	err := waiting.revoke(t.Context())
	require.ErrorContains(t, err, "authorization "+waiting.id+" is not deleted yet: "+wrongInfluxDB(server))
	require.NotContains(t, err.Error(), "-force", "only where it can't be configured")
	for range 2 {
		require.Error(t, background.inBackground())
	}
	require.NoError(t, background.inBackground(), "the third time it is taken over")
	_, err = renewed.renew()
	require.NoError(t, err)
	for _, op := range []logical.Operation{logical.ReadOperation, logical.DeleteOperation} {
		status, text := m.refused(op, "tokens/"+renewed.id, nil)
		require.Equal(t, 502, status)
		require.Contains(t, text, wrongInfluxDB(server))
	}
	problems := strings.Join(m.problems(), "\n")
	require.Contains(t, problems, wrongInfluxDB(server))
	require.Contains(t, problems, "Write the url under which the right one is reached to config, or give its tokens up with abandon_previous=true")
	require.Contains(t, problems, "2 deletions are pending")
	require.ElementsMatch(t, []string{waiting.id, background.id}, m.pendingIDs())

	for range 40 {
		m.mintedThere(server, other)
	}
	m.clock.advance(2 * time.Minute)
	other.ResetRequests()
	require.NoError(t, m.tick())
	require.Equal(t, 1, looksForTheUser(other), "one look a minute, not one for each token")
	require.Len(t, live(server), 43)

	server.Intercept(nil)
	m.clock.advance(time.Minute)
	require.NoError(t, m.tick())
	m.tidied() // the first run may be due, and has a token of its own for a moment
	require.Empty(t, m.pendingIDs())
	require.Len(t, live(server), 1)
	tidyUp(t, server, renewed)
	require.NoError(t, renewed.revoke(t.Context()), "where it issued the token, an absence is proof")
}

// mintedThere makes a token of the right InfluxDB, and a revocation of it that fails.
func (m *testMount) mintedThere(server, other *influxtest.Server) {
	server.Intercept(nil)
	l := m.mint("app")
	server.Intercept(influxtest.Instead(other))
	require.Error(m.t, l.revoke(m.t.Context()))
}

// A mount that is being disabled can't be configured any more.
func TestAnotherInfluxDBHoldsADisableBack(t *testing.T) {
	influxtest.NotOnCloud(t, "no two of them have the same root token")
	m := newMount(t)
	server := m.connected(influxtest.RootToken(operatorToken))
	l := m.mint("app")
	m.otherwise(server)
	m.system.TaintedVal = true
	err := l.revoke(t.Context())
	require.ErrorContains(t, err, wrongInfluxDB(server))
	require.ErrorContains(t, err, "vault lease revoke -force -prefix")
	require.NotEmpty(t, live(server))
}

// A mint that another InfluxDB answers is a token that nobody gets: later, its absence from the right one would pass for
// its revocation.
func TestAnotherInfluxDBMintsNothing(t *testing.T) {
	influxtest.NotOnCloud(t, "no two of them have the same root token")
	for name, role := range map[string]map[string]any{
		"the default organization": {"read_buckets": "metrics"},
		"an organization by name":  {"org": influxtest.OrgName, "read_buckets": "metrics"},
		"with an owner by name":    {"org": influxtest.OrgName, "user": influxtest.UserName, "read_buckets": "metrics"},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				m := newMount(t)
				server := m.connected(influxtest.RootToken(operatorToken))
				m.write("roles/app", role)
				l := m.mint("app")
				other := m.otherwise(server)
				if restarted {
					m.reload()
				}
				status, text := m.refused(logical.ReadOperation, "creds/app", nil)
				require.Contains(t, []int{400, 502}, status)
				if name != "the default organization" {
					require.Equal(t, 502, status)
					require.Contains(t, text, "another InfluxDB answers at "+server.URL)
				}
				require.Empty(t, live(other))
				require.Empty(t, m.pendingIDs())
				server.Intercept(nil)
				tidyUp(t, server, l, m.mint("app"))
			})
		}
	}
}

// What another InfluxDB's list does not show proves nothing: not that a lost mint made no token, not that a static role's
// token is gone.
func TestTheListOfAnotherInfluxDBProvesNothing(t *testing.T) {
	influxtest.NotOnCloud(t, "no two of them have the same root token")
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "1h"}, influxtest.RootToken(operatorToken))
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	token := m.readStatic("kept")["token"]
	server.LoseAnswer(http.MethodPost, authorizations)
	m.refused(logical.ReadOperation, "creds/app", nil)
	require.Len(t, m.pendingIDs(), 1)
	other := m.otherwise(server)
	m.clock.advance(3 * time.Minute)
	require.NoError(t, m.tick())
	require.Len(t, m.pendingIDs(), 1)
	require.Equal(t, tidyFailed, m.tidy(nil)["state"])
	require.Contains(t, m.tidied()["last_error"], "another InfluxDB")
	require.Equal(t, token, m.readStatic("kept")["token"])
	require.Empty(t, live(other))

	server.Intercept(nil)
	m.clock.advance(time.Minute)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Equal(t, tidyDone, m.tidy(nil)["state"])
	require.Equal(t, token, m.readStatic("kept")["token"])
}

// The operator who means the other InfluxDB says so.
func TestAnotherInfluxDBIsConnectedByAbandoningThePrevious(t *testing.T) {
	influxtest.NotOnCloud(t, "no two of them have the same root token")
	m := newMount(t)
	server := m.connected(influxtest.RootToken(operatorToken))
	l := m.mint("app")
	other := m.otherwise(server)
	require.Error(t, l.revoke(t.Context()))
	_, text := m.refused(logical.UpdateOperation, "config", map[string]any{"request_timeout": "11s"})
	require.Contains(t, text, "this is another InfluxDB than "+server.URL)
	m.write("config", map[string]any{"abandon_previous": true})
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs(), "given up")
	require.Equal(t, true, m.read("check").Data["healthy"])
	tidyUp(t, other, m.mint("app"))
	require.NotEmpty(t, live(server))
}

// The default organization that was made anew is the one of its name, for mints and for what looks for their tokens.
func TestTheDefaultOrganizationIsMadeAnew(t *testing.T) {
	for name, config := range map[string]map[string]any{
		"given by name": {"org": "beta"},
		"with its user": {"org": "beta", "user": "vault"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := influxtest.New(t)
			orgID, userID := server.AddOrg("beta"), server.AddUser("vault")
			m.configure(server, config)
			m.write("roles/app", map[string]any{"read_buckets": "_monitoring"})
			m.write("roles/other", map[string]any{"org": influxtest.OrgName, "read_buckets": "metrics"})
			m.mint("app")
			server.LoseAnswer(http.MethodPost, authorizations)
			m.refused(logical.ReadOperation, "creds/other", nil)
			server.Intercept(nil)
			require.Len(t, m.pendingIDs(), 1)

			server.DeleteOrg(orgID)
			server.DeleteUser(userID)
			orgID = server.AddOrg("beta")
			server.AddUser("vault")
			m.clock.advance(3 * time.Minute)
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs(), "what is elsewhere is found")
			require.Equal(t, tidyDone, m.tidy(nil)["state"])
			require.Equal(t, true, m.read("check").Data["healthy"])
			l := m.mint("app")
			require.Equal(t, []any{orgID, "beta"}, []any{l.data["org_id"], l.data["org"]})
			require.Equal(t, orgID, live(server)[l.id].OrgID)
			m.reload()
			l = m.mint("app")
			require.Equal(t, orgID, live(server)[l.id].OrgID, "the first mint after a start finds it, too")
		})
	}
}

// An InfluxDB whose only organization was made anew is the same one: its root token's user is.
func TestAWriteAfterTheOrganizationWasMadeAnewKeepsTheConnection(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	before := m.stored().ID
	server.DeleteOrg(server.OrgID())
	orgID := server.AddOrg(influxtest.OrgName)
	server.AddBucket(orgID, influxtest.BucketName)
	m.write("config", map[string]any{"request_timeout": "11s"})
	require.Equal(t, before, m.stored().ID)
	require.Equal(t, orgID, m.read("config").Data["org_id"])
	tidyUp(t, server, l, m.mint("app"))
}

// What another InfluxDB shows is not counted: max_leases would allow as many again.
func TestTheTokensOfAnotherInfluxDBAreNotCounted(t *testing.T) {
	influxtest.NotOnCloud(t, "no two of them have the same root token")
	m := newMount(t)
	server := m.connected(influxtest.RootToken(operatorToken))
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "max_leases": 1})
	l := m.mint("app")
	m.otherwise(server)
	m.reload()
	server.ResetRequests()
	for range 3 {
		require.NoError(t, m.tick())
	}
	require.Zero(t, lists(server), "nor is it asked for its list")
	server.Intercept(nil)
	m.clock.advance(2 * time.Minute) // it is tried again, after a pause
	require.NoError(t, m.tick())
	status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, 429, status)
	tidyUp(t, server, l)
}
