package mint

import (
	"fmt"
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
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// scene is a mount that is connected to a server.
type scene struct {
	*Minter
	server  *influxtest.Server
	storage *logical.InmemStorage
	// later is how far the mount's clock is ahead, in nanoseconds.
	later atomic.Int64
}

func newScene(tb testing.TB) *scene {
	s := &scene{server: influxtest.New(tb), storage: &logical.InmemStorage{}}
	start := time.Now()
	m := &mount.Mount{
		UUID: "6f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8", Log: hclog.NewNullLogger(),
		Now:    func() time.Time { return start.Add(time.Duration(s.later.Load())) },
		System: logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 24 * time.Hour},
	}
	pool, issuer, counter := connection.NewPool("test"), token.NewIssuer(m), &lease.Counter{}
	tb.Cleanup(pool.CloseAll)
	revoker := revoke.New(m, pool, counter)
	s.Minter = New(m, pool, role.New(m, pool, issuer, revoker), issuer, revoker, counter)
	require.NoError(tb, store.Config.Put(tb.Context(), s.storage, &store.Connection{
		ID: "c", Revision: "1", URL: s.server.URL, Token: s.server.RootToken(), Org: influxtest.OrgName, RequestTimeout: 10, MaxOpenConnections: 2,
	}))
	return s
}

func (s *scene) put(tb testing.TB, name string, r store.Role) {
	require.NoError(tb, store.Roles.Put(tb.Context(), s.storage, name, &r))
}

func (s *scene) request(name string) Request {
	return Request{Role: name, MountPath: "influxdb/", Caller: role.NewCaller(logical.StaticSystemView{EntityVal: &logical.Entity{Name: "metrics"}}, "entity", "token-alice")}
}

func TestALeaseBelongsToItsToken(t *testing.T) {
	s := newScene(t)
	s.put(t, "app", store.Role{WriteBuckets: []string{"{{identity.entity.name}}"}, ReadBuckets: []string{"*"}, MaxTTL: 7200})
	r := s.request("app")
	r.TTL = 3 * time.Hour
	minted, err := s.Lease(t.Context(), s.storage, r)
	require.NoError(t, err)
	deadline := s.mount.Now().Add(2*time.Hour + mount.DeadlineMargin)
	require.Equal(t, lease.Data{AuthorizationID: minted.Authorization.ID, Connection: "c", Role: "app", Deadline: deadline}, minted.Lease)
	require.Equal(t, lease.TTLs{Initial: 2 * time.Hour, Max: 2 * time.Hour}, minted.TTLs)
	require.Equal(t, []string{"ttl: 3h0m0s is longer than allowed; the lease has 2h0m0s"}, minted.Warnings)
	require.Equal(t, [][]string{{"*"}, {"metrics"}}, [][]string{minted.Names(permission.Read, permission.Buckets), minted.Names(permission.Write, permission.Buckets)})
	require.True(t, minted.Templated)
	require.Equal(t, influxtest.OrgName, minted.Org)
	stamp, ok := s.issuer.Owned(minted.Authorization)
	require.True(t, ok)
	require.Equal(t, []string{token.Lease, "app"}, []string{stamp.Kind, stamp.Role})

	s.put(t, "plain", store.Role{ReadBuckets: []string{"metrics"}})
	minted, err = s.Lease(t.Context(), s.storage, s.request("plain"))
	require.NoError(t, err)
	require.False(t, minted.Templated)
	_, err = s.Lease(t.Context(), s.storage, s.request("none"))
	require.EqualError(t, err, `role "none" does not exist; vault list influxdb/roles shows those that do`)
}

