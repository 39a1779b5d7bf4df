package tidy

import (
	"context"
	"net/http"
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
	"vault-plugin-secrets-influxdb/backend/mint"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

const (
	testUUID       = "9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77"
	authorizations = "/api/v2/authorizations"
)

// system is Vault's view of a mount that may be tainted.
type system struct {
	logical.StaticSystemView
	tainted atomic.Bool
}

func (s *system) Tainted() bool { return s.tainted.Load() }

// fixture is the Tidier of a mount that is connected to a fake InfluxDB.
type fixture struct {
	*Tidier
	t       *testing.T
	server  *influxtest.Server
	storage logical.Storage
	system  *system
	now     time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, server: influxtest.New(t), storage: &logical.InmemStorage{}, system: &system{}, now: time.Now()}
	m := &mount.Mount{UUID: testUUID, Log: hclog.NewNullLogger(), Now: func() time.Time { return f.now }, System: f.system}
	pool, issuer, counter := connection.NewPool("test"), token.NewIssuer(m), &lease.Counter{}
	t.Cleanup(pool.CloseAll)
	revoker := revoke.New(m, pool, counter)
	roles := role.New(m, pool, issuer, revoker)
	statics := static.New(m, pool, roles, mint.New(m, pool, roles, issuer, revoker, counter), revoker)
	lifetime, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	f.Tidier = New(lifetime, m, pool, issuer, revoker, statics, counter)
	return f
}

// connect stores the connection to the fake.
func (f *fixture) connect() {
	f.t.Helper()
	require.NoError(f.t, store.Config.Put(f.t.Context(), f.storage, &store.Connection{
		ID: "c", Revision: "r", URL: f.server.URL, Token: f.server.RootToken(), OrgID: f.server.OrgID(), RequestTimeout: 60, MaxOpenConnections: 4,
	}))
}

// current is the connection to the fake.
func (f *fixture) current() *connection.Connection {
	f.t.Helper()
	c, err := f.pool.Current(f.t.Context(), f.storage, "influxdb/")
	require.NoError(f.t, err)
	return c
}

// create makes a lease token of the role app, and returns its ID.
func (f *fixture) create(nonce string, deadline time.Time) string {
	f.t.Helper()
	a, err := f.issuer.Create(f.t.Context(), f.current(), token.Spec{
		Kind: token.Lease, Role: "app", Nonce: nonce, OrgID: f.server.OrgID(), Deadline: deadline,
		Permissions: []permission.Permission{{Action: permission.Read, Type: permission.Buckets, OrgID: f.server.OrgID()}},
	})
	require.NoError(f.t, err)
	return a.ID
}

// writeStatic makes a static role, and returns its token's ID.
func (f *fixture) writeStatic(name string) string {
	f.t.Helper()
	_, err := f.statics.Write(f.t.Context(), f.storage, name, static.Write{MountPath: "influxdb/", Verify: true, Apply: func(r *store.StaticRole) {
		r.Role.ReadBuckets = []string{"*"}
	}})
	require.NoError(f.t, err)
	return f.staticToken(name)
}

func (f *fixture) staticToken(name string) string {
	f.t.Helper()
	r, err := f.statics.Get(f.t.Context(), f.storage, name)
	require.NoError(f.t, err)
	return r.Current.AuthorizationID
}

// ids are the IDs of all tokens in the fake.
func (f *fixture) ids() []string {
	var ids []string
	for _, one := range f.server.Tokens() {
		ids = append(ids, one.ID)
	}
	return ids
}

// tidyUp runs tidy to its end.
func (f *fixture) tidyUp(o Options) Status {
	f.t.Helper()
	require.True(f.t, f.Start(f.storage, f.current(), o))
	require.Eventually(f.t, func() bool { return f.Status().State != Running }, time.Minute, time.Millisecond)
	return f.Status()
}

