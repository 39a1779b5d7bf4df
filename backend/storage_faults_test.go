package backend

import (
	"context"
	"fmt"
	"maps"
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

// The ways in which the n-th call of storage fails.
const (
	failsOnce   = "once"
	failsOnward = "from then on"
	// failsLate is a call that is carried out and whose answer is lost.
	failsLate = "after it was done"
)

// nthStorage fails the n-th call since it was armed.
type nthStorage struct {
	logical.Storage

	mu    sync.Mutex
	way   string
	nth   int // 0 while it is sound
	calls int
	// failed are the calls that failed.
	failed []string
}

func (s *nthStorage) arm(way string, nth int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.way, s.nth, s.calls, s.failed = way, nth, 0, nil
}

func (s *nthStorage) disarm() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nth = 0
	return s.failed
}

func (s *nthStorage) call(op, key string, do func() error) error {
	s.mu.Lock()
	s.calls++
	fails := s.nth > 0 && (s.calls == s.nth || s.calls > s.nth && s.way == failsOnward)
	if fails {
		s.failed = append(s.failed, op+" "+key)
	}
	late := s.way == failsLate
	s.mu.Unlock()
	if !fails {
		return do()
	}
	if late {
		_ = do()
	}
	return errStorage
}

func (s *nthStorage) Get(ctx context.Context, key string) (entry *logical.StorageEntry, err error) {
	err = s.call("get", key, func() error { entry, err = s.Storage.Get(ctx, key); return err })
	return entry, err
}

func (s *nthStorage) Put(ctx context.Context, entry *logical.StorageEntry) error {
	return s.call("put", entry.Key, func() error { return s.Storage.Put(ctx, entry) })
}

func (s *nthStorage) Delete(ctx context.Context, key string) error {
	return s.call("delete", key, func() error { return s.Storage.Delete(ctx, key) })
}

func (s *nthStorage) List(ctx context.Context, prefix string) (keys []string, err error) {
	err = s.call("list", prefix, func() error { keys, err = s.Storage.List(ctx, prefix); return err })
	return keys, err
}

// scene is a mount on which one call of storage fails.
type scene struct {
	*testMount
	nth           *nthStorage
	server, other *influxtest.Server
	// bystander is a lease that nothing happens to; target is the one that is revoked or renewed.
	bystander, target *leased
	// held are the leases that callers hold, by authorization ID.
	held map[string]*leased
}

// operationUnderFault is one operation, what comes before it, and what it must have done where it says so.
type operationUnderFault struct {
	prepare func(sc *scene)
	act     func(sc *scene) error
	done    func(sc *scene)
	// fatal are calls of storage, by how they begin: where one fails, the answer says so, and is no word about the request.
	fatal []string
	// undone is what must be so after a failure that was fatal.
	undone func(sc *scene)
	// whole says that storage is then as it was.
	whole bool
	// disabling says that the mount is tainted meanwhile; over the plugin protocol that would be a race of the test's.
	disabling bool
}

func newScene(t *testing.T, prepare func(*scene)) *scene {
	sc := &scene{testMount: newMount(t), server: influxtest.New(t), other: influxtest.New(t), held: map[string]*leased{}}
	sc.server.SetClock(sc.clock.now)
	sc.other.SetClock(sc.clock.now)
	sc.nth = &nthStorage{Storage: sc.storage.Storage}
	sc.storage.Storage = sc.nth
	prepare(sc)
	if !overGRPC {
		sc.reload() // what lies in storage has to be read again
	}
	return sc
}

func connectedScene(sc *scene) {
	sc.configure(sc.server)
	sc.write("roles/app", map[string]any{"read_buckets": "metrics", "write_buckets": "metrics", "ttl": "5m", "max_ttl": "1h"})
	sc.bystander, sc.target = sc.hold("app"), sc.hold("app")
}

func (sc *scene) hold(role string) *leased {
	l := sc.mint(role)
	sc.held[l.id] = l
	return l
}

// try sends a request; what Vault would be answered as a refusal is an error, too.
func (sc *scene) try(op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	resp, err := sc.request(op, path, data)
	if err == nil && resp.IsError() {
		err = fmt.Errorf("%s %w", badRequest, resp.Error())
	}
	return resp, err
}

// badRequest begins what Vault answers with 400.
const badRequest = "bad request:"

