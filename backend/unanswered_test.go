package backend

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// unanswered asks for a token under a fault of POST, and leaves the server sound.
func (m *testMount) unanswered(server *influxtest.Server, fault func(*influxtest.Server)) {
	m.t.Helper()
	fault(server)
	status, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(m.t, http.StatusBadGateway, status, text)
	require.Contains(m.t, text, "whether the token was created is not known")
	server.Intercept(nil)
}

// unansweredFaults are those after which nobody knows whether a token was made.
var unansweredFaults = map[string]func(*influxtest.Server){
	"lost answer":  func(s *influxtest.Server) { s.LoseAnswer("POST", "/api/v2/authorizations") },
	"dropped":      func(s *influxtest.Server) { s.Refuse("POST", "/api/v2/authorizations") },
	"502 by proxy": func(s *influxtest.Server) { s.Fail("POST", "/api/v2/authorizations", 502, "text/html", "<html>") },
	"500": func(s *influxtest.Server) {
		s.Fail("POST", "/api/v2/authorizations", 500, "application/json", `{"code":"internal error","message":"x"}`)
	},
	"cut off": func(s *influxtest.Server) {
		s.Fail("POST", "/api/v2/authorizations", 201, "application/json", `{"id":"0a`)
	},
	"no token": func(s *influxtest.Server) {
		s.Fail("POST", "/api/v2/authorizations", 201, "application/json", `{"id":"0000000000000001"}`)
	},
}

func loseAnswer(s *influxtest.Server) { s.LoseAnswer(http.MethodPost, authorizations) }

func refusePost(s *influxtest.Server) { s.Refuse(http.MethodPost, authorizations) }

// warm is a connected mount whose first minute is over; what it looks up is remembered.
func (m *testMount) warm() *influxtest.Server {
	m.t.Helper()
	server := m.connected()
	require.NoError(m.t, m.mint("app").revoke(m.t.Context()))
	require.NoError(m.t, m.tick())
	server.ResetRequests()
	return server
}

func lists(server *influxtest.Server) int {
	return len(slices.DeleteFunc(server.Requests(), func(r influxtest.Request) bool {
		return r.Method != http.MethodGet || r.Path != authorizations
	}))
}

func TestUnansweredMintIsWrittenDown(t *testing.T) {
	for name, fault := range unansweredFaults {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.warm()
			m.unanswered(server, fault)
			require.Len(t, server.Requests(), 1, "it is not asked twice")
			keys := m.pendingIDs()
			require.Len(t, keys, 1)
			nonce, isNonce := strings.CutPrefix(keys[0], "nonce-")
			require.True(t, isNonce, keys[0])
			made := live(server)
			if name == "lost answer" {
				require.Len(t, made, 1)
			} else {
				require.Empty(t, made, "all the other faults keep the call from InfluxDB")
			}
			for _, token := range made {
				require.Contains(t, token.Description, ":"+nonce+":")
			}
			require.EqualValues(t, 1, m.read("check").Data["pending_deletions"])
			m.clock.advance(nonceAge)
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs())
			require.Empty(t, live(server))
		})
	}
}

// What InfluxDB is known not to have done leaves nothing to look for.
func TestRefusedMintLeavesNothingToLookFor(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	for status, code := range map[int]string{400: "invalid", 401: "unauthorized", 403: "forbidden", 413: "request too large", 422: "unprocessable entity", 429: "too many requests"} {
		server.Fail(http.MethodPost, authorizations, status, "application/json", fmt.Sprintf(`{"code":%q,"message":"x"}`, code))
		m.refused(logical.ReadOperation, "creds/app", nil)
		require.Empty(t, m.pendingIDs(), status)
	}
}

// A list that is asked for soon after may miss a token that comes to be: absence counts only later.
func TestUnansweredMintIsResolvedByAbsenceOnlyWhenOldEnough(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	m.unanswered(server, refusePost)
	older := m.pendingIDs()
	m.clock.advance(nonceAge - 30*time.Second) // the clock runs on meanwhile
	require.NoError(t, m.tick())
	require.Equal(t, older, m.pendingIDs())
	require.Zero(t, lists(server), "there is nothing to learn yet")

	m.unanswered(server, refusePost)
	require.Len(t, m.pendingIDs(), 2)
	m.clock.advance(30 * time.Second)
	require.NoError(t, m.tick())
	require.Len(t, m.pendingIDs(), 1, "one list was late enough for the older alone")
	require.NotEqual(t, older, m.pendingIDs())
	m.clock.advance(nonceAge)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
}

// A token that comes to be after a list missed it is found by a later one.
func TestUnansweredMintThatHappensLate(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	m.unanswered(server, refusePost)
	m.clock.advance(nonceAge)
	var happen func()
	m.unanswered(server, func(s *influxtest.Server) { happen = s.Postpone(http.MethodPost, authorizations) })
	require.NoError(t, m.tick())
	require.Equal(t, 1, lists(server), "for the older mint's sake")
	require.Empty(t, live(server))
	require.Len(t, m.pendingIDs(), 1)

	happen()
	require.Len(t, live(server), 1)
	m.clock.advance(nonceAge)
	require.NoError(t, m.tick())
	m.tidied() // the first run may be due, and has a token of its own for a moment
	require.Empty(t, live(server))
	require.Empty(t, m.pendingIDs())
}

// The clock counts when the list was asked for, not when it came.
func TestUnansweredMintIsNotResolvedByASlowList(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	m.unanswered(server, refusePost)
	m.clock.advance(nonceAge)
	m.unanswered(server, refusePost)
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path == authorizations {
			m.clock.advance(nonceAge)
		}
		next.ServeHTTP(w, r)
	})
	require.NoError(t, m.tick())
	require.Len(t, m.pendingIDs(), 1)
}

