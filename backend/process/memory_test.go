package process

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memoryTarget are the garbage collector's target and limit as tuneMemory leaves them, with an environment.
func memoryTarget(t *testing.T, environment map[string]string) (percent int, limit int64) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	for name, value := range environment {
		t.Setenv(name, value)
	}
	const usual = 100
	percentBefore, limitBefore := debug.SetGCPercent(usual), debug.SetMemoryLimit(math.MaxInt64)
	defer func() {
		debug.SetGCPercent(percentBefore)
		debug.SetMemoryLimit(limitBefore)
	}()
	ticks := make(chan time.Time)
	close(ticks)
	tuneMemory(ticks)
	percent, limit = debug.SetGCPercent(usual), debug.SetMemoryLimit(-1)
	return percent, limit
}

func TestTheOperatorsMemorySettingsGoBefore(t *testing.T) {
	percent, limit := memoryTarget(t, map[string]string{"GOGC": "50"})
	require.Equal(t, 100, percent)
	require.Equal(t, int64(math.MaxInt64), limit)

	percent, limit = memoryTarget(t, map[string]string{"GOMEMLIMIT": "1GiB"})
	require.Equal(t, garbagePercent, percent)
	require.Equal(t, int64(math.MaxInt64), limit)

	percent, limit = memoryTarget(t, nil)
	require.Equal(t, garbagePercent, percent)
	require.GreaterOrEqual(t, limit, int64(memoryFloor))
	require.Less(t, limit, int64(math.MaxInt64))
}

// A process in which more is alive than the floor has room for is not left to collect without end.
func TestTheMemoryLimitGrowsWithWhatIsAlive(t *testing.T) {
	alive := make([]byte, 3*memoryFloor)
	runtime.GC()
	require.GreaterOrEqual(t, memoryLimit(), int64(4.5*memoryFloor))
	runtime.KeepAlive(alive)
}