func (sc *scene) tryCreds(ctx context.Context) error {
	resp, err := sc.send(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	if err == nil && resp.IsError() {
		return fmt.Errorf("%s %w", badRequest, resp.Error())
	}
	if err == nil {
		l := sc.leased(resp)
		sc.held[l.id] = l
		require.Contains(sc.t, live(sc.server), l.id)
	}
	return err
}

// end revokes the target; where that is said to have worked, nobody holds it any more.
func (sc *scene) end(revoke func() error) error {
	err := revoke()
	if err == nil {
		delete(sc.held, sc.target.id)
	}
	return err
}

// minute is a tick and all that it starts.
func (sc *scene) minute() error {
	err := sc.tick()
	sc.tidied()
	return err
}

func requestOf(op logical.Operation, path string, data map[string]any) func(*scene) error {
	return func(sc *scene) error {
		_, err := sc.try(op, path, maps.Clone(data)) // scenes run in parallel
		return err
	}
}

func toAnother(server func(*scene) *influxtest.Server) func(*scene) error {
	return func(sc *scene) error {
		_, err := sc.try(logical.UpdateOperation, "config", connectionTo(server(sc), map[string]any{"abandon_previous": true}))
		return err
	}
}

func theOther(sc *scene) *influxtest.Server { return sc.other }

func theFirst(sc *scene) *influxtest.Server { return sc.server }

func configured(sc *scene) {
	sc.configure(sc.server)
	sc.write("roles/app", map[string]any{"read_buckets": "metrics", "ttl": "5m", "max_ttl": "1h"})
}

// disconnectedLongAgo is a connection that nothing needs any more.
func disconnectedLongAgo(sc *scene) {
	configured(sc)
	sc.ok(logical.DeleteOperation, "config", nil)
	require.NoError(sc.t, sc.tick())
	sc.clock.advance(26 * time.Hour)
}

// mintsAt is a lease of one InfluxDB that comes and goes.
func mintsAt(server func(*scene) *influxtest.Server) func(*scene) {
	return func(sc *scene) {
		l := sc.mint("app")
		require.Equal(sc.t, server(sc).URL, l.data["url"])
		require.NoError(sc.t, l.revoke(sc.t.Context()))
	}
}

// everyCall is all calls of storage.
var everyCall = []string{""}

func down(sc *scene) { sc.server.Refuse(http.MethodDelete, authorizations) }

func withPending(sc *scene) {
	connectedScene(sc)
	down(sc)
	for range 3 {
		l := sc.mint("app")
		require.Error(sc.t, l.revoke(sc.t.Context()))
	}
	sc.server.Intercept(nil)
}

func withUnanswered(sc *scene) {
	withPending(sc)
	sc.unanswered(sc.server, loseAnswer)
	sc.unanswered(sc.server, refusePost)
	sc.clock.advance(nonceAge)
}

func nothingPending(sc *scene) { require.Empty(sc.t, sc.pendingIDs()) }

func targetIsGone(sc *scene) { require.NotContains(sc.t, live(sc.server), sc.target.id) }

func targetIsPending(sc *scene) {
	require.Contains(sc.t, sc.pendingIDs(), sc.target.id, "taken over, and so written down")
}

func revokeNow(sc *scene) error {
	return sc.end(func() error { return sc.target.revoke(sc.t.Context()) })
}

func and(steps ...func(*scene)) func(*scene) {
	return func(sc *scene) {
		for _, step := range steps {
			step(sc)
		}
	}
}

var operationsUnderFault = map[string]operationUnderFault{
	"config, first": {
		prepare: func(*scene) {},
		act: func(sc *scene) error {
			_, err := sc.try(logical.UpdateOperation, "config", connectionTo(sc.server))
			return err
		},
		done:  func(sc *scene) { require.Equal(sc.t, sc.server.URL, sc.stored().URL) },
		fatal: everyCall, whole: true,
	},
	"config, read": {
		prepare: connectedScene,
		act:     requestOf(logical.ReadOperation, "config", nil),
		fatal:   []string{"get config"}, whole: true,
	},
	"config, changed": {
		prepare: connectedScene,
		act:     requestOf(logical.UpdateOperation, "config", map[string]any{"request_timeout": "20s"}),
		done:    func(sc *scene) { require.Equal(sc.t, 20, sc.stored().RequestTimeout) },
		fatal:   everyCall, whole: true, undone: mintsAt(theFirst),
	},
	"config, another InfluxDB": {
		prepare: connectedScene,
		act:     toAnother(theOther),
		done:    func(sc *scene) { require.Equal(sc.t, sc.other.URL, sc.stored().URL) },
		fatal:   []string{"get ", "list pending/", "put "}, undone: mintsAt(theFirst),
	},
	"config, another InfluxDB with nothing left": {
		prepare: configured,
		act: func(sc *scene) error {
			_, err := sc.try(logical.UpdateOperation, "config", connectionTo(sc.other))
			return err
		},
		done:  func(sc *scene) { require.Equal(sc.t, sc.other.URL, sc.stored().URL) },
		fatal: []string{"get ", "list pending/", "put "}, undone: mintsAt(theFirst),
	},
	"config, another InfluxDB and back": {
		prepare: and(connectedScene, func(sc *scene) {
			require.NoError(sc.t, toAnother(theOther)(sc))
			sc.hold("app")
		}),
		act:   toAnother(theFirst),
		done:  func(sc *scene) { require.Equal(sc.t, sc.server.URL, sc.stored().URL) },
		fatal: []string{"get ", "list pending/", "put "}, undone: mintsAt(theOther),
	},
	"config, deleted": {
		prepare: connectedScene,
		act:     requestOf(logical.DeleteOperation, "config", nil),
		done:    func(sc *scene) { require.NotContains(sc.t, sc.snapshot(), "config") },
		fatal:   everyCall, undone: mintsAt(theFirst),
	},
	"config, again after it was deleted": {
		prepare: and(connectedScene, func(sc *scene) { sc.ok(logical.DeleteOperation, "config", nil) }),
		act: func(sc *scene) error {
			_, err := sc.try(logical.UpdateOperation, "config", connectionTo(sc.server))
			return err
		},
		done: func(sc *scene) { require.Equal(sc.t, sc.server.URL, sc.stored().URL) },
	},
	"role, written": {
		prepare: connectedScene,
		act:     requestOf(logical.UpdateOperation, "roles/new", map[string]any{"read_buckets": "metrics"}),
		done:    func(sc *scene) { require.NotEmpty(sc.t, sc.read("roles/new").Data["read_buckets"]) },
		fatal:   everyCall, whole: true,
	},
	"role, read":    {prepare: connectedScene, act: requestOf(logical.ReadOperation, "roles/app", nil), fatal: everyCall, whole: true},
	"roles, listed": {prepare: connectedScene, act: requestOf(logical.ListOperation, "roles/", nil), fatal: everyCall, whole: true},
	"role, patched": {
		prepare: connectedScene,
		act:     requestOf(logical.PatchOperation, "roles/app", map[string]any{"max_leases": 100}),
		done:    func(sc *scene) { require.EqualValues(sc.t, 100, sc.read("roles/app").Data["max_leases"]) },
		fatal:   everyCall, whole: true,
	},
	"role, deleted": {
		prepare: connectedScene,
		act:     requestOf(logical.DeleteOperation, "roles/app", nil),
		done:    func(sc *scene) { require.Empty(sc.t, sc.keys("role")) },
		fatal:   everyCall, whole: true,
	},
	"creds": {
		prepare: connectedScene,
		act:     func(sc *scene) error { return sc.tryCreds(sc.t.Context()) },
		fatal:   []string{"get role/app", "get config"}, whole: true,
	},
	"creds, limited": {
		prepare: and(connectedScene, func(sc *scene) { sc.ok(logical.PatchOperation, "roles/app", map[string]any{"max_leases": 3}) }),
		act:     func(sc *scene) error { return sc.tryCreds(sc.t.Context()) },
	},
	"creds, answer lost": {
		prepare: and(connectedScene, func(sc *scene) { loseAnswer(sc.server) }),
		act: func(sc *scene) error {
			require.Error(sc.t, sc.tryCreds(sc.t.Context()))
			return nil
		},
	},
	"creds, stale and not deleted": {
		prepare: connectedScene,
		act: func(sc *scene) error {
			// The answer names another bucket: the token is not handed out, and its deletion fails.
			sc.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				switch r.Method {
				case http.MethodDelete:
					faulttest.Refused(w, r, next)
				case http.MethodPost:
					renamed(w, r, next)
				default:
					next.ServeHTTP(w, r)
				}
			})
			require.Error(sc.t, sc.tryCreds(sc.t.Context()))
			return nil
		},
	},
	"renew": {
		prepare: connectedScene,
		act: func(sc *scene) error {
			resp, err := sc.target.renew()
			if err == nil {
				require.NotNil(sc.t, resp.Secret)
			}
			return err
		},
	},
	"revoke": {prepare: connectedScene, act: revokeNow, done: targetIsGone},
	"revoke, the deletion was pending": {
		prepare: and(connectedScene, down, func(sc *scene) { require.Error(sc.t, revokeNow(sc)) }, func(sc *scene) { sc.server.Intercept(nil) }),
		act:     revokeNow, done: and(targetIsGone, nothingPending), fatal: []string{"list pending/"},
	},
	"revoke, InfluxDB is down": {
		prepare: and(connectedScene, down),
		act: func(sc *scene) error {
			require.Error(sc.t, revokeNow(sc))
			return nil
		},
	},
	"revoke, taken over": {
		prepare: and(connectedScene, down, func(sc *scene) {
			require.Error(sc.t, sc.target.inBackground())
			sc.clock.advance(takeOverAge)
		}),
		act:  func(sc *scene) error { return sc.end(sc.target.inBackground) },
		done: targetIsPending,
	},
	"revoke, tainted with others pending": {
		prepare: and(withPending, func(sc *scene) { sc.system.TaintedVal = true }),
		act:     revokeNow, done: and(targetIsGone, nothingPending), disabling: true,
	},
	"tokens, deleted": {
		prepare: connectedScene,
		act: func(sc *scene) error {
			_, err := sc.try(logical.DeleteOperation, "tokens/"+sc.target.id, nil)
			return err
		},
		done: targetIsGone,
	},
	"tokens, deleted while InfluxDB is down": {
		prepare: and(connectedScene, down),
		act: func(sc *scene) error {
			_, err := sc.try(logical.DeleteOperation, "tokens/"+sc.target.id, nil)
			require.Error(sc.t, err)
			return nil
		},
	},
	"tick": {prepare: withPending, act: (*scene).minute},
	"tick with a former connection": {
		prepare: disconnectedLongAgo,
		act:     (*scene).minute,
		done: func(sc *scene) {
			sc.hourLater()
			require.Empty(sc.t, sc.keys("connection/"))
		},
	},
	"tick with unanswered mints": {prepare: withUnanswered, act: (*scene).minute},
	"tick while disabled": {
		prepare: and(withUnanswered, func(sc *scene) { sc.system.TaintedVal = true }),
		act:     (*scene).minute, done: nothingPending, disabling: true,
	},
	"tidy": {
		prepare: and(withUnanswered, func(sc *scene) {
			for range 3 {
				handMade(sc.t.(*testing.T), sc.server, sc.outlived(testUUID, kindLease).String(), "active")
			}
		}),
		act: func(sc *scene) error {
			_, err := sc.try(logical.UpdateOperation, "tidy", nil)
			sc.tidied()
			return err
		},
	},
	"check": {
		prepare: withPending,
		act:     requestOf(logical.ReadOperation, "check", nil),
		fatal:   []string{"get config", "list pending/"}, whole: true,
	},
}

