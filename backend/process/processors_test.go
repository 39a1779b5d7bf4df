package process

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// processorsOf is on how many processors limitProcessors leaves a process that may use some.
func processorsOf(t *testing.T, usable int, environment string) int {
	t.Setenv("GOMAXPROCS", environment)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(usable))
	limitProcessors()
	return runtime.GOMAXPROCS(0)
}

func TestTheProcessRunsOnAQuarterOfTheProcessors(t *testing.T) {
	for usable, want := range map[int]int{1: 1, 2: 1, 4: 1, 7: 1, 8: 2, 64: 16} {
		require.Equal(t, want, processorsOf(t, usable, ""), "of %d", usable)
	}
	require.Equal(t, 8, processorsOf(t, 8, "8"), "the operator's setting goes before")
}
