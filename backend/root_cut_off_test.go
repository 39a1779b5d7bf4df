package backend

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// rootScene is a mount on which a rotation of the root token fails somewhere.
type rootScene struct {
	*testMount
	server *influxtest.Server
	hashed bool
}

func newRootScene(t *testing.T, hashed bool) *rootScene {
	t.Helper()
	m := newMount(t)
	return &rootScene{testMount: m, server: m.connected(influxtest.HashedTokens(hashed)), hashed: hashed}
}

// rotate may fail: that is what it is for.
func (c *rootScene) rotate() error {
	given := map[string]any{}
	if c.hashed {
		given["authorization_id"] = c.server.RootID()
	}
	return c.try(logical.UpdateOperation, "config/rotate-root", given)
}

// recovers lets time pass and asserts that one root token is left, the stored one, that it works, and that nothing of
// the rotation lies about.
func (c *rootScene) recovers(t *testing.T, what string) {
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
		if st, ok := readStamp(token.Description); !ok || st.Kind != kindLease {
			left = append(left, id)
			require.Equal(t, c.stored().Token, token.Token, what)
		}
	}
	require.Len(t, left, 1, what)
	c.in(t).mint("app")
	require.NoError(t, c.try(logical.UpdateOperation, "config", map[string]any{"request_timeout": 11}), what)
}

// A PATCH that nobody saw the end of may undo a deletion: nothing is deleted before it is surely over.
func TestOldRootIsDeletedOnceItsProofIsOver(t *testing.T) {
	c := newRootScene(t, true)
	happen := c.server.Postpone(http.MethodPatch, authorizations)
	require.ErrorContains(t, c.rotate(), "the old one still works until it is proven")
	c.server.Intercept(nil)
	require.ErrorContains(t, c.rotate(), "it is finished by itself after")
	require.NoError(t, c.tick())
	happen()
	c.recovers(t, "a proof that ends late")
	require.NotContains(t, existing(c.server), c.server.RootID())
}

// A rotation that was cut off before its proof was done is left alone for a while: whoever began it may still be there.
func TestRotateRootWaitsForAProofThatWasCutOff(t *testing.T) {
	c := newRootScene(t, true)
	c.server.Refuse(http.MethodPatch, authorizations)
	require.ErrorContains(t, c.rotate(), "the old one still works until it is proven to be "+c.server.RootID())
	c.server.Intercept(nil)
	c.crash()
	require.Contains(t, c.rejected(logical.UpdateOperation, "config/rotate-root", nil), "it is finished by itself after")
	require.Contains(t, fmt.Sprint(c.read("check").Data["problems"]), "a rotation of the root token that began at")
	require.NoError(t, c.tick())
	require.NotEmpty(t, c.keys("intention/"), "too young")
	c.recovers(t, "")
	require.NotContains(t, existing(c.server), c.server.RootID())
	require.Equal(t, true, c.read("check").Data["healthy"])
}

// An operator who writes another root token in the middle of all that is obeyed, and nothing is left behind.
func TestAnotherRootTokenWhileARotationIsCutOff(t *testing.T) {
	c := newRootScene(t, false)
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