// renamed makes the token and answers with other names of its buckets than it was asked for.
func renamed(w http.ResponseWriter, r *http.Request, next http.Handler) {
	recorded := record(r, next)
	body := strings.ReplaceAll(recorded.Body.String(), `"`+influxtest.BucketName+`"`, `"renamed"`)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorded.Code)
	_, _ = w.Write([]byte(body))
}

// However storage fails, at whichever call: what is answered is true, no deletion is lost, no token is forgotten,
// and the configuration works.
func TestStorageFailsAtEveryCall(t *testing.T) {
	t.Parallel()
	ways := []string{failsOnce, failsOnward, failsLate}
	if !atLength() { // the calls are the same
		ways = ways[:1]
	}
	for name, operation := range operationsUnderFault {
		if operation.disabling && overGRPC {
			continue
		}
		for _, way := range ways {
			eachNth(t, name+"/"+way, func(t *testing.T, nth int) (hit bool) { return operation.survives(t, way, nth) })
		}
	}
}

// survives reports whether the operation made as many calls as nth; fewer, and it met no fault.
func (o operationUnderFault) survives(t *testing.T, way string, nth int) (hit bool) {
	sc := newScene(t, o.prepare)
	pending, before := sc.pendingTokens(), sc.snapshot()
	sc.nth.arm(way, nth)
	err := o.act(sc)
	failed := sc.nth.disarm()
	if len(failed) == 0 {
		require.NoError(t, err, "nothing failed")
	}
	if err == nil && o.done != nil {
		o.done(sc)
	}
	if way != failsLate && o.isFatal(failed) { // what was done late may be seen
		o.fails(sc, failed, err, before)
	}
	t.Log("failed:", failed, "answered:", err)
	sc.nothingForgotten(pending, failed)
	sc.recovers()
	return len(failed) > 0
}

