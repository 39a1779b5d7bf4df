package backend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// InfluxDB answers deletions, and its list hangs that a mint of unknown outcome waits for.
func TestAListThatHangsHoldsNoDeletionBack(t *testing.T) {
	m := newMount(t)
	server := m.warm()
	l := m.mint("app")
	later := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	require.Error(t, l.revoke(t.Context()))
	m.unanswered(server, refusePost)
	m.clock.advance(nonceAge)
	release := server.Stall(http.MethodGet, authorizations)
	rollback := func() error {
		_, err := m.send(t.Context(), &logical.Request{Operation: logical.RollbackOperation})
		return err
	}
	require.NoError(t, rollback())
	m.until(func() bool { return lists(server) > 0 })
	m.until(func() bool { return !strings.Contains(strings.Join(m.pendingIDs(), " "), l.id) })

	// Also what fails while the list hangs is tried again at the next tick.
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodDelete {
			faulttest.Refused(w, r, next)
		}
		next.ServeHTTP(w, r)
	})
	require.Error(t, later.revoke(t.Context()))
	server.Intercept(nil)
	m.until(func() bool { return !m.backend.jobs.table[0].Running() })
	require.NoError(t, rollback())
	m.until(func() bool { return len(m.pendingIDs()) == 1 }) // the mint of unknown outcome
	require.NotContains(t, live(server), later.id)
	release()
	m.until(m.idle)
	require.Empty(t, m.pendingIDs())
	require.Empty(t, live(server))
}

// InfluxDB 2.10 starts: nothing was created, nothing is to be looked for, and whoever asks is told.
func TestAMintWhileInfluxDBStarts(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/capped", map[string]any{"read_buckets": "metrics", "max_leases": 1})
	up := server.Starting("v2.10.0")
	for range 3 {
		status, text := m.refused(logical.ReadOperation, "creds/capped", nil)
		require.Equal(t, 502, status)
		require.Contains(t, text, "InfluxDB 2.10.0 is starting")
		require.NotContains(t, text, "whether the token was created")
	}
	require.Empty(t, m.pendingIDs())
	up()
	l := m.mint("capped")
	server.Starting("v2.10.0")
	require.Error(t, l.revoke(t.Context()), "what has no answer yet is no deletion")
	require.Equal(t, []string{l.id}, m.pendingIDs())
	server.Intercept(nil)
	require.NoError(t, m.tick())
	tidyUp(t, server)
}

// What stands between says so too: whether InfluxDB had made the token first, nobody knows.
func TestAProxyThatSaysThatItStartsProvesNothing(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	server.ReplaceAnswer(http.MethodPost, authorizations, 503, "application/json", `{"status":"starting"}`) // without InfluxDB's header
	status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, 502, status)
	require.Len(t, m.pendingIDs(), 1)
	require.Len(t, live(server), 2)
}

// A client that writes all fields, and null into those that it has nothing for, leaves them out.
func TestNullFieldsOfARequestOfCredsAreLeftOut(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	none := map[string]any{"ttl": nil, "read_buckets": nil, "write_buckets": nil, "read_resources": nil, "write_resources": nil, "permissions": nil}
	for op, data := range map[logical.Operation]map[string]any{logical.ReadOperation: none, logical.UpdateOperation: none} {
		l := m.leased(m.ok(op, "creds/app", data))
		require.Len(t, live(server)[l.id].Permissions, 2, "all that the role grants")
		tidyUp(t, server, l)
	}
	some := map[string]any{"ttl": nil, "read_buckets": []any{"metrics"}, "write_buckets": nil, "read_resources": nil, "write_resources": nil, "permissions": nil}
	l := m.leased(m.ok(logical.UpdateOperation, "creds/app", some))
	require.Len(t, live(server)[l.id].Permissions, 1, "what is named")
	tidyUp(t, server, l)
	require.Contains(t, m.rejected(logical.UpdateOperation, "creds/app", map[string]any{"read_buckets": []any{}, "write_buckets": nil}), "read_buckets: empty")
}

// A job's steps are taken one after the other, whatever comes of those before.
func TestStepsOfAJob(t *testing.T) {
	m := newDirectMount(t)
	begun, release, second := make(chan struct{}), make(chan struct{}), make(chan struct{})
	jobs := newJobs(m.backend.mount)
	jobs.table = []*job{{name: "two steps", steps: []step{
		func(context.Context, logical.Storage, string) error {
			close(begun)
			<-release
			panic("the first is broken")
		},
		func(context.Context, logical.Storage, string) error {
			close(second)
			return errors.New("so is the second")
		},
	}}}
	jobs.start(m.storage, "influxdb/")
	<-begun
	jobs.start(m.storage, "influxdb/") // the next minute leaves it alone
	select {
	case <-second:
		require.Fail(t, "beside the first")
	default:
	}
	close(release)
	<-second
	m.until(func() bool { return !jobs.table[0].Running() })
	require.Contains(t, m.log.String(), "so is the second")
	require.NotContains(t, m.log.String(), "the first is broken")
}

// Planned rotations that fall due in the same minute: a static role's begins when the root token's has ended.
func TestRotationsOfTheSameMinute(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	m.configure(server, map[string]any{"authorization_id": server.RootID(), "rotation_period": "24h"})
	m.write("static-roles/telegraf", map[string]any{"write_buckets": influxtest.BucketName, "rotation_period": "24h", "grace_period": 0})
	var mu sync.Mutex
	var changes []string // of the root token, and of others
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method != http.MethodGet {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			mu.Lock()
			switch {
			case r.Method == http.MethodPost && strings.Contains(string(body), ":"+kindStatic+":"):
				changes = append(changes, "static")
			case r.Method == http.MethodPost, strings.HasSuffix(r.URL.Path, server.RootID()):
				changes = append(changes, "root")
			}
			mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
	m.clock.advance(24 * time.Hour)
	require.NoError(t, m.tick())
	last := slices.Index(changes, "static")
	require.Equal(t, len(changes)-1, last, changes)
	require.GreaterOrEqual(t, last, 3, "the root token's: made, proven, deleted")
	require.Empty(t, m.problems())
}
