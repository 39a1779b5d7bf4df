package e2e

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Twenty rotations at once, beside readers and writes of the role, come one after another, and leave one current and
// one previous token.
func TestRotationsAtOnceLeaveTwoStaticTokens(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.staticRole(t, "meter", nil)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/rotate-role/meter", nil)
				assert.NoError(t, err)
			})
			all.Go(func() {
				_, err := e.standing(t.Context(), "meter")
				assert.NoError(t, err)
			})
			all.Go(func() {
				_, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/static-roles/meter", bucketRole(nil))
				assert.NoError(t, err)
			})
		}
		all.Wait()
		now, role := e.stands(t, "meter"), e.staticRoleNow(t, "meter")
		assert.Equal(t, now.id, role["authorization_id"])
		assert.ElementsMatch(t, []string{now.id, fmt.Sprint(role["previous_authorization_id"])}, e.staticTokens(t))
		assertWorks(t, e.influx, now.token)
	})
}
