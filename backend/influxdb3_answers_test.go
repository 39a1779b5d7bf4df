package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

// otherInfluxDB3 is another InfluxDB 3, as answers to what is sent to the first: it knows the same root token.
func otherInfluxDB3(t *testing.T, m *testMount) faulttest.Interceptor {
	other := influx3test.New(t)
	other.SetClock(m.clock.now)
	answer := influx3test.Instead(other)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		r.Header.Set("Authorization", "Bearer "+other.RootToken())
		answer(w, r, next)
	}
}

// Where an address has just moved, one connection leads to one InfluxDB and the next to another: each answer says whose it is.
func TestAnotherInfluxDB3ProvesNothingOfOurTokens(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		server.Add(http.MethodDelete, "/", otherInfluxDB3(t, m))
		l := m.mint("app")
		m.clock.advance(2 * time.Minute)
		require.ErrorContains(t, l.revoke(t.Context()), "another InfluxDB answers at "+server.URL)
		require.Equal(t, http.StatusOK, status3(t, server, l.data["token"].(string)))
		require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
		server.Intercept(nil)
		m.clock.advance(2 * time.Minute)
		require.NoError(t, m.tick())
		require.Empty(t, tokensOf3(server))
	})
}

// Of a connection that was stored untried the first token tells which InfluxDB it leads to, as long as the process lives.
func TestTheFirstTokenTellsWhichInfluxDB3ItIs(t *testing.T) {
	for says, meanwhile := range map[string]func(*testMount){
		"a token was made": func(*testMount) {},
		"other settings": func(m *testMount) {
			m.write("config", map[string]any{"request_timeout": "11s", "verify_connection": false})
		},
	} {
		t.Run(says, func(t *testing.T) {
			m, server := newMount(t), influx3test.New(t)
			server.SetClock(m.clock.now)
			m.write("config", map[string]any{"url": server.URL, "token": server.RootToken(), "product": "core", "verify_connection": false})
			m.write("roles/app", map[string]any{"token_type": "admin", "allow_privileged": true, "ttl": "5m", "max_ttl": "1h"})
			l := m.mint("app")
			meanwhile(m)
			server.Add("", "/", otherInfluxDB3(t, m))
			require.ErrorContains(t, l.revoke(t.Context()), "another InfluxDB answers at "+server.URL)
			server.Intercept(nil)
			m.clock.advance(2 * time.Minute)
			require.NoError(t, m.tick())
			require.Empty(t, tokensOf3(server))
		})
	}
}

func TestAnotherInfluxDB3SettlesNoUnknownOutcome(t *testing.T) {
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		server.LoseAnswer(http.MethodPost, "/api/v3/")
		m.refused(logical.ReadOperation, "creds/app", nil)
		server.Intercept(nil)
		server.Add("", "/api/v3/", otherInfluxDB3(t, m))
		m.clock.advance(2*time.Minute + time.Second)
		_ = m.tick() // it says that something is pending
		require.Len(t, tokensOf3(server), 1)
		require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
		server.Intercept(nil)
		m.clock.advance(2 * time.Minute)
		require.NoError(t, m.tick())
		require.Empty(t, tokensOf3(server))
	})
}

// answered200 turns an answer of 201 into one of 200.
type answered200 struct{ http.ResponseWriter }

func (w answered200) WriteHeader(status int) {
	if status == http.StatusCreated {
		status = http.StatusOK
	}
	w.ResponseWriter.WriteHeader(status)
}

// A success that is not the one to be expected holds a token's value all the same: it is in no error, and the token is not
// forgotten.
func TestAnAnswerOfAnotherSuccessIsAnUnknownOutcome(t *testing.T) {
	surprising := func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(answered200{w}, r) }
	everyInfluxDB3(t, func(t *testing.T, m *testMount, server *influx3test.Server) {
		server.Add(http.MethodPost, "/api/v3/", surprising)
		status, text := m.refused(logical.ReadOperation, "creds/app", nil)
		require.Equal(t, http.StatusBadGateway, status)
		issued := server.IssuedTokens()
		require.Len(t, issued, 4, "the operator's, those that config and the role were tried with, and one mint")
		for _, value := range issued {
			require.NotContains(t, text+m.log.String(), value)
		}
		require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
		server.Intercept(nil)
		m.clock.advance(2*time.Minute + time.Second)
		require.NoError(t, m.tick())
		require.Empty(t, tokensOf3(server))
	})

	m, fresh := newMount(t), influx3test.New(t, influx3test.Fresh())
	fresh.SetClock(m.clock.now)
	fresh.Add(http.MethodPost, "/api/v3/", surprising)
	_, text := m.refused(logical.UpdateOperation, "config/setup", map[string]any{"url": fresh.URL})
	require.NotEmpty(t, fresh.RootToken())
	require.NotContains(t, text+m.log.String(), fresh.RootToken())
}

