package revoke

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

const authorizations = "/api/v2/authorizations"

// bench is a revoker with one connection to a server.
type bench struct {
	*Revoker
	t       *testing.T
	server  *influxtest.Server
	storage *faultyStorage
	system  *logical.StaticSystemView
	now     time.Time
	c       *connection.Connection
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, server: influxtest.New(t), storage: &faultyStorage{Storage: &logical.InmemStorage{}}, system: &logical.StaticSystemView{}, now: time.Unix(1_800_000_000, 0)}
	require.NoError(t, store.Config.Put(t.Context(), b.storage, &store.Connection{
		ID: "one", Revision: "1", URL: b.server.URL, Token: b.server.RootToken(), AuthorizationID: b.server.RootID(), RequestTimeout: 60, MaxOpenConnections: 4,
	}))
	b.restart()
	var err error
	b.c, err = b.pool.Current(t.Context(), b.storage, "influxdb/")
	require.NoError(t, err)
	return b
}

// restart makes a new revoker on the same storage.
func (b *bench) restart() {
	m := &mount.Mount{UUID: "9e1a4b6c", Log: hclog.NewNullLogger(), Now: func() time.Time { return b.now }, System: b.system}
	b.Revoker = New(m, connection.NewPool("test"), &lease.Counter{})
	b.t.Cleanup(b.pool.CloseAll)
}

func (b *bench) newToken() string {
	id, _ := b.server.AddToken(b.server.OrgID(), b.server.UserID())
	return id
}

func (b *bench) entry(id string) store.Pending {
	return store.Pending{AuthorizationID: id, Connection: "one", Role: "app"}
}

func (b *bench) storedKeys() []string {
	keys, err := store.PendingDeletions.List(b.t.Context(), b.storage)
	require.NoError(b.t, err)
	return keys
}

// faultyStorage fails the operations under pending/ that are named.
type faultyStorage struct {
	logical.Storage
	failing string
}

var errStorage = errors.New("storage is out of order")

func (s *faultyStorage) check(op, key string) error {
	if strings.Contains(s.failing, op) && strings.HasPrefix(key, store.PendingPrefix) {
		return errStorage
	}
	return nil
}

func (s *faultyStorage) Get(ctx context.Context, key string) (*logical.StorageEntry, error) {
	if err := s.check("get", key); err != nil {
		return nil, err
	}
	return s.Storage.Get(ctx, key)
}

// Put fails after it has written where "lost" is named.
func (s *faultyStorage) Put(ctx context.Context, e *logical.StorageEntry) error {
	if err := s.check("put", e.Key); err != nil {
		return err
	}
	return errors.Join(s.Storage.Put(ctx, e), s.check("lost", e.Key))
}

func (s *faultyStorage) Delete(ctx context.Context, key string) error {
	if err := s.check("delete", key); err != nil {
		return err
	}
	return s.Storage.Delete(ctx, key)
}

func TestRevokeQueuesWhatFails(t *testing.T) {
	b := newBench(t)
	id := b.newToken()
	b.server.Refuse(http.MethodDelete, authorizations)
	err := b.Revoke(t.Context(), b.storage, b.entry(id))
	var queued *QueuedError
	require.ErrorAs(t, err, &queued)
	require.True(t, IsQueued(fmt.Errorf("wrapped: %w", err)))
	require.True(t, influx.Is(err, influx.Unavailable))
	require.Equal(t, 1, queued.Attempts)
	require.True(t, queued.Since.Equal(b.now))
	require.True(t, b.IsPending(id))
	require.Equal(t, 1, b.CountOn("one"))
	require.Zero(t, b.CountOn("two"))
	require.Equal(t, err.Error(), b.OldestError())
	require.Equal(t, []string{id}, b.storedKeys())

	b.restart()
	require.True(t, b.Empty(), "not loaded yet")
	require.EqualError(t, b.RetryAll(t.Context(), b.storage), "1 deletions are still pending")
	require.True(t, b.Unreachable("one"))
	require.False(t, b.Unreachable("two"))
	b.server.Intercept(nil)
	require.NoError(t, b.RetryAll(t.Context(), b.storage))
	require.False(t, b.Unreachable("one"))
	require.True(t, b.Empty())
	require.Empty(t, b.storedKeys())
	require.Len(t, b.server.Tokens(), 1)
}

