// Package tidy looks through all tokens of an InfluxDB. It deletes those of ours that nobody holds a lease for, finds
// out what became of creations of unknown outcome, and counts the live ones.
package tidy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// DefaultInterval is how often tidy runs by itself where nothing else is written, in seconds.
const DefaultInterval = 3600

// The states of the last run. No run outlasts its process.
const (
	Idle    = "idle"
	Running = "running"
	Done    = "done"
	Failed  = "failed"
	// Blind: the root token was not shown all tokens, so that nothing is known.
	Blind = "blind"
	// Skewed: our clock and InfluxDB's differ, so that no token is known to be past its deadline.
	Skewed    = "skewed"
	Cancelled = "cancelled"
)

// Tidier scans the tokens of the mount's connections.
type Tidier struct {
	mount   *mount.Mount
	pool    *connection.Pool
	issuer  *token.Issuer
	revoker *revoke.Revoker
	statics *static.Roles
	counter *lease.Counter
	// lifetime ends when the mount is unmounted, sealed or reloaded.
	lifetime context.Context

	timer  background.Timer
	search search

	mu  sync.Mutex
	run run
}

// run is the run that is under way, or the last one.
type run struct {
	state             string
	started, finished time.Time
	err               error
	progress          *progress
}

// New returns a Tidier whose runs end with lifetime.
func New(lifetime context.Context, m *mount.Mount, pool *connection.Pool, issuer *token.Issuer, revoker *revoke.Revoker, statics *static.Roles, counter *lease.Counter) *Tidier {
	return &Tidier{
		lifetime: lifetime, mount: m, pool: pool, issuer: issuer, revoker: revoker, statics: statics, counter: counter,
		run:    run{state: Idle, progress: &progress{}},
		search: search{slot: make(chan struct{}, 1), abandoned: map[string]bool{}},
	}
}

// Start runs a scan in the background, and then has the static tokens replaced that InfluxDB does not know any more.
// false means that a run is under way.
func (t *Tidier) Start(s logical.Storage, c *connection.Connection, o Options) bool {
	p, started := t.begin()
	if !started {
		return false
	}
	go func() {
		var err error
		defer func() { t.finish(err) }()
		defer background.Recover(t.mount.Log, &err)
		if err = t.tidy(t.lifetime, s, c, o, p); err != nil {
			t.mount.Log.Warn("tidy did not finish", "error", err)
		}
	}()
	return true
}

// tidy scans, a second time where the root token was rotated meanwhile.
func (t *Tidier) tidy(ctx context.Context, s logical.Storage, c *connection.Connection, o Options, p *progress) error {
	seen, err := t.scan(ctx, s, c, o, p)
	if err != nil {
		if newer := t.pool.Refresh(ctx, s, c); newer != nil {
			c = newer
			seen, err = t.scan(ctx, s, c, o, p)
		}
	}
	if seen != nil && !o.DryRun {
		t.statics.Reconcile(ctx, s, c, *seen)
	}
	return err
}

// begin marks a run as started, unless one is under way.
func (t *Tidier) begin() (*progress, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.run.state == Running {
		return nil, false
	}
	t.run = run{state: Running, started: t.mount.Now(), progress: &progress{}}
	return t.run.progress, true
}

func (t *Tidier) finish(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.run.finished, t.run.err = t.mount.Now(), err
	var (
		incomplete *token.IncompleteListError
		skewed     *SkewedError
	)
	switch {
	case err == nil:
		t.run.state = Done
	case errors.As(err, &skewed):
		t.run.state = Skewed
	case errors.As(err, &incomplete):
		t.run.state = Blind
	case errors.Is(err, context.Canceled):
		t.run.state = Cancelled
	default:
		t.run.state = Failed
	}
}

// Status is how the run that is under way goes, or how the last one of this process went.
type Status struct {
	State             string
	Started, Finished time.Time
	Counts
	// LastError is why it did not finish; "" when it did.
	LastError string
}

// Status returns the state and the counts of the last run.
func (t *Tidier) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	status := Status{State: t.run.state, Started: t.run.started, Finished: t.run.finished, Counts: t.run.progress.counts()}
	if t.run.err != nil {
		status.LastError = t.run.err.Error()
	}
	return status
}

// Problems says what the last run could not do.
func (t *Tidier) Problems() []string {
	last := t.Status()
	reason := strings.ReplaceAll(last.LastError, "\n", "; ")
	switch last.State {
	case Blind:
		return []string{fmt.Sprintf("tidy is blind, so that tokens past their deadline stay in InfluxDB: %s", reason)}
	case Skewed:
		return []string{"tidy did not finish: " + reason}
	case Failed:
		return []string{fmt.Sprintf("the last run of tidy failed at %s: %s", problem.RFC3339(last.Finished), reason)}
	}
	return nil
}

// Periodic starts a run on the current connection when one is due.
func (t *Tidier) Periodic(ctx context.Context, s logical.Storage) error {
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil {
		return err
	}
	if !t.timer.Due(t.mount.Now(), time.Duration(config.TidyInterval)*time.Second) {
		return nil
	}
	c, err := t.pool.Open(config)
	if err != nil {
		return err
	}
	t.Start(s, c, Options{MountUUID: t.mount.UUID})
	return nil
}

// errNoConnection: there is nothing to count before there is a configuration, and a first one is counted then.
var errNoConnection = errors.New("no connection")

// CountLive counts the live lease tokens in the current connection's InfluxDB, once after a start and once after a switch
// to another InfluxDB.
func (t *Tidier) CountLive(ctx context.Context, s logical.Storage) error {
	err := t.counter.Count(func(add func(role, id string, deadline time.Time)) error {
		config, err := store.Config.Get(ctx, s)
		if err != nil {
			return err
		}
		if config == nil {
			return errNoConnection
		}
		c, err := t.pool.Open(config)
		if err != nil {
			return err
		}
		if _, err := c.Identify(ctx); connection.IsForeign(err) { // a look each minute costs less than its list
			return err
		}
		now := t.mount.Now()
		err = c.Client.EachAuthorization(ctx, func(a *influx.Authorization) error {
			if stamp, live := t.issuer.LiveLease(a, now); live {
				add(stamp.Role, a.ID, stamp.Deadline)
			}
			return nil
		})
		if err == nil {
			_, err = c.Identify(ctx) // another InfluxDB has none of them
		}
		return err
	})
	if errors.Is(err, errNoConnection) {
		return nil
	}
	return err
}