func TestUnansweredMintStaysWhileNoListCanBeTrusted(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*influxtest.Server){
		"is down":    func(s *influxtest.Server) { s.Refuse("", "/") },
		"can't list": func(s *influxtest.Server) { s.Fail(http.MethodGet, authorizations, 500, "", "") },
		"cuts it short": func(s *influxtest.Server) {
			s.Fail(http.MethodGet, authorizations, 200, "application/json", `{"authorizations":[`)
		},
		"answers another's": func(s *influxtest.Server) { s.Fail(http.MethodGet, authorizations, 200, "text/html", "<html>") },
		"shows nothing": func(s *influxtest.Server) {
			s.Fail(http.MethodGet, authorizations, 200, "application/json", `{"authorizations":[]}`)
		},
		"makes no probe": refusePost,
		"can't delete":   func(s *influxtest.Server) { s.Refuse(http.MethodDelete, authorizations) },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.warm()
			m.unanswered(server, loseAnswer)
			m.clock.advance(nonceAge)
			fault(server)
			require.NoError(t, m.tick())
			require.Len(t, m.pendingIDs(), 1)
			require.Contains(t, m.log.String(), "still unsettled")
			m.reload()
			require.NoError(t, m.tick())
			require.Len(t, m.pendingIDs(), 1)
			server.Intercept(nil)
			m.clock.advance(2 * firstPause) // for the look that was shown nothing
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs(), "also after a restart")
			for _, token := range live(server) { // a probe that could not be deleted; its deadline is a minute away
				require.Contains(t, token.Description, ":"+probeRole+":")
			}
		})
	}
}

func TestUnansweredMintStaysWhileTheRootTokenIsBlind(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	m.unanswered(server, loseAnswer)
	m.storedToken(blindToken(server))
	m.clock.advance(nonceAge)
	require.NoError(t, m.tick())
	require.Len(t, m.pendingIDs(), 1)
	require.Contains(t, m.log.String(), "lacks read:orgs/"+server.OrgID()+"/authorizations")
	require.Len(t, live(server), 1)
	m.editConfig(func(config map[string]any) { config["token"], config["revision"] = server.RootToken(), "back" })
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Empty(t, live(server))
}

// blindToken makes and deletes tokens and is shown none.
func blindToken(server *influxtest.Server) string {
	_, token := server.AddToken(server.OrgID(), server.UserID(), append(influxtest.MintingPermissions(server.OrgID(), server.UserID()),
		influxtest.InOrg("read", "buckets", server.OrgID()))...)
	return token
}

func TestOneListResolvesAllUnansweredMints(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	for range 15 {
		m.unanswered(server, loseAnswer)
		m.unanswered(server, refusePost)
	}
	handedOut := m.mint("app")
	require.Len(t, m.pendingIDs(), 30)
	require.Len(t, live(server), 16)
	m.clock.advance(nonceAge)
	server.ResetRequests()
	require.NoError(t, m.tick())
	require.Equal(t, 1, lists(server))
	require.Empty(t, m.pendingIDs())
	require.Len(t, live(server), 1, "a token that was handed out is not touched")
	tidyUp(t, server, handedOut)
}

// What could not even be written down is the reaper's, once its deadline has passed.
func TestUnansweredMintThatCouldNotBeWrittenDownIsReaped(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	m.storage.failOn("put", "pending/")
	m.unanswered(server, loseAnswer)
	m.storage.failing(nil)
	require.Contains(t, m.log.String(), "a mint without an answer could not be written down")
	require.Len(t, live(server), 1)
	m.clock.advance(time.Hour + deadlineGrace + reapGrace + time.Second)
	m.write("tidy", nil)
	require.Equal(t, tidyDone, m.tidied()["state"])
	require.Empty(t, live(server))
}

func TestCheckTellsUnansweredMintsThatAreOverdue(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	m.unanswered(server, loseAnswer)
	checked := m.examine(server, "")
	require.True(t, checked.healthy, "it is early")
	require.EqualValues(t, 1, checked.data["pending_deletions"])
	require.NotEmpty(t, checked.data["oldest_pending"])
	m.clock.advance(2*nonceAge + time.Second)
	require.Contains(t, m.examine(server, "").problems[0], "1 mints were not answered")
	require.NoError(t, m.tick())
	require.Empty(t, m.examine(server, "").problems)
}

func TestUnansweredMintHoldsADisableBack(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.warm()
	l := m.mint("app")
	m.unanswered(server, loseAnswer)
	m.system.TaintedVal = true
	require.ErrorContains(t, l.revoke(t.Context()), "1 deletions are still pending")
	require.Error(t, m.tick())
	require.Contains(t, m.log.String(), "run tidy mount_uuid="+testUUID)
	m.clock.advance(nonceAge)
	require.NoError(t, l.revoke(t.Context()))
	require.Empty(t, m.pendingIDs())
	require.Empty(t, live(server))
}

func TestUnansweredMintOfAnAbandonedConnection(t *testing.T) {
	for name, reachable := range map[string]bool{"that still answers": true, "that is gone": false} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server, other := m.warm(), influxtest.New(t)
			m.unanswered(server, loseAnswer)
			m.write("config", connectionTo(other, map[string]any{"abandon_previous": true}))
			if !reachable {
				server.Refuse("", "/")
			}
			require.NoError(t, m.tick())
			require.Len(t, m.pendingIDs(), 1)
			m.clock.advance(nonceAge)
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs())
			if reachable {
				require.Empty(t, live(server))
			} else {
				require.Contains(t, m.log.String(), "look for the nonce")
			}
		})
	}
}