func TestTheRootTokenIsNotRevoked(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.Revoke(t.Context(), b.storage, b.entry(b.server.RootID())))
	require.Len(t, b.server.Tokens(), 1)
}

func TestAWriteThatMayHaveBeenDoneIsPending(t *testing.T) {
	b := newBench(t)
	id := b.newToken()
	b.server.Refuse(http.MethodDelete, authorizations)
	b.storage.failing = "lost"
	require.True(t, IsQueued(b.Revoke(t.Context(), b.storage, b.entry(id))))
	require.True(t, b.IsPending(id))

	other := b.newToken()
	b.storage.failing = "put"
	err := b.Revoke(t.Context(), b.storage, b.entry(other))
	require.ErrorContains(t, err, "could not be written down")
	require.ErrorIs(t, err, errStorage)
	require.False(t, IsQueued(err))
	require.False(t, b.IsPending(other))
	require.ErrorIs(t, b.Discard(t.Context(), b.storage, b.c, "app", other), ErrNotRecorded)
}

func TestRetryAllLeavesWhatAnotherNodeHasDone(t *testing.T) {
	b := newBench(t)
	id := b.newToken()
	require.NoError(t, b.Enqueue(t.Context(), b.storage, b.entry(id)))
	require.NoError(t, store.PendingDeletions.Delete(t.Context(), b.storage, id))
	b.server.ResetRequests()
	require.NoError(t, b.RetryAll(t.Context(), b.storage))
	require.Empty(t, b.server.Requests())
	require.True(t, b.Empty())
}

// Without storage nothing is changed in InfluxDB: the process may have outlived its Vault.
func TestRetryAllReadsStorageFirst(t *testing.T) {
	b := newBench(t)
	id := b.newToken()
	require.NoError(t, b.Enqueue(t.Context(), b.storage, b.entry(id)))
	for _, op := range []string{"get", "delete"} {
		b.storage.failing = op
		b.restart()
		require.Error(t, b.RetryAll(t.Context(), b.storage), op)
		require.Equal(t, []string{id}, b.storedKeys())
		if op == "get" {
			require.Len(t, b.server.Tokens(), 2)
		}
	}
	b.storage.failing = ""
	require.NoError(t, b.RetryAll(t.Context(), b.storage))
	require.Empty(t, b.storedKeys())
}

func TestUnknownOutcomesAreRecorded(t *testing.T) {
	b := newBench(t)
	plain := errors.New("refused")
	require.Equal(t, plain, b.RecordUnknown(t.Context(), b.storage, b.c, "app", plain))
	require.True(t, b.Empty())

	b.server.LoseAnswer(http.MethodPost, authorizations)
	at := token.Location{OrgID: b.server.OrgID(), UserID: b.server.UserID()}
	_, unknown := token.NewIssuer(b.mount).Create(t.Context(), b.c, token.Spec{Role: "app", Nonce: "0a", OrgID: at.OrgID, OwnerID: at.UserID})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, unknown, b.RecordUnknown(gone, b.storage, b.c, "app", unknown))
	require.Equal(t, []string{"nonce-0a"}, b.storedKeys())
	stored, err := store.PendingDeletions.Get(t.Context(), b.storage, "nonce-0a")
	require.NoError(t, err)
	require.Equal(t, at, token.Location{OrgID: stored.OrgID, UserID: stored.UserID})
	require.Equal(t, "one", stored.Connection)
	require.True(t, stored.Since.Equal(b.now))
	b.server.ResetRequests()
	require.NoError(t, b.RetryAll(t.Context(), b.storage), "they are not deletions of a known authorization")
	require.Empty(t, b.server.Requests())

	require.NoError(t, b.Remove(t.Context(), b.storage, "nonce-0a"))
	require.True(t, b.Empty())
	b.storage.failing = "put"
	require.ErrorIs(t, b.RecordUnknown(t.Context(), b.storage, b.c, "app", unknown), ErrNotRecorded)
}

