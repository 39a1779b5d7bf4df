package backend

import (
	"bytes"
	"sync"
	"time"
)

// clock is real time, moved by a test.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
	// stopped is where it stands still, if it does.
	stopped time.Time
	// zone is where it hangs; nil means here.
	zone *time.Location
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().Add(c.offset)
	if !c.stopped.IsZero() {
		now = c.stopped
	}
	if c.zone != nil {
		now = now.In(c.zone)
	}
	return now
}

// set moves it to a moment.
func (c *clock) set(to time.Time) { c.advance(to.Sub(c.now())) }

// stop lets it stand still at a moment.
func (c *clock) stop(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = at
}

// freeze lets it stand still where it is, but for advance: a slow machine does not move it.
func (c *clock) freeze() { c.stop(c.now()) }

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
	if !c.stopped.IsZero() {
		c.stopped = c.stopped.Add(d)
	}
}

// lockedBuffer takes log lines from any goroutine.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
