package background

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"
)

func TestJobRunsOnceAtATime(t *testing.T) {
	var (
		j    Job
		runs atomic.Int32
	)
	began, release := make(chan struct{}), make(chan struct{})
	j.Start(hclog.NewNullLogger(), func() error {
		runs.Add(1)
		close(began)
		<-release
		return nil
	})
	<-began
	require.True(t, j.Running())
	j.Start(hclog.NewNullLogger(), func() error { runs.Add(1); return nil })
	close(release)
	require.Eventually(t, func() bool { return !j.Running() }, time.Minute, time.Millisecond)
	require.EqualValues(t, 1, runs.Load())
}

func TestPanicEndsItsRunAlone(t *testing.T) {
	var (
		j   Job
		log strings.Builder
	)
	done := make(chan struct{})
	j.Start(hclog.New(&hclog.LoggerOptions{Output: &log}), func() error {
		defer close(done)
		panic("with a secret in it")
	})
	<-done
	require.Eventually(t, func() bool { return !j.Running() }, time.Minute, time.Millisecond)
	require.Contains(t, log.String(), "panic")
	require.NotContains(t, log.String(), "secret in it")
	j.Start(hclog.NewNullLogger(), func() error { return nil })
}

var errFailed = errors.New("failed")

func TestOnce(t *testing.T) {
	var o Once
	loads := 0
	load := func() error { loads++; return nil }
	require.ErrorIs(t, o.Do(t.Context(), func() error { return errFailed }), errFailed)
	require.False(t, o.Loaded(), "a failure is forgotten")
	require.NoError(t, o.Do(t.Context(), load))
	require.NoError(t, o.Do(t.Context(), load))
	require.Equal(t, 1, loads)
	o.Reset()
	require.NoError(t, o.Do(t.Context(), func() error { o.Reset(); return load() }))
	require.False(t, o.Loaded(), "it was reset while it ran")
	require.NoError(t, o.Do(t.Context(), load))
	require.Equal(t, 3, loads)
}

func TestOnceWaiterGivesUp(t *testing.T) {
	var o Once
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, o.Do(t.Context(), func() error {
		require.ErrorIs(t, o.Do(gone, func() error { return nil }), context.Canceled)
		return nil
	}))
	require.True(t, o.Loaded())
}

func TestBackoff(t *testing.T) {
	var b Backoff
	now := time.Now()
	require.True(t, b.Ready(now))
	pause := time.Duration(0)
	for range 20 {
		b.Done(errFailed, now)
		require.Equal(t, "failed", b.LastError())
		require.False(t, b.Ready(now.Add(firstPause-1)))
		pause = b.retry.Sub(now)
	}
	require.GreaterOrEqual(t, pause, lastPause)
	require.Less(t, pause, lastPause*3/2)
	b.Done(nil, now)
	require.True(t, b.Ready(now))
	require.Empty(t, b.LastError())
}

// An interval of a minute is one run a tick, whatever is added to it.
func TestTimerIsDueAtTheClosestTick(t *testing.T) {
	for _, interval := range []time.Duration{time.Minute, time.Hour} {
		var timer Timer
		runs, now := 0, time.Now()
		for range 20 * 60 {
			now = now.Add(time.Minute)
			if timer.Due(now, interval) {
				runs++
			}
		}
		ideal := int(20 * time.Hour / interval)
		require.LessOrEqual(t, runs, ideal)
		require.GreaterOrEqual(t, runs, int(float64(ideal)/(1+jitter))-1)
		if interval == time.Minute {
			require.GreaterOrEqual(t, runs, ideal-2)
		}
	}
}
