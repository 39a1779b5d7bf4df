// Package tidy looks through all tokens of an InfluxDB. It deletes those of ours that nobody holds a lease for, finds
// out what became of creations of unknown outcome, and counts the live ones.
package tidy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
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

	timer background.Timer
	// pause is that between counts of the live tokens whose list failed.
	pause  background.Backoff
	search search

	mu   sync.Mutex
	last lastRun
}

// lastRun is the run that is under way, or the last one. Its Status lacks the counts, which are in progress.
type lastRun struct {
	Status
	progress *progress
	// connection is the one whose mints of unknown outcome it reconciles; "" where it changes nothing.
	connection string
}

// New returns a Tidier whose runs end with lifetime.
func New(lifetime context.Context, m *mount.Mount, pool *connection.Pool, issuer *token.Issuer, revoker *revoke.Revoker, statics *static.Roles, counter *lease.Counter) *Tidier {
	return &Tidier{
		lifetime: lifetime, mount: m, pool: pool, issuer: issuer, revoker: revoker, statics: statics, counter: counter,
		last:   lastRun{Status: Status{State: Idle}, progress: &progress{}},
		search: search{slot: make(chan struct{}, 1), abandoned: map[string]bool{}},
	}
}

// Start runs a scan in the background, and then has the static tokens replaced that InfluxDB does not know any more.
// false means that a run is under way.
func (t *Tidier) Start(s logical.Storage, c *connection.Connection, o Options) bool {
	p := t.begin(c, o)
	if p != nil {
		go t.run(s, c, o, p)
	}
	return p != nil
}

// run is a run that has begun.
func (t *Tidier) run(s logical.Storage, c *connection.Connection, o Options, p *progress) {
	var err error
	defer func() { t.finish(err) }()
	defer background.Recover(t.mount.Log, &err)
	if err = t.tidy(t.lifetime, s, c, o, p); err != nil {
		t.mount.Log.Warn("tidy did not finish", "error", err)
	}
}

// tidy scans, a second time where the root token was rotated meanwhile. The list reconciles mints of unknown outcome, too.
func (t *Tidier) tidy(ctx context.Context, s logical.Storage, c *connection.Connection, o Options, p *progress) error {
	if err := t.revoker.Load(ctx, s); err != nil {
		return err
	}
	if !o.DryRun {
		o.Unknown = t.unknownOn(c.ID)
	}
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

// begin marks a run as started; nil while one is under way.
func (t *Tidier) begin(c *connection.Connection, o Options) *progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.State == Running {
		return nil
	}
	t.last = lastRun{Status: Status{State: Running, Started: t.mount.Now()}, progress: &progress{}}
	if !o.DryRun {
		t.last.connection = c.ID
	}
	return t.last.progress
}

// isReconciling reports whether a run is under way that reconciles a connection's mints of unknown outcome.
func (t *Tidier) isReconciling(connection string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last.State == Running && t.last.connection == connection
}

func (t *Tidier) finish(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last.Finished = t.mount.Now()
	if err == nil {
		t.last.State = Done
		return
	}
	t.last.LastError = err.Error()
	_, skewed := errors.AsType[*SkewedError](err)
	switch {
	case skewed:
		t.last.State = Skewed
	case isIncomplete(err):
		t.last.State = Blind
	case errors.Is(err, context.Canceled):
		t.last.State = Cancelled
	default:
		t.last.State = Failed
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
	status := t.last.Status
	status.Counts = t.last.progress.counts()
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

// Periodic does what needs a list of all tokens. A run on the current connection starts when one is due; at once where the
// live tokens are to be counted or, as the first after a start, where there are mints of unknown outcome to settle: one list
// is enough for all of them.
func (t *Tidier) Periodic(ctx context.Context, s logical.Storage) error {
	reconciled, err := t.startDue(ctx, s)
	if !reconciled {
		err = errors.Join(err, t.ReconcileUnknown(ctx, s))
	}
	return err
}

// startDue starts the run that is due. It reports whether a list was made for what waited for one, and has reconciled that.
func (t *Tidier) startDue(ctx context.Context, s logical.Storage) (reconciled bool, err error) {
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil {
		return false, err
	}
	if err := t.revoker.Load(ctx, s); err != nil {
		return false, err
	}
	uncounted, err := t.counter.NeedsCount(func() (bool, error) { return anyCapped(ctx, s) })
	if err != nil {
		return false, err
	}
	now, interval := t.mount.Now(), time.Duration(config.TidyInterval)*time.Second
	due := t.timer.Due(now, interval)
	sought := t.due(t.unknownOn(config.ID))
	waited := uncounted && t.pause.Ready(now) || len(sought) > 0 && interval > 0 && (due || t.Status().State == Idle)
	if !due && !waited {
		return false, nil
	}
	c, err := t.pool.Open(config)
	if err != nil {
		return false, err
	}
	if waited {
		if _, err := c.Identify(ctx); connection.IsForeign(err) { // a look each minute costs less than its list
			return false, err
		}
	}
	if interval == 0 { // tidy runs by hand only
		_, err := t.Scan(ctx, s, c, Options{Unknown: t.unknownOn(c.ID)})
		return true, err
	}
	o := Options{MountUUID: t.mount.UUID}
	if !waited {
		t.Start(s, c, o)
		return false, nil
	}
	p := t.begin(c, o)
	if p == nil {
		return false, nil
	}
	t.timer.Restart(now, interval)
	t.run(s, c, o, p)
	return !slices.ContainsFunc(sought, t.revoker.IsPending), nil
}

// anyCapped reports whether a role has a cap on its live tokens. One that can't be read mints nothing.
func anyCapped(ctx context.Context, s logical.Storage) (bool, error) {
	names, err := store.Roles.List(ctx, s)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		r, err := store.Roles.Get(ctx, s, name)
		if err != nil && !store.IsUnreadable(err) {
			return false, err
		}
		if r != nil && r.MaxLeases > 0 {
			return true, nil
		}
	}
	return false, nil
}
