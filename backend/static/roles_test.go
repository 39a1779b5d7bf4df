package static

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mint"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// system is Vault's view of a mount that may be tainted.
type system struct {
	logical.StaticSystemView
	tainted atomic.Bool
}

func (s *system) Tainted() bool { return s.tainted.Load() }

// fixture is the static roles of a mount that is connected to a fake InfluxDB.
type fixture struct {
	*Roles
	t       *testing.T
	server  *influxtest.Server
	storage logical.Storage
	system  *system
	now     time.Time
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, server: influxtest.New(t), storage: &logical.InmemStorage{}, system: &system{}, now: time.Now()}
	m := &mount.Mount{UUID: "9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77", Log: hclog.NewNullLogger(), Now: func() time.Time { return f.now }, System: f.system}
	pool, issuer, counter := connection.NewPool("test"), token.NewIssuer(m), &lease.Counter{}
	t.Cleanup(pool.CloseAll)
	revoker := revoke.New(m, pool, counter)
	roles := role.New(m, pool, issuer, revoker)
	f.Roles = New(m, pool, roles, mint.New(m, pool, roles, issuer, revoker, counter), revoker)
	require.NoError(t, store.Config.Put(t.Context(), f.storage, &store.Connection{
		ID: "c", Revision: "r", URL: f.server.URL, Token: f.server.RootToken(), OrgID: f.server.OrgID(), RequestTimeout: 10, MaxOpenConnections: 4,
	}))
	return f
}

// write makes a role that is rotated each hour, and returns its token's authorization ID.
func (f *fixture) write() string {
	f.t.Helper()
	_, err := f.Write(f.t.Context(), f.storage, "app", Write{MountPath: "influxdb/", Verify: true, Apply: func(r *store.StaticRole) {
		r.Role.WriteBuckets = []string{"id:" + f.server.BucketID()}
		r.RotationPeriod = 3600
	}})
	require.NoError(f.t, err)
	return f.current()
}

// current is the authorization ID of the role's token.
func (f *fixture) current() string {
	f.t.Helper()
	c, err := f.Credentials(f.t.Context(), f.storage, "influxdb/", "app")
	require.NoError(f.t, err)
	return c.AuthorizationID
}

// A mount that is being disabled rotates nothing: a token that is made then is left behind in InfluxDB, where nothing ends
// it. Once the mount is not tainted any more, as after a move, it goes on.
func TestNothingIsRotatedOnATaintedMount(t *testing.T) {
	for name, c := range map[string]struct {
		lose bool // the token is deleted in InfluxDB
		run  func(f *fixture, id string)
	}{
		"when it is due": {false, func(f *fixture, _ string) {
			require.NoError(f.t, f.Periodic(f.t.Context(), f.storage, "influxdb/"))
		}},
		"when its token is gone": {true, func(f *fixture, id string) {
			c, err := f.pool.Current(f.t.Context(), f.storage, "influxdb/")
			require.NoError(f.t, err)
			f.ReplaceMissing(f.t.Context(), f.storage, c, map[string]string{id: "app"})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			first := f.write()
			f.now = f.now.Add(time.Hour)
			if c.lose {
				f.server.DeleteToken(first)
			}
			left := len(f.server.Tokens())
			f.system.tainted.Store(true)
			c.run(f, first)
			require.Equal(t, first, f.current())
			require.Len(t, f.server.Tokens(), left)
			f.system.tainted.Store(false)
			c.run(f, first)
			require.NotEqual(t, first, f.current())
		})
	}
}

func TestCredentialsSayWhenToReadAgain(t *testing.T) {
	last := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	daily, nightly := store.RotationPlan{RotationPeriod: 86400}, store.RotationPlan{RotationSchedule: "0 3 * * *", RotationWindow: 7200}
	f := newFixture(t)
	const ten, decade = 10 * 365 * 24 * time.Hour, 10 * 365 * 86400
	rare, ends := store.RotationPlan{RotationPeriod: 2 * decade}, last.Add(ten)
	for name, c := range map[string]struct {
		plan        store.RotationPlan
		after       time.Duration
		period, ttl int
		expires     time.Time
	}{
		"period":              {daily, 5 * time.Minute, 86400, 86100, time.Time{}},
		"part of second":      {daily, time.Nanosecond, 86400, 86400, time.Time{}},
		"due":                 {daily, 24 * time.Hour, 86400, readSoon, time.Time{}},
		"overdue":             {daily, 48 * time.Hour, 86400, readSoon, time.Time{}},
		"schedule":            {nightly, 5 * time.Minute, 86400, 53700, time.Time{}},
		"by hand":             {store.RotationPlan{}, time.Hour, readAgain, readAgain, time.Time{}},
		"another node's now":  {daily, -30 * time.Second, 86400, 86400, time.Time{}},
		"set by a wrong time": {daily, -365 * 24 * time.Hour, 86400, readSoon, time.Time{}},
		"wrong, by schedule":  {nightly, -365 * 24 * time.Hour, 86400, readSoon, time.Time{}},
		"ends later":          {daily, 5 * time.Minute, 86400, 86100, ends},
		"ends before":         {rare, 24 * time.Hour, 2 * decade, decade - 31*86400, ends},
		"ends soon":           {rare, ten - 24*time.Hour, 2 * decade, readSoon, ends},
		"has ended":           {rare, ten + 24*time.Hour, 2 * decade, readSoon, ends},
		"by hand, ends":       {store.RotationPlan{}, time.Hour, readAgain, readAgain, ends},
		"by hand, due":        {store.RotationPlan{}, ten - endMargin - time.Minute, readAgain, 60, ends},
		"by hand, ended":      {store.RotationPlan{}, ten + time.Hour, readAgain, readSoon, ends},
	} {
		f.now = last.Add(c.after)
		r := &store.StaticRole{RotationPlan: c.plan, RotationTimes: rotation.Times(c.plan, last), Current: store.StaticToken{AuthorizationID: "id", Connection: "c", Expires: c.expires}}
		require.NoError(t, store.StaticRoles.Put(t.Context(), f.storage, "app", r))
		f.Forget()
		got, err := f.Credentials(t.Context(), f.storage, "influxdb/", "app")
		require.NoError(t, err)
		require.Equal(t, &Credentials{StaticToken: r.Current, URL: f.server.URL, LastRotation: last, Period: c.period, TTL: c.ttl}, got, name)
	}
}