func (o operationUnderFault) isFatal(failed []string) bool {
	return slices.ContainsFunc(failed, func(call string) bool {
		return slices.ContainsFunc(o.fatal, func(begins string) bool { return strings.HasPrefix(call, begins) })
	})
}

// fails proves that an operation that could not be done says so, and did nothing.
func (o operationUnderFault) fails(sc *scene, failed []string, err error, before map[string]string) {
	sc.t.Helper()
	require.ErrorContains(sc.t, err, errStorage.Error(), failed)
	require.NotContains(sc.t, err.Error(), badRequest)
	if o.whole {
		require.Equal(sc.t, before, sc.snapshot(), failed)
	}
	if o.undone != nil {
		o.undone(sc)
	}
}

// pendingTokens are the tokens that pending deletions are for, and the deletions without a token.
func (sc *scene) pendingTokens() map[string]string {
	keys := map[string]bool{}
	for _, key := range sc.pendingIDs() {
		keys[key] = true
	}
	pending := map[string]string{}
	for _, server := range []*influxtest.Server{sc.server, sc.other} {
		for id, token := range live(server) {
			st, _ := readStamp(token.Description)
			for _, key := range []string{id, "nonce-" + st.Nonce} {
				if keys[key] {
					pending[id] = key
				}
			}
		}
	}
	return pending
}

