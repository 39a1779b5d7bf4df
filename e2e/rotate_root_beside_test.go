package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// Twenty rotations at once, beside writes of the configuration and readers of creds, come one after another, and leave
// one root token, which works.
func TestRotationsAtOnceLeaveOneRootToken(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		r := newRooted(t, influx, smallest(influx))
		r.rotate(t) // from here on its ID is known
		reading := r.startReaders(t, 5)
		var all sync.WaitGroup
		failures := make(chan error, 40)
		for i := range 20 {
			all.Go(func() {
				_, err := r.vault.Logical().WriteWithContext(t.Context(), r.path+"/config/rotate-root", nil)
				failures <- err
			})
			all.Go(func() {
				fields := map[string]any{"external_url": fmt.Sprintf("http://reader-%d.example", i)}
				_, err := r.vault.Logical().WriteWithContext(t.Context(), r.path+"/config", fields)
				failures <- err
			})
		}
		all.Wait()
		close(failures)
		for err := range failures {
			assert.NoError(t, err)
		}
		reading.assertNeverFailed(t)
		assert.ElementsMatch(t, []string{r.sibling.ID, r.config(t)["authorization_id"].(string)}, ids(r.ofOwner(t)))
		assertWorks(t, influx, r.mint(t, "app").token)
		assert.Empty(t, r.problems(t))
	})
}

// problems are what check finds wrong.
func (e *engine) problems(t *testing.T) []any {
	t.Helper()
	checked, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/check")
	require.NoError(t, err)
	problems, ok := checked.Data["problems"].([]any)
	require.True(t, ok)
	return problems
}

// planLimit is how long a planned rotation may take: Vault ticks once a minute.
const planLimit = 5 * time.Minute

// With a plan the root token is rotated by Vault's own tick, which may come a little before its time.
func TestRootTokenIsRotatedByPlan(t *testing.T) {
	influx := newInflux(t, lab.InfluxOptions{})
	r := newRooted(t, influx, smallest(influx))
	r.write(t, "config", map[string]any{"authorization_id": r.root.ID, "rotation_period": "1m"})
	before := r.mint(t, "app")
	planned := r.at(t, "next_vault_rotation")
	t.Parallel() // its minute passes while the other tests run
	awaitMoment(t, planned)
	require.NoError(t, lab.Await(t.Context(), planLimit, "the planned rotation", func(context.Context) error {
		if accepted(t, influx, r.root.Token) != http.StatusUnauthorized {
			return errors.New("the first root token works still")
		}
		return nil
	}))
	early := planned.Sub(r.at(t, "last_vault_rotation"))
	assert.LessOrEqual(t, early, takenEarly, "it came too early")

	r.write(t, "config", map[string]any{"disable_automated_rotation": true})
	assert.Empty(t, r.config(t)["next_vault_rotation"])
	assert.ElementsMatch(t, []string{r.sibling.ID, before.id, r.config(t)["authorization_id"].(string)}, ids(r.ofOwner(t)))
	assert.Empty(t, r.problems(t))
	assertWorks(t, r.influx, before.token)
	assertWorks(t, r.influx, r.mint(t, "app").token)
}

// at is a time that config answers.
func (e *engine) at(t *testing.T, field string) time.Time {
	t.Helper()
	text, ok := e.config(t)[field].(string)
	require.True(t, ok, "%s is a string", field)
	moment, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err, field)
	return moment
}
