package backend

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/mount"
)

// A caller that hangs up leaves a token that no lease holds: here, one whose lease is neither renewed nor revoked. The
// lease of app is 5 minutes, and an hour at most.
const orphanAge = 5*time.Minute + mount.LeaseMargin

func (l *leased) renewBy(increment time.Duration) error {
	l.secret.Increment = increment
	_, err := l.renew()
	return err
}

// minute is a tick with all that it starts.
func (m *testMount) minute() error {
	err := m.tick()
	m.until(m.tidyIsIdle)
	return err
}

func TestATokenThatNoLeaseHoldsIsDeleted(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	server := m.connected()
	m.write("roles/capped", map[string]any{"read_buckets": "metrics", "ttl": "5m", "max_leases": 3})
	m.mint("capped")
	m.mint("capped")
	held := m.mint("capped")
	status, _ := m.refused(logical.ReadOperation, "creds/capped", nil)
	require.Equal(t, 429, status)
	m.clock.advance(4 * time.Minute)
	require.NoError(t, held.renewBy(0))
	m.clock.advance(time.Minute + time.Second)
	again := []*leased{m.mint("capped"), m.mint("capped")}
	status, _ = m.refused(logical.ReadOperation, "creds/capped", nil)
	require.Equal(t, 429, status, "what was renewed counts")
	for _, l := range again {
		require.NoError(t, l.revoke(t.Context()))
	}
	require.Len(t, live(server), 3, "that they do not count does not mean that they are gone")

	m.clock.advance(mount.LeaseMargin - 2*time.Second)
	require.NoError(t, held.renewBy(0))
	require.NoError(t, m.minute())
	require.Len(t, live(server), 3, "Vault may be late")
	m.clock.advance(2 * time.Second)
	require.NoError(t, m.minute())
	require.Len(t, live(server), 1)
	require.Contains(t, live(server), held.id)
	require.EqualValues(t, 2, m.read("check").Data["orphaned_tokens"])
	require.Empty(t, m.pendingIDs())
	require.EqualValues(t, 2, m.backend.revoker.Orphans())
	require.NoError(t, held.renewBy(0))
	tidyUp(t, server, held)
}

// Vault gives a lease the increment that its holder asks for, however short the role's ttl is.
func TestARenewalByALargerIncrementKeepsItsToken(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	server := m.connected()
	larger, twice, beyond := m.mint("app"), m.mint("app"), m.mint("app")
	require.NoError(t, larger.renewBy(40*time.Minute))
	require.NoError(t, twice.renewBy(40*time.Minute))
	require.NoError(t, twice.renewBy(time.Minute), "Vault may not have stored this one")
	require.NoError(t, beyond.renewBy(1000*time.Hour))
	for range 44 {
		m.clock.advance(time.Minute)
		require.NoError(t, m.minute())
		require.Len(t, live(server), 3)
	}
	m.clock.advance(time.Minute + time.Second)
	require.NoError(t, m.minute())
	require.Len(t, live(server), 1, "40 minutes and the margin")
	require.Contains(t, live(server), beyond.id)
	m.clock.advance(15*time.Minute + deadlineGrace)
	require.NoError(t, m.minute())
	require.Len(t, live(server), 1)
	m.clock.advance(5 * time.Minute)
	require.NoError(t, m.minute())
	require.Empty(t, live(server), "no lease outlives the deadline")
}

// A renewal that fails says nothing of how long the lease has still to live.
func TestARenewalThatFailsEndsNothing(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	server := m.connected()
	l := m.mint("app")
	require.NoError(t, l.renewBy(40*time.Minute))
	m.ok(logical.DeleteOperation, "roles/app", nil)
	require.Error(t, l.renewBy(time.Minute))
	m.clock.advance(40*time.Minute + mount.LeaseMargin - time.Minute)
	require.NoError(t, m.minute())
	require.Contains(t, live(server), l.id)
	tidyUp(t, server, l)
}

// Only what this process has issued has such a moment; of the rest it may have missed renewals.
func TestWhatAnEarlierProcessIssuedHasItsDeadlineAlone(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	server := m.connected()
	old := m.backend
	l := m.mint("app")
	require.NoError(t, l.renewBy(50*time.Minute)) // what the next process can't know
	m.reload()
	require.NoError(t, m.minute())
	m.clock.advance(orphanAge + time.Minute)
	require.NoError(t, m.minute())
	require.Contains(t, live(server), l.id)

	m.clock.advance(time.Hour)
	_, err := old.HandleRequest(t.Context(), &logical.Request{Operation: logical.RollbackOperation, Storage: m.storage, MountPoint: "influxdb/"})
	require.NoError(t, err)
	m.until(func() bool { return !old.jobs.table[0].Running() })
	require.Contains(t, live(server), l.id, "a process that Vault has closed deletes nothing")
	require.EqualValues(t, 0, m.backend.revoker.Orphans()+old.revoker.Orphans())
}