// nothingForgotten proves that each token is held, or pending, or has no more than its deadline to wait for, and
// that only where a pending deletion could not be written down.
func (sc *scene) nothingForgotten(before map[string]string, failed []string) {
	sc.t.Helper()
	pending := sc.pendingTokens()
	unwritten := strings.Contains(strings.Join(failed, "\n"), "put pending/")
	for _, server := range []*influxtest.Server{sc.server, sc.other} {
		for id, token := range live(server) {
			st, ok := readStamp(token.Description)
			require.True(sc.t, ok)
			require.Equal(sc.t, kindLease, st.Kind)
			if before[id] != "" {
				require.Equal(sc.t, before[id], pending[id], "a pending deletion is lost")
			}
			if sc.held[id] != nil || pending[id] != "" || st.Deadline.Before(sc.clock.now()) {
				continue
			}
			require.True(sc.t, unwritten, "token %s is forgotten: %s", id, token.Description)
			require.False(sc.t, st.Deadline.After(sc.clock.now().Add(time.Hour+deadlineGrace+time.Second)))
		}
	}
}

// recovers proves that with sound storage all comes right by itself.
func (sc *scene) recovers() {
	sc.t.Helper()
	sc.server.Intercept(nil)
	if sc.system.TaintedVal {
		sc.system.TaintedVal = false
	}
	require.NoError(sc.t, sc.minute())
	sc.clock.advance(nonceAge + time.Second)
	require.NoError(sc.t, sc.minute())
	if sc.bystander != nil {
		require.Contains(sc.t, live(sc.server), sc.bystander.id, "a token that is held")
	}
	if sc.snapshot()["config"] == "" {
		sc.configure(sc.server)
	}
	sc.write("roles/app", map[string]any{"read_buckets": "metrics", "ttl": "5m", "max_ttl": "1h", "verify": false})
	require.NoError(sc.t, sc.mint("app").revoke(sc.t.Context()))
	for _, l := range sc.held {
		require.NoError(sc.t, l.revoke(sc.t.Context()))
	}
	if !overGRPC {
		sc.reload() // a deletion that was written down although storage said no is known from now on
	}
	sc.clock.advance(time.Hour + deadlineGrace + reapGrace + time.Second)
	require.NoError(sc.t, sc.minute())
	sc.write("tidy", nil)
	require.Equal(sc.t, tidyDone, sc.tidied()["state"])
	if !overGRPC {
		require.Empty(sc.t, sc.pendingIDs())
	}
	require.Empty(sc.t, live(sc.server))
	require.Empty(sc.t, live(sc.other))
}
