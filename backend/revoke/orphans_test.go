package revoke

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
)

// issue has the bench issue tokens under leases of a minute.
func (b *bench) issue(ids ...string) {
	for _, id := range ids {
		r, _ := b.counter.Reserve("app", 0, b.now)
		r.Commit(lease.Data{AuthorizationID: id, Connection: "one", Role: "app", Deadline: b.now.Add(time.Hour)}, time.Minute, b.now)
	}
}

// They are taken some at a time, so that Vault can revoke what it is at meanwhile, and all of them in one run.
func TestOrphansAreTakenInBatches(t *testing.T) {
	b := newBench(t)
	for range maxOrphans + 1 {
		b.issue(b.newToken())
	}
	require.NoError(t, b.Periodic(t.Context(), b.storage))
	require.Len(t, b.server.Tokens(), maxOrphans+2)
	b.now = b.now.Add(time.Minute + mount.LeaseMargin + 1)
	require.NoError(t, b.Periodic(t.Context(), b.storage))
	require.Len(t, b.server.Tokens(), 1)
	require.EqualValues(t, maxOrphans+1, b.Orphans())
	require.Empty(t, b.storedKeys())
}

// Vault revokes in the same minute, and InfluxDB fails: each token is pending once, and the revocation's is no orphan.
func TestARevocationUnderWayIsNoOrphan(t *testing.T) {
	b := newBench(t)
	revoked, lost := b.newToken(), b.newToken()
	b.issue(revoked, lost)
	b.server.Refuse(http.MethodDelete, authorizations)
	require.True(t, IsQueued(b.RevokeLease(t.Context(), b.storage, lease.Data{AuthorizationID: revoked, Connection: "one", Role: "app"})))
	b.now = b.now.Add(time.Hour)
	require.Error(t, b.Periodic(t.Context(), b.storage))
	require.ElementsMatch(t, []string{revoked, lost}, b.storedKeys())
	require.EqualValues(t, 1, b.Orphans())
	b.server.Intercept(nil)
	require.NoError(t, b.Periodic(t.Context(), b.storage))
	require.Len(t, b.server.Tokens(), 1)
}

func TestOrphansNeedStorageAndACaller(t *testing.T) {
	b := newBench(t)
	b.issue(b.newToken())
	b.now = b.now.Add(time.Hour)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, b.Periodic(gone, b.storage), context.Canceled)
	b.storage.failing = "put"
	require.ErrorIs(t, b.Periodic(t.Context(), b.storage), errStorage)
	require.Len(t, b.server.Tokens(), 2)
	require.Zero(t, b.Orphans())
	b.storage.failing = ""
	require.NoError(t, b.Periodic(t.Context(), b.storage))
	require.Len(t, b.server.Tokens(), 1)
}
