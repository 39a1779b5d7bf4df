package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Static roles rotate by hand and by plan, each previous token for as long as its grace; one that was deleted by hand is
// replaced. What waits for Vault's ticks waits at once.
func TestStaticRolesOnInfluxDB3(t *testing.T) {
	t.Parallel()
	onInfluxDB3(t, func(t *testing.T, e *engine3) {
		t.Parallel()
		for name, more := range map[string]map[string]any{
			"hand": nil, "plan": {"rotation_period": "1m", "grace_period": briefGrace}, "lost": nil,
		} {
			e.write(t, "static-roles/"+name, adminRole(more))
			e.deleteStaticRole(t, name)
		}
		byHand, planned, lost := e.stands(t, "hand"), e.stands(t, "plan"), e.stands(t, "lost")
		answer, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/static-creds/hand")
		require.NoError(t, err)
		assert.NotContains(t, answer.Data, "org")
		e.server.assertWorks(t, byHand.token)
		years := time.Until(e.row(t, byHand.id).end(t)).Hours() / 24 / 365
		assert.InDelta(t, 10, years, 0.1, "it ends in ten years")

		next := e.rotate(t, "hand", briefGrace)
		e.server.assertWorks(t, next.token)
		e.server.assertWorks(t, byHand.token) // its grace
		ends, err := time.Parse(time.RFC3339, fmt.Sprint(e.staticRoleNow(t, "hand")["previous_ends"]))
		require.NoError(t, err)
		graceEnds := e.server.watch(t, byHand.token)

		e.server.remove(t, lost.id)
		assert.Equal(t, "done", e.tidy(t, nil)["state"])
		healed := e.stands(t, "lost")
		assert.NotEqual(t, lost.token, healed.token, "it is replaced")
		e.server.assertWorks(t, healed.token)

		planned = e.awaitOther(t, "plan", planned)
		e.server.assertWorks(t, planned.token)
		died := <-graceEnds
		require.NotZero(t, died, "the previous token never died")
		assert.False(t, died.Before(ends), "it died %s early", ends.Sub(died))
		e.server.assertWorks(t, next.token)
		at := e.rotate(t, "hand", "0")
		e.server.assertRefused(t, next.token)
		assert.Equal(t, []string{at.id}, e.held(t, "static:hand:"))
	})
}
