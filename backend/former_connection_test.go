package backend

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// hourLater lets the time for a look at the connections that are not current come, and go by.
func (m *testMount) hourLater() {
	m.t.Helper()
	require.NoError(m.t, m.tick()) // plans the first after a start
	m.clock.advance(formerInterval + formerInterval/10)
	require.NoError(m.t, m.tick())
}

// disconnected is a mount whose connection was deleted, and an InfluxDB that still has a token of a lost lease.
func disconnected(t *testing.T, m *testMount) *influxtest.Server {
	t.Helper()
	server := m.connected()
	m.mint("app") // nobody has its lease
	m.ok(logical.DeleteOperation, "config", nil)
	return server
}

// What a crash left behind dies at its deadline also where the connection was deleted meanwhile.
func TestTokensOfARetiredConnectionAreReaped(t *testing.T) {
	m := newMount(t)
	server := disconnected(t, m)
	require.NoError(t, m.tick())
	m.clock.advance(2 * firstTidy)
	require.NoError(t, m.tick())
	require.Len(t, live(server), 1, "before its deadline")
	m.hourLater() // the role's maximum
	require.Empty(t, live(server))
	require.Len(t, m.keys("connection/"), 1, "not yet")
	m.clock.advance(25 * time.Hour)
	m.hourLater()
	require.Empty(t, m.keys("connection/"))
	require.Contains(t, m.log.String(), "forgetting a connection")
}

// A connection is kept while it owes something, and while its InfluxDB can't be asked.
func TestFormerConnectionsStayUntilNothingIsLeft(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	id := m.stored().ID
	pending := m.mint("app")
	server.Fail("DELETE", authorizations, 503, "", "")
	require.Error(t, pending.revoke(t.Context()))
	m.ok(logical.DeleteOperation, "config", nil)
	m.configure(other)

	m.clock.advance(26 * time.Hour)
	for range 2 {
		m.hourLater()
		require.Equal(t, []string{"connection/" + id}, m.keys("connection/"), "not while a deletion is pending there")
		m.reload()
	}
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())

	server.Refuse("", "/")
	m.hourLater()
	require.Equal(t, []string{"connection/" + id}, m.keys("connection/"), "not while it can't be asked")
	require.Contains(t, m.log.String(), "could not be seen")
	server.Intercept(nil)
	m.hourLater()
	require.Empty(t, m.keys("connection/"))
	require.Equal(t, other.URL, m.stored().URL, "the current one stays")
	require.Empty(t, live(server))
}

func TestRetiredConnectionsAreGivenUp(t *testing.T) {
	for name, test := range map[string]struct {
		retire func(m *testMount)
		after  time.Duration
	}{
		"deleted":   {func(m *testMount) { m.ok(logical.DeleteOperation, "config", nil) }, unprovenAge},
		"abandoned": {func(m *testMount) { m.configure(influxtest.New(m.t), map[string]any{"abandon_previous": true}) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			m.mint("app")
			m.backend.leases.Close() // as after a restart: when its lease ends is not known
			test.retire(m)
			server.Refuse("", "/")
			m.clock.advance(23*time.Hour + test.after)
			m.hourLater()
			require.Len(t, m.keys("connection/"), 1, "not yet")
			m.clock.advance(time.Hour)
			m.hourLater()
			require.Empty(t, m.keys("connection/"))
		})
	}
}

// A lease that Vault could not revoke for days is not stuck when its connection is forgotten.
func TestLeaseOfAForgottenConnectionEnds(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	m.ok(logical.DeleteOperation, "config", nil)
	m.clock.advance(3 * 24 * time.Hour) // sealed
	m.hourLater()
	m.hourLater()
	require.Empty(t, m.keys("connection/"))
	require.Empty(t, live(server))
	require.NoError(t, l.revoke(t.Context()))
	require.Empty(t, m.pendingIDs())
}

// The storage of a performance secondary is the primary's: it forgets nothing there.
func TestSecondariesForgetNoConnection(t *testing.T) {
	m := newMount(t)
	disconnected(t, m)
	m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
	m.clock.advance(26 * time.Hour)
	m.hourLater()
	require.Len(t, m.keys("connection/"), 1)
	m.system.ReplicationStateVal = consts.ReplicationPerformancePrimary
	m.hourLater()
	m.hourLater()
	require.Empty(t, m.keys("connection/"))
}

