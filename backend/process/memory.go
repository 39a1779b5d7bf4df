package process

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// How the process collects garbage. A mint leaves garbage and next to nothing that stays, so that with the usual target, a
// heap of twice what is alive, a process of a few megabytes collects all the time: five times as much was measured to
// take a sixth of its processor time less, for 11 MB more. The memory grows so only up to memoryFloor. Where more is alive
// than leaves half as much again below that, half as much again is what there is room for: with 100,000 tokens and 10,000
// roles, some 22 MB, twice as much came to 82 MB in all, for a few hundredths of a mint's processor time. A limit that
// stood still would have the process collect without end.
const (
	garbagePercent = 400
	memoryFloor    = 40 << 20
)

// memoryInterval is how often tuneMemory is to look how much is alive.
const memoryInterval = time.Minute

// tuneMemory sets the target of the garbage collector and a soft limit for the memory of this process, and has the limit
// follow what is alive at each tick. What the environment variables GOGC and GOMEMLIMIT say goes before.
func tuneMemory(ticks <-chan time.Time) {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(garbagePercent)
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(memoryLimit())
	for range ticks {
		debug.SetMemoryLimit(memoryLimit())
	}
}

// memoryLimit is half as much again as what is alive, and all that is not the heap; at least memoryFloor.
func memoryLimit() int64 {
	samples := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/released:bytes"}, {Name: "/memory/classes/heap/unused:bytes"},
	}
	metrics.Read(samples)
	live, besides := samples[0].Value.Uint64(), samples[1].Value.Uint64()
	for _, heap := range samples[2:] {
		besides -= heap.Value.Uint64()
	}
	return int64(max(live+live/2+besides, memoryFloor))
}
