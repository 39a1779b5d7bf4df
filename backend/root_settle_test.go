package backend

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// cutOff is a rotation in which something fails, and what comes after.
type cutOff struct {
	*mount
	server *influxtest.Server
	hashed bool
}

func newCutOff(t *testing.T, hashed bool) *cutOff {
	t.Helper()
	m := newMount(t)
	return &cutOff{mount: m, server: m.connected(influxtest.HashedTokens(hashed)), hashed: hashed}
}

// rotate may fail: that is what it is for.
func (c *cutOff) rotate() error {
	given := map[string]any{}
	if c.hashed {
		given["authorization_id"] = c.server.RootID()
	}
	return c.try(logical.UpdateOperation, "config/rotate-root", given)
}

// settles lets time pass and asserts that one root token is left, the stored one, that it works, and that nothing of
// the rotation lies about.
func (c *cutOff) settles(t *testing.T, what string) {
	t.Helper()
	c.in(t).mint("app") // at once, whatever happened
	for range 3 {
		c.clock.advance(intentionAge + nonceAge)
		_ = c.tick() // says what is still pending
		c.tidied()
	}
	require.Empty(t, c.keys("intention/"), what)
	require.Empty(t, c.pendingIDs(), what)
	var left []string
	for id, token := range existing(c.server) {
		require.Equal(t, "active", token.Status, what)
		if st, ok := parseStamp(token.Description); !ok || st.kind != kindLease {
			left = append(left, id)
			require.Equal(t, c.stored().Token, token.Token, what)
		}
	}
	require.Len(t, left, 1, what)
	c.in(t).mint("app")
	require.NoError(t, c.try(logical.UpdateOperation, "config", map[string]any{"request_timeout": 11}), what)
}

func TestRotateRootCutOffInStorage(t *testing.T) {
	for _, hashed := range []bool{true, false} {
		for _, way := range []string{failsOnce, failsOnward, failsLate} {
			for nth, over := 1, false; !over; nth++ {
				t.Run(fmt.Sprintf("hashed %t/%s/%d", hashed, way, nth), func(t *testing.T) {
					c := newCutOff(t, hashed)
					storage := &nthStorage{Storage: c.storage.Storage}
					c.storage.Storage = storage
					storage.arm(way, nth)
					err := c.rotate()
					failed := storage.disarm()
					over = len(failed) == 0
					if over {
						require.NoError(t, err)
					}
					c.crash()
					c.settles(t, strings.Join(failed, ", "))
				})
			}
		}
	}
}

// A PATCH that nobody saw the end of may undo a deletion: nothing is deleted before it is surely over.
func TestOldRootIsDeletedOnceItsProofIsOver(t *testing.T) {
	c := newCutOff(t, true)
	happen := c.server.Postpone(http.MethodPatch, authorizations)
	require.ErrorContains(t, c.rotate(), "the old one still works until it is proven")
	c.server.Intercept(nil)
	require.ErrorContains(t, c.rotate(), "it is finished by itself after")
	require.NoError(t, c.tick())
	happen()
	c.settles(t, "a proof that ends late")
	require.NotContains(t, existing(c.server), c.server.RootID())
}

// nthFault makes the n-th request from now on fail, or all from there on.
type nthFault struct {
	mu     sync.Mutex
	n      int
	onward bool
	failed string
	fault  influxtest.Interceptor
}

func (f *nthFault) intercept(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f.mu.Lock()
	f.n--
	fails := f.n == 0 || f.onward && f.n < 0
	if fails && f.failed == "" {
		f.failed = r.Method + " " + r.URL.Path
	}
	f.mu.Unlock()
	if fails {
		f.fault(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// hit is the first request that failed; "" for none.
func (f *nthFault) hit() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func TestRotateRootCutOffInInfluxDB(t *testing.T) {
	faults := map[string]influxtest.Interceptor{"refused": influxtest.Refused, "lost": influxtest.Lost}
	for _, hashed := range []bool{true, false} {
		for name, fault := range faults {
			for _, onward := range []bool{false, true} {
				for nth, over := 1, false; !over; nth++ {
					t.Run(fmt.Sprintf("hashed %t/%s/onward %t/%d", hashed, name, onward, nth), func(t *testing.T) {
						c := newCutOff(t, hashed)
						f := &nthFault{n: nth, onward: onward, fault: fault}
						c.server.Intercept(f.intercept)
						_ = c.rotate()
						c.server.Intercept(nil)
						over = f.hit() == ""
						if nth%2 == 0 { // with the process gone as well, or not
							c.crash()
						}
						c.settles(t, f.hit())
					})
				}
			}
		}
	}
}

// A rotation that was cut off before its proof was done is left alone for a while: whoever began it may still be there.
func TestRotateRootWaitsForAProofThatWasCutOff(t *testing.T) {
	c := newCutOff(t, true)
	c.server.Refuse(http.MethodPatch, authorizations)
	require.ErrorContains(t, c.rotate(), "the old one still works until it is proven to be "+c.server.RootID())
	c.server.Intercept(nil)
	c.crash()
	require.Contains(t, c.rejected(logical.UpdateOperation, "config/rotate-root", nil), "it is finished by itself after")
	require.Contains(t, fmt.Sprint(c.read("check").Data["problems"]), "a rotation of the root token that began at")
	require.NoError(t, c.tick())
	require.NotEmpty(t, c.keys("intention/"), "too young")
	c.settles(t, "")
	require.NotContains(t, existing(c.server), c.server.RootID())
	require.Equal(t, true, c.read("check").Data["healthy"])
}

// An operator who writes another root token in the middle of all that is obeyed, and nothing is left behind.
func TestAnotherRootTokenWhileARotationIsCutOff(t *testing.T) {
	c := newCutOff(t, false)
	c.storage.failOn("delete", "intention/")
	_ = c.rotate()
	c.server.Refuse(http.MethodDelete, authorizations)
	c.storage.failing(nil)
	c.server.Intercept(nil)
	id, value := c.server.AddToken(c.server.OrgID(), c.server.UserID(), influxtest.OperatorPermissions()...)
	c.write("config", map[string]any{"token": value})
	require.Equal(t, value, c.stored().Token)
	c.clock.advance(intentionAge)
	require.NoError(t, c.tick())
	require.Empty(t, c.keys("intention/"))
	require.Contains(t, existing(c.server), id)
	require.NotContains(t, existing(c.server), c.server.RootID())
}
