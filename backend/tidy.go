package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// The states of the reaper. The running one never outlasts its run.
const (
	tidyIdle    = "idle"
	tidyRunning = "running"
	tidyDone    = "done"
	tidyFailed  = "failed"
	// tidyBlind: the root token was not shown all tokens, so that nothing is known.
	tidyBlind     = "blind"
	tidyCancelled = "cancelled"
)

// When the reaper runs by itself.
const (
	defaultTidyInterval = 3600 // seconds
	// firstTidy is after a start: Vault has more to do then.
	firstTidy = 3 * time.Minute
	// tidyJitter keeps mounts apart that were started together: up to this part of the time is added.
	tidyJitter = 0.1
)

// reaper is the state of tidy.
type reaper struct {
	timetable
	mu       sync.Mutex
	state    string
	started  time.Time
	finished time.Time
	err      error
	pass     *pass
}

// timetable is when something runs by itself.
type timetable struct {
	planning sync.Mutex
	// next is zero until the first tick.
	next time.Time
}

// begin marks a run as started, unless one is under way.
func (r *reaper) begin(p *pass, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state == tidyRunning {
		return false
	}
	r.state, r.started, r.finished, r.err, r.pass = tidyRunning, now, time.Time{}, nil, p
	return true
}

func (r *reaper) end(err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished, r.err = now, err
	var blind *errBlind
	switch {
	case err == nil:
		r.state = tidyDone
	case errors.As(err, &blind):
		r.state = tidyBlind
	case errors.Is(err, context.Canceled):
		r.state = tidyCancelled
	default:
		r.state = tidyFailed
	}
}

// problem says what the last run could not do, or "".
func (r *reaper) problem() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.state {
	case tidyBlind:
		return fmt.Sprintf("tidy is blind, so that tokens past their deadline stay in InfluxDB: %v", r.err)
	case tidyFailed:
		return fmt.Sprintf("the last run of tidy failed at %s: %v", rfc3339(r.finished), r.err)
	}
	return ""
}

// due reports whether an automatic run is due, and plans the next one.
func (t *timetable) due(now time.Time, interval time.Duration) bool {
	t.planning.Lock()
	defer t.planning.Unlock()
	switch {
	case interval <= 0:
		return false
	case t.next.IsZero(), t.next.After(now.Add(interval + maxJitter(interval))): // or planned with a longer interval
		t.next = now.Add(jittered(min(firstTidy, interval)))
		return false
	case now.Before(t.next):
		return false
	}
	t.next = now.Add(jittered(interval))
	return true
}

func jittered(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*float64(maxJitter(d)))
}

func maxJitter(d time.Duration) time.Duration { return time.Duration(tidyJitter * float64(d)) }

// tidy starts a run in the background; false means that one is under way. It ends with the mount.
func (b *backend) tidy(s logical.Storage, e *endpoint, p *pass) bool {
	if !b.reaper.begin(p, b.now()) {
		return false
	}
	go func() {
		var err error
		defer func() { b.reaper.end(err, b.now()) }()
		defer b.recovered(&err)
		err = b.pass(b.lifetime, s, e, p)
		if err != nil { // the root token may have been rotated meanwhile
			if fresh := b.replacement(b.lifetime, s, e); fresh != nil {
				err = b.pass(b.lifetime, s, fresh, p)
			}
		}
		if err != nil {
			b.log.Warn("tidy did not finish", "error", err)
		}
	}()
	return true
}

// tidyWhenDue starts an automatic run on the current connection.
func (b *backend) tidyWhenDue(ctx context.Context, s logical.Storage) error {
	config, err := store.GetConfig(ctx, s)
	if err != nil || config == nil {
		return err
	}
	if !b.reaper.due(b.now(), time.Duration(config.TidyInterval)*time.Second) {
		return nil
	}
	e, err := b.endpoints.open(config)
	if err != nil {
		return err
	}
	b.tidy(s, e, &pass{reap: b.mountUUID})
	return nil
}
