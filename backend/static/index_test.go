package static

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// What does not fit into one minute is left for the next, the oldest first.
func TestDueRolesComeOldestFirst(t *testing.T) {
	var x index
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, minutes := range []time.Duration{3, 1, 2, -1} {
		r := &store.StaticRole{Current: store.StaticToken{AuthorizationID: "id", Connection: "here"}}
		r.NextRotation = now.Add(-minutes * time.Minute)
		x.note(fmt.Sprintf("role-%d", i), r)
	}
	x.note("by hand", &store.StaticRole{Current: store.StaticToken{Connection: "here"}})
	require.Equal(t, []string{"role-0", "role-2", "role-1"}, x.due(now, "here"))
	require.Len(t, x.due(now, "elsewhere"), 5, "a token of another connection is to be replaced")
	require.Len(t, x.due(now, ""), 3)
}
