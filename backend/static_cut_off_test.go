package backend

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// staticAct is something that is done to a static role, and may be cut off anywhere.
type staticAct struct {
	prepare func(c *staticScene)
	act     func(c *staticScene) error
}

// staticScene is a mount with the static role kept, on which something fails.
type staticScene struct {
	*testMount
	server *influxtest.Server
}

func (c *staticScene) request(op logical.Operation, path string, data map[string]any) error {
	return c.try(op, path, data)
}

func hasStatic(c *staticScene) {
	c.write("static-roles/kept", staticFields(map[string]any{"rotation_period": "24h"}))
}

func hasPrevious(c *staticScene) {
	hasStatic(c)
	c.write("rotate-role/kept", nil)
}

var staticActs = map[string]staticAct{
	"created": {func(*staticScene) {}, func(c *staticScene) error {
		return c.request(logical.UpdateOperation, "static-roles/kept", staticFields(map[string]any{"rotation_period": "24h"}))
	}},
	"rotated": {hasStatic, func(c *staticScene) error {
		return c.request(logical.UpdateOperation, "rotate-role/kept", nil)
	}},
	"rotated within the grace": {hasPrevious, func(c *staticScene) error {
		return c.request(logical.UpdateOperation, "rotate-role/kept", nil)
	}},
	"rotated without grace": {hasStatic, func(c *staticScene) error {
		return c.request(logical.UpdateOperation, "rotate-role/kept", map[string]any{"grace_period": 0})
	}},
	"rotated by plan": {hasPrevious, func(c *staticScene) error {
		c.clock.advance(24 * time.Hour)
		return c.tick()
	}},
	"permissions changed": {hasStatic, func(c *staticScene) error {
		return c.request(logical.PatchOperation, "static-roles/kept", map[string]any{"write_buckets": ""})
	}},
	"plan changed": {hasPrevious, func(c *staticScene) error {
		return c.request(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_period": "12h"})
	}},
	"deleted": {hasPrevious, func(c *staticScene) error {
		return c.request(logical.DeleteOperation, "static-roles/kept", nil)
	}},
}

// recovers lets time pass and asserts that the token in storage works, and that nothing else bears the role's stamp but
// the previous one, while its grace lasts.
func (c *staticScene) recovers(t *testing.T, what string) {
	t.Helper()
	c.t = t
	for range 3 {
		c.clock.advance(nonceAge + time.Second)
		_ = c.tick() // says what is still pending
	}
	require.Empty(t, c.keys("intention/"), what)
	require.Empty(t, c.pendingIDs(), what)
	role, err := store.StaticRoles.Get(t.Context(), c.storage.Storage, "kept")
	require.NoError(t, err)
	known := map[string]bool{}
	if role != nil {
		known[role.Current.AuthorizationID] = true
		require.Equal(t, role.Current.Token, c.readStatic("kept")["token"])
		require.Equal(t, http.StatusOK, finds(t, c.server, role.Current.Token, role.Current.AuthorizationID), "%s: the stored token works", what)
		if role.Previous != nil {
			known[role.Previous.AuthorizationID] = true
		}
	}
	for id := range staticTokens(c.server) {
		require.True(t, known[id], "%s: nobody knows of %s", what, id)
	}
	if role == nil {
		return
	}
	c.clock.advance(time.Hour)
	require.NoError(t, c.tick())
	require.Len(t, staticTokens(c.server), 1, what)
	c.write("rotate-role/kept", map[string]any{"grace_period": 0})
	require.Len(t, staticTokens(c.server), 1, what)
	c.write("tidy", nil)
	require.Equal(t, tidyDone, c.tidied()["state"], what)
	require.Len(t, live(c.server), 1, what)
}

// finds is 200 where a server knows a token under its ID.
func finds(t *testing.T, server *influxtest.Server, token, id string) int {
	t.Helper()
	found, known := existing(server)[id]
	if !known || found.Token != token || found.Status != "active" {
		return http.StatusUnauthorized
	}
	return http.StatusOK
}

func newStaticScene(t *testing.T, act staticAct) *staticScene {
	t.Helper()
	m := newMount(t)
	c := &staticScene{testMount: m, server: influxtest.New(t)}
	c.configure(c.server, map[string]any{"tidy_interval": 0})
	act.prepare(c)
	c.crash() // everything has to be read again
	return c
}

// Both at once: InfluxDB made the token and its answer was lost, and storage takes nothing more. Only the intention
// knows of the token then, and it is enough.
func TestStaticRoleCutOffInBoth(t *testing.T) {
	for _, key := range []string{"pending/", "intention/", "static-role/"} {
		t.Run(key, func(t *testing.T) {
			c := newStaticScene(t, staticActs["rotated"])
			c.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Method == http.MethodPost {
					c.storage.failing(func(op, at string) bool {
						return op != "get" && op != "list" && strings.HasPrefix(at, key)
					})
					faulttest.Lost(w, r, next)
					return
				}
				next.ServeHTTP(w, r)
			})
			require.Error(t, c.request(logical.UpdateOperation, "rotate-role/kept", nil))
			require.Len(t, staticTokens(c.server), 2)
			c.server.Intercept(nil)
			c.storage.failing(nil)
			c.crash()
			c.recovers(t, key)
		})
	}
}

// putting runs before ahead of each write of a static role.
type putting struct {
	logical.Storage
	before func()
}

func (p putting) Put(ctx context.Context, entry *logical.StorageEntry) error {
	if strings.HasPrefix(entry.Key, store.StaticRolePrefix) {
		p.before()
	}
	return p.Storage.Put(ctx, entry)
}

// A mount that is reloaded in the middle of a rotation: the next process takes it back, also where the old one has
// looked for the last time before it writes.
func TestStaticRotationOfAReloadedMount(t *testing.T) {
	if overGRPC {
		t.Skip("two backends on one storage: over the wire there is one")
	}
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late %t", late), func(t *testing.T) {
			c := newStaticScene(t, staticActs["rotated"])
			next := c.in(t)
			next.storage = &faultyStorage{Storage: c.storage.Storage}
			if late {
				c.storage.Storage = putting{c.storage.Storage, func() { next.takesOver(t) }}
			} else {
				c.server.Intercept(func(w http.ResponseWriter, r *http.Request, h http.Handler) {
					h.ServeHTTP(w, r)
					if r.Method == http.MethodPost {
						next.takesOver(t)
					}
				})
			}
			err := c.request(logical.UpdateOperation, "rotate-role/kept", nil)
			require.Equal(t, late, err == nil)
			c.server.Intercept(nil)
			next.crash()
			(&staticScene{testMount: next, server: c.server}).recovers(t, "")
		})
	}
}

// takesOver is a process that starts and looks after what was cut off.
func (m *testMount) takesOver(t *testing.T) {
	created, err := m.factory(context.WithoutCancel(t.Context()), m.config())
	if err != nil {
		t.Error(err)
		return
	}
	m.vault = created
	if err := m.tick(); err != nil {
		t.Error(err)
	}
}
