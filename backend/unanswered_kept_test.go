package backend

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestUnansweredMintSurvivesStorageFailures(t *testing.T) {
	for name, fail := range map[string]func(op, key string) bool{
		"list":   func(op, key string) bool { return op == "list" && key == "pending/" },
		"get":    func(op, key string) bool { return op == "get" && strings.HasPrefix(key, "pending/") },
		"delete": func(op, key string) bool { return op == "delete" && strings.HasPrefix(key, "pending/") },
		"config": func(op, key string) bool { return op == "get" && key == "config" },
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.warm()
			m.unanswered(server, loseAnswer)
			m.reload()
			m.clock.advance(nonceAge)
			m.storage.failing(fail)
			_ = m.tick() // the tick may say so
			require.Len(t, m.pendingIDs(), 1)
			if name != "delete" {
				require.Len(t, live(server), 1, "nothing is changed without storage")
			}
			m.storage.failing(nil)
			require.NoError(t, m.tick())
			require.Empty(t, m.pendingIDs())
			require.Empty(t, live(server))
		})
	}
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
	require.True(t, m.examine(server, "").healthy)
}

func TestUnansweredMintHoldsADisableBack(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
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
	})
}

func TestUnansweredMintOfAnAbandonedConnection(t *testing.T) {
	for name, reachable := range map[string]bool{"that still answers": true, "that is gone": false} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server, other := m.warm(), influxtest.New(t)
			m.unanswered(server, loseAnswer)
			m.write("config", connection(other, map[string]any{"abandon_previous": true}))
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