// A scan says which static tokens it misses. It is the job that replaces them: what scans while a mount is being disabled
// would leave a token behind that nothing ends.
func TestOnlyTheJobReplacesMissingStaticTokens(t *testing.T) {
	for name, tainted := range map[string]bool{"tainted": true, "not tainted": false} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.connect()
			lost, there := f.writeStatic("lost"), f.writeStatic("there")
			f.server.DeleteToken(lost)
			require.NoError(t, f.revoker.RecordNonce(t.Context(), f.storage, f.current(), "app", token.NewNonce(), "", token.Location{OrgID: f.server.OrgID()}))
			f.now = f.now.Add(mount.UnknownAge)
			f.system.tainted.Store(tainted)
			before := f.ids()

			seen, err := f.scan(t.Context(), f.storage, f.current(), Options{MountUUID: testUUID}, &progress{})
			require.NoError(t, err)
			require.Equal(t, map[string]string{lost: "lost"}, seen.Missing)
			require.NoError(t, f.ReconcileUnknown(t.Context(), f.storage), "it scanned for the nonce")
			require.True(t, f.revoker.Empty())
			require.Equal(t, before, f.ids())

			require.Equal(t, Done, f.tidyUp(Options{MountUUID: testUUID, DryRun: true}).State)
			require.Equal(t, before, f.ids(), "a dry run changes nothing")
			require.Equal(t, Done, f.tidyUp(Options{MountUUID: testUUID}).State)
			require.Equal(t, there, f.staticToken("there"))
			if tainted {
				require.Equal(t, before, f.ids())
			} else {
				require.NotEqual(t, lost, f.staticToken("lost"))
			}
		})
	}
}

// Of a token that is none of ours a scan keeps nothing.
func TestALookAtAStrangersTokenCostsNothing(t *testing.T) {
	f := newFixture(t)
	l := &pass{Tidier: f.Tidier, p: &progress{}, o: Options{MountUUID: testUUID}, seen: static.Seen{Missing: map[string]string{"0000000000000001": "lost"}}}
	stranger := &influx.Listed{ID: []byte("03a2bbf46309a000"), Description: []byte("Read buckets metrics, made by hand for the one who writes metrics")}
	require.Zero(t, testing.AllocsPerRun(100, func() { l.look(stranger) }))
	require.Len(t, l.seen.Missing, 1)
}

func TestScanReports(t *testing.T) {
	f := newFixture(t)
	f.connect()
	live := f.create("01", f.now.Add(time.Hour))
	expired := f.create("02", f.now.Add(-mount.TidyMargin-time.Second))
	recent := f.create("03", f.now.Add(-mount.TidyMargin+time.Second))
	unknown := f.create("04", f.now.Add(time.Hour))
	o := Options{MountUUID: testUUID, Unknown: map[string]store.Pending{"04": {Nonce: "04", OrgID: f.server.OrgID(), Connection: "c"}}, DryRun: true}

	counts, err := f.Scan(t.Context(), f.storage, f.current(), o)
	require.NoError(t, err)
	require.Equal(t, Counts{Scanned: 5, Matched: 2, Left: 2}, counts, "the root token is the fifth")
	require.Subset(t, f.ids(), []string{live, expired, recent, unknown})

	o.DryRun = false
	counts, err = f.Scan(t.Context(), f.storage, f.current(), o)
	require.NoError(t, err)
	require.Equal(t, Counts{Scanned: 5, Matched: 2, Deleted: 2, Left: 2}, counts)
	require.ElementsMatch(t, []string{f.server.RootID(), live, recent}, f.ids())
}

// The list that a count reads may be the old InfluxDB's by the time that it arrives.
func TestACountEndsWithAReset(t *testing.T) {
	f := newFixture(t)
	f.connect()
	f.create("01", f.now.Add(time.Hour))
	f.create("02", f.now.Add(-time.Second))

	asked, release := make(chan struct{}), make(chan struct{})
	f.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path == authorizations {
			close(asked)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		next.ServeHTTP(w, r)
	})
	counted, c := make(chan error), f.current()
	count := func() error {
		_, err := f.Scan(context.WithoutCancel(t.Context()), f.storage, c, Options{})
		return err
	}
	go func() { counted <- count() }()
	<-asked
	f.counter.Reset()
	close(release)
	require.NoError(t, <-counted)
	live, _ := f.counter.Last(f.now)
	require.Zero(t, live)

	f.server.Intercept(nil)
	require.NoError(t, count())
	live, _ = f.counter.Last(f.now)
	require.Equal(t, 1, live, "it is counted anew, without the expired one")
}

func TestAMountWithoutAConnectionIsCountedOnceItHasOne(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, store.Roles.Put(t.Context(), f.storage, "app", &store.Role{MaxLeases: 1}))
	require.NoError(t, f.Periodic(t.Context(), f.storage))
	f.connect()
	f.create("01", f.now.Add(time.Hour))
	require.NoError(t, f.Periodic(t.Context(), f.storage))
	live, _ := f.counter.Last(f.now)
	require.Equal(t, 1, live)
	f.server.ResetRequests()
	require.NoError(t, f.Periodic(t.Context(), f.storage))
	require.Empty(t, f.server.Requests(), "once")
}