// A reservation is given back by every mint that hands out no token, and by those alone.
func TestOnlyTokensThatAreHandedOutCount(t *testing.T) {
	s := newScene(t)
	s.put(t, "app", store.Role{ReadBuckets: []string{"metrics"}, MaxLeases: 1})
	narrowed := s.request("app")
	narrowed.Narrow = permission.Definition{WriteBuckets: []string{"metrics"}}
	_, err := s.Lease(t.Context(), s.storage, narrowed)
	require.EqualError(t, err, `write_buckets[0]: role "app" does not cover write:buckets/metrics in org acme`)

	s.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if r.Method == http.MethodPost {
			s.later.Store(int64(24*time.Hour + mount.DeadlineMargin))
		}
	})
	_, err = s.Lease(t.Context(), s.storage, s.request("app"))
	require.ErrorIs(t, err, errTooSlow)
	require.Len(t, s.server.Tokens(), 1, "the token of a lease that would have no time left is deleted")
	s.server.Intercept(nil)

	_, err = s.Lease(t.Context(), s.storage, s.request("app"))
	require.NoError(t, err)
	_, err = s.Lease(t.Context(), s.storage, s.request("app"))
	var full *problem.Error
	require.ErrorAs(t, err, &full)
	require.Equal(t, http.StatusTooManyRequests, full.Status)
	require.Len(t, s.server.Tokens(), 2)
}

func TestStaticTokensHaveNoCaller(t *testing.T) {
	s := newScene(t)
	minted, err := s.Mint(t.Context(), s.storage, Order{
		Name: "grafana", Role: &store.Role{ReadBuckets: []string{"metrics"}}, MountPath: "influxdb/", Kind: token.Static, Nonce: "0123456789abcdef",
	})
	require.NoError(t, err)
	require.Equal(t, "Read buckets metrics (vault influxdb/static-creds/grafana) [vault:v1:"+s.mount.UUID+":static:grafana:0123456789abcdef:0]", minted.Authorization.Description)
}

func TestStaleName(t *testing.T) {
	asked := []permission.Permission{{Action: permission.Read, Type: permission.Buckets, ID: "1", Name: "metrics"}, {Action: permission.Read, Type: permission.Buckets}, {Action: permission.Read, Type: "tasks", ID: "2"}}
	echo := func(name string) []influx.Permission {
		return []influx.Permission{{Action: "read", Resource: influx.Resource{Type: "buckets", ID: "1", Name: name}}}
	}
	for want, created := range map[string]influx.Authorization{
		"":                 {Org: "acme", User: "vault", Permissions: echo("metrics")},
		`org "acme"`:       {Org: "globex", User: "vault", Permissions: echo("metrics")},
		`user "vault"`:     {Org: "acme", User: "root", Permissions: echo("metrics")},
		`bucket "metrics"`: {Permissions: echo("alerts")},
	} {
		require.Equal(t, want, staleName("acme", "vault", asked, &created))
	}
	require.Equal(t, `bucket "metrics"`, staleName("", "", asked, &influx.Authorization{Org: "x", User: "y"}), "a bucket that is gone has no name")
}

// wideOrder is an order of 50 permissions on 25 buckets, and the connection that knows their names.
func wideOrder(tb testing.TB) (*connection.Connection, *Order) {
	s := newScene(tb)
	r := &store.Role{TokenType: permission.Custom}
	for i := range 25 {
		name := fmt.Sprintf("bucket-%d", i)
		s.server.AddBucket(s.server.OrgID(), name)
		r.ReadBuckets = append(r.ReadBuckets, name)
		r.WriteBuckets = append(r.WriteBuckets, name)
	}
	c, err := s.pool.Current(tb.Context(), s.storage, "influxdb/")
	require.NoError(tb, err)
	o := &Order{Name: "app", Role: r, MountPath: "influxdb/", Caller: s.request("app").Caller}
	resolveAndDescribe(tb, c, o)
	return c, o
}

func resolveAndDescribe(tb testing.TB, c *connection.Connection, o *Order) {
	scope, _, err := c.Scope(tb.Context(), o.Role)
	require.NoError(tb, err)
	_, wording, err := newResolutions().of(tb.Context(), c, o, scope, time.Now())
	require.NoError(tb, err)
	_, err = o.description(wording)
	require.NoError(tb, err)
}

// BenchmarkResolveAndDescribe is what a mint of a 50-permission role costs besides its one call.
func BenchmarkResolveAndDescribe(b *testing.B) {
	c, o := wideOrder(b)
	b.ReportAllocs()
	for b.Loop() {
		resolveAndDescribe(b, c, o)
	}
}

func TestResolvingAndDescribingStaysCheap(t *testing.T) {
	c, o := wideOrder(t)
	require.Less(t, testing.AllocsPerRun(100, func() { resolveAndDescribe(t, c, o) }), 50.0)
}
