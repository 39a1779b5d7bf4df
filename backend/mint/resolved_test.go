package mint

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// What a role was resolved to is used again as long as all that it was resolved from is the same, and not a moment longer.
func TestARoleIsResolvedAgainWhenWhatItNamesMayBeAnother(t *testing.T) {
	srv := influxtest.New(t)
	dial := func() *connection.Connection {
		c, err := connection.NewPool("test").Dial(&store.Connection{URL: srv.URL, Token: srv.RootToken()})
		require.NoError(t, err)
		return c
	}
	c, now := dial(), time.Now()
	scope := permission.Scope{OrgID: srv.OrgID(), OrgName: influxtest.OrgName}
	r := newResolutions()
	of := func(c *connection.Connection, o Order, scope permission.Scope, at time.Time) *permission.Permission {
		permissions, wording, err := r.of(t.Context(), c, &o, scope, at)
		require.NoError(t, err)
		require.Equal(t, "Read buckets metrics", wording)
		return &permissions[0]
	}
	role := &store.Role{TokenType: permission.Custom, ReadBuckets: []string{"metrics"}}
	o := Order{Name: "app", Role: role, Kind: token.Lease}
	first := of(c, o, scope, now)
	require.Same(t, first, of(c, o, scope, now.Add(resolvedFor)), "nothing changed")

	for says, again := range map[string]func() *permission.Permission{
		"a minute has passed":    func() *permission.Permission { return of(c, o, scope, now.Add(resolvedFor+1)) },
		"the clock was set back": func() *permission.Permission { return of(c, o, scope, now.Add(-1)) },
		"the role was written": func() *permission.Permission {
			written := *role
			return of(c, Order{Name: "app", Role: &written, Kind: token.Lease}, scope, now)
		},
		"the configuration was written": func() *permission.Permission { return of(dial(), o, scope, now) },
		"a name was found to be stale": func() *permission.Permission {
			c.Names.Forget(scope.OrgID, "", "", nil)
			return of(c, o, scope, now)
		},
		"the owner is another": func() *permission.Permission {
			other := scope
			other.OwnerID = srv.UserID()
			return of(c, o, other, now)
		},
	} {
		first := of(c, o, scope, now)
		require.NotSame(t, first, again(), says)
	}

	first = of(c, o, scope, now)
	for says, other := range map[string]Order{
		"a static role of the same name":        {Name: "app", Role: role, Kind: token.Static},
		"a role that is filled in for a caller": {Name: "app", Role: role, Kind: token.Lease, Templated: true},
	} {
		require.NotSame(t, first, of(c, other, scope, now), says)
		require.Same(t, first, of(c, o, scope, now), says)
	}

	narrowed := o
	narrowed.Narrow = permission.Definition{TokenType: permission.Custom, ReadBuckets: []string{"metrics"}}
	require.NotSame(t, first, of(c, narrowed, scope, now), "a request that narrows")
}
