package config

import (
	"context"
	"net/http"
	"sync"
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
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/root"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// fixture is the Writer of a mount.
type fixture struct {
	*Writer
	t       *testing.T
	storage logical.Storage
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	m := &mount.Mount{
		UUID: "9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77", Log: hclog.NewNullLogger(), Now: time.Now,
		System: &logical.StaticSystemView{DefaultLeaseTTLVal: time.Hour, MaxLeaseTTLVal: 24 * time.Hour},
	}
	pool, issuer, counter := connection.NewPool("test"), token.NewIssuer(m), &lease.Counter{}
	t.Cleanup(pool.CloseAll)
	revoker, verifier := revoke.New(m, pool, counter), verify.New(pool, issuer)
	roles := role.New(m, pool, issuer, revoker)
	statics := static.New(m, pool, roles, mint.New(m, pool, roles, issuer, revoker, counter), revoker)
	tidier := tidy.New(t.Context(), m, pool, issuer, revoker, statics, counter)
	return &fixture{
		Writer: New(m, pool, root.New(m, pool, issuer, revoker, verifier), verifier, statics, revoker, tidier, issuer, counter),
		t:      t,
		// As in a request: what is written is not answered from the cache.
		storage: store.InvalidatingStorage{Storage: &logical.InmemStorage{}, OnWrite: pool.Invalidate},
	}
}

// write connects the mount to a server with a token of it, and gives the tokens on another one up.
func (f *fixture) write(server *influxtest.Server, root string) error {
	_, err := f.Write(f.t.Context(), f.storage, Change{MountPath: "influxdb/", WithToken: true, AbandonPrevious: true, Apply: func(c *store.Connection) {
		c.URL, c.Token, c.Org = server.URL, root, influxtest.OrgName
		c.RequestTimeout, c.MaxOpenConnections = 60, 4
	}})
	return err
}

// create makes a live lease token on the current connection.
func (f *fixture) create() {
	f.t.Helper()
	c, err := f.pool.Current(f.t.Context(), f.storage, "influxdb/")
	require.NoError(f.t, err)
	_, err = f.issuer.Create(f.t.Context(), c, token.Spec{
		Kind: token.Lease, Role: "app", Nonce: token.NewNonce(), OrgID: c.Found.DefaultOrgID, Deadline: time.Now().Add(time.Hour),
		Permissions: []permission.Permission{{Action: permission.Read, Type: permission.Buckets, OrgID: c.Found.DefaultOrgID}},
	})
	require.NoError(f.t, err)
}

// count reads the list of a connection's tokens.
func (f *fixture) count(c *connection.Connection) error {
	_, err := f.tidier.Scan(context.Background(), f.storage, c, tidy.Options{})
	return err
}

func (f *fixture) live() int {
	live, _ := f.counter.Last(time.Now())
	return live
}

// After a switch to another InfluxDB the tokens of the old one do not count, also those in a list that was asked for
// before; those of the new one do.
func TestLiveTokensAfterASwitch(t *testing.T) {
	for name, before := range map[string]func(f *fixture){
		"by a write":              func(*fixture) {},
		"by a delete and a write": func(f *fixture) { require.NoError(f.t, f.Delete(f.t.Context(), f.storage)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			first, second := influxtest.New(t), influxtest.New(t)
			require.NoError(t, f.write(first, first.RootToken()))
			f.create()

			old, err := f.pool.Current(t.Context(), f.storage, "influxdb/")
			require.NoError(t, err)
			asked, release := make(chan struct{}), make(chan struct{})
			var once sync.Once
			first.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodGet && r.URL.Path == "/api/v2/authorizations" {
					once.Do(func() {
						close(asked)
						select {
						case <-release:
						case <-r.Context().Done():
						}
					})
				}
				next.ServeHTTP(w, r)
			})
			counted := make(chan error)
			go func() { counted <- f.count(old) }()
			<-asked
			first.Intercept(nil)
			before(f)
			require.NoError(t, f.write(second, second.RootToken()))
			close(release)
			require.NoError(t, <-counted)
			require.Zero(t, f.live())

			f.create()
			current, err := f.pool.Current(t.Context(), f.storage, "influxdb/")
			require.NoError(t, err)
			require.NoError(t, f.count(current))
			require.Equal(t, 1, f.live())
		})
	}
}

// An error that an operator could take for a change that was stored in part says that it was not.
func TestARejectedWriteSaysThatNothingWasStored(t *testing.T) {
	f := newFixture(t)
	server := influxtest.New(t)
	unknown := `token: InfluxDB at ` + server.URL + ` does not know it (401 "unauthorized access")`
	require.EqualError(t, f.write(server, "unknown"), unknown, "there is no stored one")
	_, weak := server.AddToken(server.OrgID(), server.UserID(), influxtest.InOrg("read", "buckets", server.OrgID()), influxtest.ByID("read", "orgs", server.OrgID()))
	require.EqualError(t, f.write(server, weak),
		`token lacks write:orgs/`+server.OrgID()+`/authorizations, needed to create tokens in org "acme"; see docs/root-token.md`)
	require.EqualError(t, f.write(server, ""), "token: missing; the root token of InfluxDB, see docs/root-token.md")
	stored, err := store.Config.Get(t.Context(), f.storage)
	require.NoError(t, err)
	require.Nil(t, stored)
	require.NoError(t, f.write(server, server.RootToken()))
	require.EqualError(t, f.write(server, "unknown"), unknown+"; the stored configuration is unchanged")
}