func TestALeaseIsTakenOver(t *testing.T) {
	b := newBench(t)
	d := lease.Data{AuthorizationID: b.newToken(), Connection: "one", Role: "app", Deadline: b.now.Add(time.Hour)}
	b.server.Refuse(http.MethodDelete, authorizations)
	background, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for range takeOverAttempts - 1 {
		require.True(t, IsQueued(b.RevokeLease(background, b.storage, d)))
	}
	require.True(t, IsQueued(b.RevokeLease(t.Context(), b.storage, d)), "whoever waits is told")
	b.system.TaintedVal = true
	require.True(t, IsQueued(b.RevokeLease(background, b.storage, d)), "nobody would be left to finish")
	b.system.TaintedVal = false
	require.NoError(t, b.RevokeLease(background, b.storage, d))
	require.True(t, b.IsPending(d.AuthorizationID))

	d.AuthorizationID = b.newToken()
	require.True(t, IsQueued(b.RevokeLease(background, b.storage, d)))
	b.now = b.now.Add(takeOverAge)
	require.NoError(t, b.RevokeLease(background, b.storage, d), "that it lasts is enough")
}

func TestALeaseOfAPurgedConnection(t *testing.T) {
	b := newBench(t)
	d := lease.Data{AuthorizationID: b.newToken(), Connection: "never", Role: "app", Deadline: b.now}
	require.ErrorIs(t, b.RevokeLease(t.Context(), b.storage, d), connection.ErrPurged)
	b.now = b.now.Add(time.Second)
	require.NoError(t, b.RevokeLease(t.Context(), b.storage, d))
	require.True(t, b.Empty())
}

// One deletion that fails does not hold the others up; an InfluxDB that is out of reach ends the run for its connection.
func TestBreaker(t *testing.T) {
	unavailable := &influx.Error{Kind: influx.Unavailable, Status: 503}
	var breaker Breaker
	for range enoughFailures - 1 {
		breaker.Record(unavailable)
	}
	breaker.Record(&influx.Error{Kind: influx.NotFound, Status: 404})
	breaker.Record(errStorage)
	require.False(t, breaker.Open())
	breaker.Record(fmt.Errorf("wrapped: %w", unavailable))
	require.True(t, breaker.Open())
	for _, once := range []error{
		&influx.Error{Kind: influx.Unavailable}, &influx.Error{Kind: influx.BadToken, Status: 401}, &influx.Error{Kind: influx.InactiveToken, Status: 401},
		&influx.Error{Kind: influx.InactiveUser, Status: 403}, &connection.ForeignError{},
	} {
		var breaker Breaker
		breaker.Record(once)
		require.True(t, breaker.Open(), "%v", once)
	}
}

func TestRetryAllStopsWhileInfluxDBIsDown(t *testing.T) {
	b := newBench(t)
	for range 5 * Concurrency {
		require.NoError(t, b.Enqueue(t.Context(), b.storage, b.entry(b.newToken())))
	}
	b.server.Refuse(http.MethodDelete, authorizations)
	b.server.ResetRequests()
	require.EqualError(t, b.RetryAll(t.Context(), b.storage), "40 deletions are still pending")
	require.LessOrEqual(t, len(b.server.Requests()), Concurrency)

	b.server.Intercept(nil)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, b.RetryAll(gone, b.storage))
	require.Len(t, b.All(), 40, "nothing is tried for a caller that has gone")
	require.NoError(t, b.RetryAll(t.Context(), b.storage))
	require.Len(t, b.server.Tokens(), 1)
}

// A root token that was rotated since it was read is read again.
func TestRevokeUsesTheRotatedRoot(t *testing.T) {
	b := newBench(t)
	id := b.newToken()
	newRootID, newRoot := b.server.AddToken(b.server.OrgID(), b.server.UserID(), influxtest.OperatorPermissions()...)
	var tried atomic.Int64
	b.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if tried.Add(1) == 1 {
			config, err := store.Config.Get(context.Background(), b.storage)
			if err == nil {
				config.Token, config.AuthorizationID, config.Revision = newRoot, newRootID, "2"
				err = store.Config.Put(context.Background(), b.storage, config)
			}
			if err != nil {
				t.Error(err)
			}
			b.server.DeleteToken(b.server.RootID())
		}
		next.ServeHTTP(w, r)
	})
	require.NoError(t, b.Revoke(t.Context(), b.storage, b.entry(id)))
	require.EqualValues(t, 2, tried.Load())
	require.False(t, slices.ContainsFunc(b.server.Tokens(), func(a influxtest.Token) bool { return a.ID == id }))
}
