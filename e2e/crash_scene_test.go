package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// reachLimit is how long the calls may take to get to their points, all at once on a busy machine.
	reachLimit = 2 * time.Minute
	// reconcileLimit is how long it may take until everything is reconciled: the engine needs two of Vault's ticks, one each
	// minute, and the leases and the deadlines of the tokens must have passed.
	reconcileLimit = 8 * time.Minute
)

// crashScene is a Vault with an InfluxDB. Many calls are held in it, each at its own point; then one of the processes is
// killed, and they all are cut off at once.
type crashScene struct {
	victim victim
	stops  *stops
	vault  *lab.Vault
	influx *lab.Influx
	// core is an InfluxDB 3 in its place, and influx is nil then.
	core   *influx3
	proxy  *proxy
	points []*crashPoint
}

// victim is a process that can be killed, and what an operator then does.
type victim struct {
	name          string
	kill, recover func(context.Context, *crashScene) error
}

var (
	// vaultDies, and its plugin lives on for a while.
	vaultDies = victim{
		"Vault",
		func(_ context.Context, s *crashScene) error { s.vault.Kill(); return nil },
		func(ctx context.Context, s *crashScene) error { return s.vault.Start(ctx) },
	}
	// pluginDies, and Vault starts it again when it needs it.
	pluginDies = victim{
		"plugin",
		func(ctx context.Context, s *crashScene) error { return s.vault.KillPlugins(ctx) },
		func(context.Context, *crashScene) error { return nil },
	}
	influxdDies = victim{
		"influxd",
		func(_ context.Context, s *crashScene) error { s.influx.Kill(); return nil },
		func(ctx context.Context, s *crashScene) error { return s.influx.Start(ctx) },
	}
)

func newCrashScene(t *testing.T) *crashScene {
	t.Helper()
	s := &crashScene{stops: startStops(t), influx: newInflux(t, lab.InfluxOptions{})}
	s.vault = newVaultWith(t, lab.VaultOptions{Env: []string{"CRASHTEST_ADDR=" + s.stops.URL}}, crashTestPlugin(t))
	s.proxy = s.stops.proxy(t, s.influx)
	return s
}

// crashPoint is a call that is cut off at one point, on a mount of its own.
type crashPoint struct {
	*engine
	scene *crashScene
	act   crashAct
	step  step
	uuid  string
	// untouched is a lease that nothing happens to, and held is what the call is about.
	untouched, held minted
	// proxied is where the engine reaches an InfluxDB of the call's own.
	proxied string
	// id is the authorization that the call is about.
	id string
	// done closes when the call has ended, with err.
	done chan struct{}
	err  error
}

// crashAct is a kind of call.
type crashAct struct {
	name string
	// prepare makes on a new mount what the call is about; ready does what must be young when it begins.
	prepare, ready func(*testing.T, *crashPoint)
	call           func(context.Context, *crashPoint) error
	// recovered asserts what must be right as soon as everything runs again, and reconciled what must be in the end.
	recovered, reconciled func(*testing.T, *crashPoint)
	steps                 []step
}

// add prepares a call for each step of an act.
func (s *crashScene) add(t *testing.T, act crashAct) {
	t.Helper()
	for _, step := range act.steps {
		path := fmt.Sprintf("influxdb-%d", len(s.points))
		require.NoError(t, s.vault.Mount(t.Context(), path, "1h", "24h"))
		p := &crashPoint{
			engine: &engine{path: path, influx: s.influx, vault: s.vault.Client()},
			scene:  s, act: act, step: step, done: make(chan struct{}),
		}
		act.prepare(t, p)
		p.uuid = p.mountUUID(t)
		s.points = append(s.points, p)
	}
}

func (p *crashPoint) String() string { return p.act.name + "/" + p.step.name }

// connect writes the mount's connection: through the proxy, whose calls may be held for minutes, with a reaper that runs
// as often as Vault ticks.
func (p *crashPoint) connect(t *testing.T, more map[string]any) {
	t.Helper()
	fields := map[string]any{"url": p.scene.proxy.URL, "request_timeout": "5m", "tidy_interval": "10s"}
	if p.scene.core != nil {
		fields["token"] = p.scene.core.operator
	} else {
		fields["token"], fields["org"] = p.influx.Operator, org
	}
	for name, value := range more {
		fields[name] = value
	}
	p.write(t, "config", fields)
}