// InfluxDB 3 makes its operator token once. What would be in vain is not begun.
func TestAFreshInfluxDB3StaysFreshWhereASetupIsInVain(t *testing.T) {
	m := newMount(t)
	old := influx3test.New(t, influx3test.Fresh(), influx3test.Version("3.6.0"))
	status, text := m.refused(logical.UpdateOperation, "config/setup", map[string]any{"url": old.URL})
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "it takes 3.7 or later. It was not set up")
	require.Empty(t, old.TokenNames())

	fresh := influx3test.New(t, influx3test.Fresh())
	fresh.SetClock(m.clock.now)
	m.storage.failing(func(op, _ string) bool { return op == "put" })
	_, text = m.refused(logical.UpdateOperation, "config/setup", map[string]any{"url": fresh.URL})
	require.Contains(t, text, "InfluxDB was not set up")
	require.Empty(t, fresh.TokenNames())
	m.storage.failing(nil)
	m.write("config/setup", map[string]any{"url": fresh.URL})
}

func TestATemplateYieldsNothingPrivileged(t *testing.T) {
	m := newMount(t)
	m.connected3(influx3test.Enterprise())
	m.system.EntityVal = &logical.Entity{ID: "e", Name: "bob", Metadata: map[string]string{"db": "_internal"}}
	read := &logical.Request{Operation: logical.ReadOperation, Path: "creds/own", EntityID: "e"}
	role := map[string]any{"read_databases": "{{identity.entity.metadata.db}}"}
	m.write("roles/own", role)
	_, err := m.send(t.Context(), read)
	require.ErrorContains(t, err, "read_databases[0]: read on _internal reaches the database _internal")
	role["allow_privileged"] = true
	m.write("roles/own", role)
	_, err = m.send(t.Context(), read)
	require.NoError(t, err)
}

// The cap of a role is of the InfluxDB that is there now.
func TestAFreshInfluxDB3HasRoomForEachRole(t *testing.T) {
	m := newMount(t)
	m.connected3()
	m.write("roles/app", map[string]any{"token_type": "admin", "allow_privileged": true, "ttl": "5m", "max_ttl": "1h", "max_leases": 1})
	m.mint("app")
	m.ok(logical.DeleteOperation, "config", nil)
	fresh := influx3test.New(t, influx3test.Fresh())
	fresh.SetClock(m.clock.now)
	m.write("config/setup", map[string]any{"url": fresh.URL})
	m.mint("app")
}

// Each token that is made stays in InfluxDB 3's catalog: looking after a mount makes one, not one each time.
func TestLookingAtAnInfluxDB3MakesOneToken(t *testing.T) {
	m, server := newMount(t), influx3test.New(t)
	server.SetClock(m.clock.now)
	m.write("config", map[string]any{"url": server.URL, "token": server.RootToken(), "product": "core", "verify_connection": false})
	for range 3 {
		require.NotContains(t, strings.Join(m.problems(), "\n"), "token:")
	}
	require.Len(t, server.IssuedTokens(), 2, "the operator's, and one to try")
}

// What check says to do is what works.
func TestAConfigStoredForAnotherProductIsWrittenAgain(t *testing.T) {
	m, server := newMount(t), influx3test.New(t)
	server.SetClock(m.clock.now)
	settings := map[string]any{"url": server.URL, "token": server.RootToken(), "verify_connection": false}
	m.write("config", settings)
	require.Contains(t, strings.Join(m.problems(), "\n"), "write config again, without product, and with abandon_previous=true where that is refused")
	delete(settings, "verify_connection")
	settings["abandon_previous"] = true
	m.write("config", settings)
	require.Empty(t, m.problems())
}