func TestOnlyTheActiveNodeDeletesWhatNoLeaseHolds(t *testing.T) {
	for name, state := range map[string]consts.ReplicationState{
		"performance standby": consts.ReplicationPerformanceStandby,
		"DR secondary":        consts.ReplicationDRSecondary,
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.clock.freeze()
			server := m.connected()
			l := m.mint("app")
			m.clock.advance(orphanAge + time.Second)
			m.system.ReplicationStateVal = state
			require.NoError(t, m.minute())
			require.Contains(t, live(server), l.id)
			m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
			require.NoError(t, m.minute())
			require.Empty(t, live(server), "a performance secondary has leases of its own")
		})
	}
}

// What can't be written down is not deleted: it may be another node's by now.
func TestWhatNoLeaseHoldsIsWrittenDownFirst(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	server := m.connected()
	l := m.mint("app")
	m.clock.advance(orphanAge + time.Second)
	m.storage.failOn("put", "pending/")
	require.NoError(t, m.minute())
	require.Contains(t, live(server), l.id)
	require.NoError(t, l.renewBy(0), "Vault was late")
	m.storage.failing(nil)
	require.NoError(t, m.minute())
	require.Contains(t, live(server), l.id)

	// InfluxDB is down when it is to be deleted: then it waits, and can't be renewed any more.
	m.clock.advance(orphanAge + time.Second)
	server.Refuse("", "/")
	require.NoError(t, m.minute())
	require.Equal(t, []string{l.id}, m.pendingIDs())
	require.ErrorContains(t, l.renewBy(0), "can't be renewed")
	server.Intercept(nil)
	require.NoError(t, m.minute())
	require.Empty(t, live(server))
	require.Empty(t, m.pendingIDs())
	require.NoError(t, l.revoke(t.Context()), "Vault was very late")
}

// The lease is renewed at the moment at which its token is taken for one without a lease.
func TestARenewalWhileItsTokenIsWrittenDownIsRefused(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	server := m.connected()
	l := m.mint("app")
	m.clock.advance(orphanAge + time.Second)
	var renewed error
	m.storage.failing(func(op, key string) bool {
		if op == "put" && key == "pending/"+l.id {
			renewed = l.renewBy(0)
		}
		return false
	})
	require.NoError(t, m.minute())
	m.storage.failing(nil)
	require.ErrorContains(t, renewed, "can't be renewed")
	require.Empty(t, live(server))
}

// A revocation that failed is retried as one, and is none of the tokens that no lease held.
func TestAFailedRevocationIsNoOrphan(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	l, server := pendingDeletion(t, m)
	m.clock.advance(orphanAge + time.Hour)
	server.Intercept(nil)
	require.NoError(t, m.minute())
	require.NotContains(t, live(server), l.id)
	require.EqualValues(t, 0, m.backend.revoker.Orphans())
}

// The mount has gone on to another InfluxDB: what was issued on the one before is deleted there.
func TestWhatNoLeaseHoldsIsDeletedWhereItWasIssued(t *testing.T) {
	m := newMount(t)
	m.clock.freeze()
	old := m.connected()
	m.mint("app")
	server := influxtest.New(t)
	m.configure(server, map[string]any{"abandon_previous": true})
	l := m.mint("app")
	m.clock.advance(4 * time.Minute)
	require.NoError(t, l.renewBy(0))
	m.clock.advance(orphanAge - 4*time.Minute + time.Second)
	require.NoError(t, m.minute())
	require.Empty(t, live(old))
	require.Contains(t, live(server), l.id)
	tidyUp(t, server, l)
}

// Callers hang up over the whole time that a mint takes; in the end no token is left, whichever end it was.
func TestCallersThatHangUp(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for n := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n)*50*time.Microsecond)
		_, _ = m.send(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
		cancel()
	}
	m.until(func() bool { // over the wire a mint goes on without its caller
		m.clock.advance(orphanAge + time.Second)
		require.NoError(t, m.minute())
		return len(live(server)) == 0
	})
	require.Empty(t, m.pendingIDs())
}