// grants are those of the roles here.
func (p *crashPoint) grants(more map[string]any) map[string]any {
	if p.scene.core != nil {
		return adminRole(more)
	}
	return bucketRole(more)
}

// assertWorks asserts that a token can be used.
func (p *crashPoint) assertWorks(t *testing.T, token string) {
	t.Helper()
	if p.scene.core != nil {
		p.scene.core.assertWorks(t, token)
		return
	}
	assertWorks(t, p.influx, token)
}

// about fills a point in.
func (p *crashPoint) about(a at) at {
	a.about = strings.NewReplacer("{uuid}", p.uuid, "{id}", p.id).Replace(a.about)
	return a
}

// begin starts the call, to be held at its point.
func (p *crashPoint) begin(t *testing.T) *stop {
	t.Helper()
	if p.act.ready != nil {
		p.act.ready(t, p)
	}
	var held *stop
	if p.step.name != afterAnswer {
		held = p.scene.stops.hold(p.about(p.step.at), p.step.cut)
	}
	if p.step.fault != nil {
		p.scene.stops.lose(p.about(*p.step.fault)) // until everything is let go
	}
	ctx := t.Context()
	go func() {
		defer close(p.done)
		p.err = p.act.call(ctx, p)
	}()
	return held
}

// crash has every call held at its point, kills a victim, lets go of what is held, and has everything run again.
func (s *crashScene) crash(t *testing.T, victim victim) {
	t.Helper()
	s.victim = victim
	held := map[*crashPoint]*stop{}
	for _, p := range s.points {
		held[p] = p.begin(t)
	}
	for _, p := range s.points {
		p.awaitReached(t, held[p])
	}
	for _, p := range s.points {
		p.assertHeld(t, held[p])
	}
	require.NoError(t, victim.kill(t.Context(), s))
	s.stops.end()
	for _, p := range s.points {
		p.awaitEnd(t)
	}
	require.NoError(t, victim.recover(t.Context(), s))
	s.assert(t, "at once", func(act crashAct) func(*testing.T, *crashPoint) { return act.recovered })
}

// assert runs what an act asserts at some time, for each point by its name.
func (s *crashScene) assert(t *testing.T, when string, what func(crashAct) func(*testing.T, *crashPoint)) {
	t.Helper()
	for _, p := range s.points {
		if check := what(p.act); check != nil {
			t.Run(strings.Join([]string{s.victim.name, p.String(), when}, "/"), func(t *testing.T) { check(t, p) })
		}
	}
}

// awaitReached waits until the call is at its point.
func (p *crashPoint) awaitReached(t *testing.T, held *stop) {
	t.Helper()
	if held == nil {
		p.awaitEnd(t)
		require.NoError(t, p.err, p)
		return
	}
	require.NoError(t, lab.Await(t.Context(), reachLimit, p.String(), func(context.Context) error {
		select {
		case <-held.reached:
			return nil
		default:
		}
		select {
		case <-p.done:
			return lab.Final(errors.Join(errors.New("the call ended before"), p.err))
		default:
			return errors.New("the call is on its way")
		}
	}))
}

// assertHeld asserts that the call is still at its point, to be cut off there. A renewal, which waits for InfluxDB for
// 3 s, may be over already.
func (p *crashPoint) assertHeld(t *testing.T, held *stop) {
	t.Helper()
	if held == nil || p.act.name == renews.name {
		return
	}
	select {
	case <-p.done:
		require.Fail(t, "the call ended before it was cut off", "%s: %v", p, p.err)
	default:
	}
}

func (p *crashPoint) awaitEnd(t *testing.T) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), reachLimit, "the end of "+p.String(), func(context.Context) error {
		select {
		case <-p.done:
			return nil
		default:
			return errors.New("the call is on its way")
		}
	}))
}
