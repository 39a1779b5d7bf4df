// Package background runs work that nobody waits for: one run at a time, when it is due, with a pause after a failure,
// and without a panic that would end the process of all mounts.
package background

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/errgroup"
)

// ErrPanicked is all that a caller learns of a panic: its value could hold anything.
var ErrPanicked = errors.New("internal error in the InfluxDB secrets engine; Vault's log has the details")

// Recover turns a panic into ErrPanicked and logs where it came from. Every entry point and every goroutine defers it.
func Recover(log hclog.Logger, err *error) {
	if panicked := recover(); panicked != nil {
		log.Error("panic", "type", fmt.Sprintf("%T", panicked), "stack", string(debug.Stack()))
		*err = ErrPanicked
	}
}

// Each calls do for each of some things, so many at once, and returns the first error. A panic is logged, and ends that call
// alone.
func Each[T any](log hclog.Logger, atOnce int, things []T, do func(T) error) error {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, thing := range things {
		group.Go(func() (err error) {
			defer Recover(log, &err)
			return do(thing)
		})
	}
	return group.Wait()
}

// Job lets one run of its work be under way at a time. Its zero value is ready.
type Job struct{ running atomic.Bool }

// Start runs the work in a goroutine, unless a run is under way. A failure is logged: the next minute tries again.
func (j *Job) Start(log hclog.Logger, run func() error) {
	if !j.running.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer j.running.Store(false)
		var err error
		defer Recover(log, &err)
		if err = run(); err != nil {
			log.Warn("background work failed; the next minute tries again", "error", err)
		}
	}()
}

// Running reports whether a run is under way.
func (j *Job) Running() bool { return j.running.Load() }

const (
	// firstRun is how long after a start something runs first: Vault has more to do then.
	firstRun = 3 * time.Minute
	// jitter keeps mounts apart that were started together: up to this part of the time is added.
	jitter = 0.1
	// halfTick is half the time between two of Vault's ticks, which come once a minute. The tick that comes closest takes
	// what is due: one that only took what is overdue would make two minutes of an interval of one.
	halfTick = 30 * time.Second
)

// Timer says when something runs by itself. Its zero value is ready: the first run is some minutes after the first
// question.
type Timer struct {
	mu   sync.Mutex
	next time.Time
}

// Due reports whether a run is due, and plans the next one. An interval of 0 or less is never due.
func (t *Timer) Due(now time.Time, interval time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case interval <= 0:
		return false
	case t.next.IsZero(), t.next.After(now.Add(interval + maxJitter(interval))): // or planned with a longer interval
		t.next = now.Add(jittered(min(firstRun, interval)))
		return false
	case now.Add(halfTick).Before(t.next):
		return false
	}
	t.next = now.Add(jittered(interval))
	return true
}

// Restart plans the next run as if one began now.
func (t *Timer) Restart(now time.Time, interval time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next = now.Add(jittered(interval))
}

func jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*float64(maxJitter(d)))
}

func maxJitter(d time.Duration) time.Duration { return time.Duration(jitter * float64(d)) }

// The pause after a failure doubles from the first to the last, and is spread by up to a half so that many do not come
// back together.
const (
	firstPause = time.Minute
	lastPause  = 30 * time.Minute
)

// Backoff makes the pause between failed attempts longer, as far as this process knows of them. Its zero value is ready.
type Backoff struct {
	mu     sync.Mutex
	failed int
	retry  time.Time
	err    string
}

// Ready reports whether the pause is over.
func (b *Backoff) Ready(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !now.Before(b.retry)
}

// Done notes how an attempt ended; a success ends the pause.
func (b *Backoff) Done(err error, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.failed, b.retry, b.err = 0, time.Time{}, ""
		return
	}
	pause := min(firstPause<<min(b.failed, 10), lastPause)
	b.failed++
	b.retry, b.err = now.Add(pause+rand.N(pause/2)), err.Error()
}

// LastError is why the last attempt failed; "" when it did not.
func (b *Backoff) LastError() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// Once loads something once, while others wait for it. Unlike sync.Once it forgets a failure, can be reset, and whoever
// waits may give up. Its zero value is ready.
type Once struct {
	mu      sync.Mutex
	loaded  bool
	resets  int
	loading chan struct{}
}

// Do calls load unless it has succeeded since the last Reset. It holds no lock meanwhile. A load that was reset while it
// ran is answered, and made again by the next call: what it read may be old.
func (o *Once) Do(ctx context.Context, load func() error) error {
	o.mu.Lock()
	if o.loading == nil {
		o.loading = make(chan struct{}, 1)
	}
	loaded, loading := o.loaded, o.loading
	o.mu.Unlock()
	if loaded { // whoever's context has ended is not refused what is there
		return nil
	}
	select {
	case loading <- struct{}{}:
		defer func() { <-loading }()
	case <-ctx.Done():
		return ctx.Err()
	}
	o.mu.Lock()
	loaded, resets := o.loaded, o.resets
	o.mu.Unlock()
	if loaded {
		return nil
	}
	if err := load(); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loaded = o.resets == resets
	return nil
}

// Loaded reports whether a load has succeeded since the last Reset.
func (o *Once) Loaded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loaded
}

// Reset has the next Do load again.
func (o *Once) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.loaded = false
	o.resets++
}
