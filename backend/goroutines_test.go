package backend

import (
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A role is tried with a directory of its own, of which nothing may be left.
func TestWritingRolesLeavesNoGoroutines(t *testing.T) {
	m := newMount(t)
	m.connected()
	before := runtime.NumGoroutine()
	const writes = 200
	for range writes {
		m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	}
	require.Eventually(t, func() bool { return runtime.NumGoroutine() < before+writes/2 }, time.Minute, 10*time.Millisecond,
		"%d goroutines before", before)
}