// The copy of a connection that became current again goes, and the connection stays.
func TestOldCopyOfTheCurrentConnectionGoes(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.ok(logical.DeleteOperation, "config", nil)
	m.storage.failOn("delete", "connection/")
	m.configure(server)
	m.storage.failing(nil)
	require.Len(t, m.keys("connection/"), 1)
	require.Contains(t, m.log.String(), "the old copy of a connection that is current again is still in storage")
	m.hourLater()
	require.Empty(t, m.keys("connection/"))
	require.NoError(t, m.mint("app").revoke(t.Context()))
}

// While the static roles are being read nobody goes by the half of them: their connection is not forgotten.
func TestHalfReadStaticRolesAreWaitedFor(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	m.ok(logical.DeleteOperation, "config", nil)
	m.reload()
	m.clock.advance(10 * 365 * 24 * time.Hour) // the role is all that the connection is for
	reading, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var looking atomic.Bool
	m.storage.during(func(op, key string) {
		switch {
		case op == "get" && key == store.StaticRolePrefix+"kept":
			once.Do(func() { close(reading) })
			<-proceed
		case op == "get" && strings.HasPrefix(key, store.ConnectionPrefix):
			looking.Store(true)
		}
	})
	minute := func() {
		_, err := m.send(t.Context(), &logical.Request{Operation: logical.RollbackOperation})
		require.NoError(t, err)
	}
	minute() // the first after a start reads the static roles, and plans when to look at connections
	<-reading
	m.until(m.formerAreIdle)
	m.clock.advance(formerInterval + formerInterval/10)
	minute()
	m.until(looking.Load)
	require.NotEmpty(t, m.read("roles/app").Data, "time in which it could be forgotten")
	require.False(t, m.formerAreIdle())
	close(proceed)
	require.NoError(t, m.tick())
	require.Len(t, m.keys("connection/"), 1)
	m.ok(logical.DeleteOperation, "static-roles/kept", nil)
	require.Empty(t, live(server))
}

// Revocations after a start read the pending list once among them.
func TestPendingListIsReadOnce(t *testing.T) {
	m := newMount(t)
	m.connected()
	leases := make([]*leased, 20)
	for i := range leases {
		leases[i] = m.mint("app")
	}
	m.reload()
	reading, proceed := make(chan struct{}), make(chan struct{})
	var reads atomic.Int64
	m.storage.during(func(op, key string) {
		if op == "list" && key == store.PendingPrefix {
			if reads.Add(1) == 1 {
				close(reading)
			}
			<-proceed
		}
	})
	revoked := make(chan error, len(leases))
	for _, l := range leases {
		go func() { revoked <- l.revoke(t.Context()) }()
	}
	<-reading
	close(proceed)
	for range leases {
		require.NoError(t, <-revoked)
	}
	require.EqualValues(t, 1, reads.Load())
}

// One token that InfluxDB fails on keeps neither the other deletions nor the unanswered mints.
func TestDrainGoesOnBesideATokenThatFails(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	bad, good := m.mint("app"), m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	require.Error(t, bad.revoke(t.Context()))
	require.Error(t, good.revoke(t.Context()))
	server.Intercept(nil)
	m.unanswered(server, loseAnswer)
	m.clock.advance(nonceAge)
	server.Fail(http.MethodDelete, authorizations+"/"+bad.id, 500, "", "")
	require.NoError(t, m.tick())
	require.Equal(t, []string{bad.id}, m.pendingIDs())
	require.Len(t, live(server), 1)
}

// A root token that is not shown all tokens is not asked for the whole list each minute.
func TestBlindLooksForUnansweredMintsPause(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	m.write("config", map[string]any{"tidy_interval": 0})
	m.unanswered(server, loseAnswer)
	m.storedToken(blindToken(server))
	m.clock.advance(nonceAge)
	require.NoError(t, m.tick())
	server.ResetRequests()
	require.NoError(t, m.tick())
	require.Zero(t, lists(server))
	m.clock.advance(2 * firstPause)
	require.NoError(t, m.tick())
	require.Equal(t, 1, lists(server))
	m.storedToken(server.RootToken()) // a new one is asked at once
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
}
