package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// The subjects, and what is done with each.
const (
	direct      = "InfluxDB itself"
	leaseOnly   = "a lease alone"
	floorName   = "one-call engine (F)"
	peerName    = "database plugin"
	earlierName = "build " + earlierCommit
	oursName    = "this plugin"

	mint       = "mint"
	renew      = "renew"
	revoke     = "revoke"
	staticRead = "static read"
)

// subjectNames are all of them, in the order of the tables.
var subjectNames = []string{direct, leaseOnly, floorName, peerName, earlierName, oursName}

// subject is something that mints and revokes.
type subject struct {
	name   string
	mint   func(context.Context) (string, error)
	revoke func(context.Context, string) error
	// renew and read are nil where there is no such thing.
	renew func(context.Context, string) error
	read  func(context.Context) error
	spent meter
	// process is the plugin's where it can be profiled.
	process *process
}

// subjects are those that a stand has.
func (s *stand) subjects(ctx context.Context) ([]subject, error) {
	all := []subject{{name: direct, mint: s.create, revoke: s.remove}}
	plugins := []*lab.Plugin{nil}
	add := func(one subject, path string, plugin *lab.Plugin) {
		one.mint = func(ctx context.Context) (string, error) { return s.vaultAPI.lease(ctx, path) }
		one.revoke = s.vaultAPI.revoke
		all, plugins = append(all, one), append(plugins, plugin)
	}
	read := func(path string) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.vaultAPI.call(ctx, http.MethodGet, path+"/static-creds/meter", nil, nil)
		}
	}
	add(subject{name: leaseOnly}, floorPath+"/lease-only", &s.floor)
	add(subject{name: floorName}, floorPath+"/one-call", &s.floor)
	if s.peer != nil {
		add(subject{name: peerName, renew: s.vaultAPI.renew}, peerPath+"/creds/app", s.peer)
	}
	if s.earlier != nil {
		add(subject{name: earlierName, renew: s.vaultAPI.renew, read: read(earlierPath)}, earlierPath+"/creds/app", s.earlier)
	}
	add(subject{name: oursName, renew: s.vaultAPI.renew, read: read(oursPath)}, oursPath+"/creds/app", &s.ours)
	for i, plugin := range plugins {
		var found *process
		if plugin != nil {
			running, err := s.process(ctx, *plugin)
			if err != nil {
				return nil, err
			}
			found = &running
		}
		if plugin == &s.ours {
			all[i].process = found
		}
		var err error
		if all[i].spent, err = s.meter(found); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// rounds are the measurements of one operation of one subject, one of each round.
type rounds struct {
	loads []load
	// spent is what the servers spent per call.
	spent []usage
}

// cpu is the processor time of the plugin per call in each round, in microseconds.
func (r *rounds) cpu() []float64 {
	all := make([]float64, len(r.spent))
	for i, u := range r.spent {
		all[i] = float64(u.plugin.Nanoseconds()) / 1000
	}
	return all
}

// rates are the calls per second in each round.
func (r *rounds) rates() []float64 {
	all := make([]float64, len(r.loads))
	for i, l := range r.loads {
		all[i] = l.rate()
	}
	return all
}

type rateKey struct {
	subject, operation string
	clients            int
}

type results map[rateKey]*rounds

func (r results) add(key rateKey, l load, spent usage) {
	if r[key] == nil {
		r[key] = &rounds{}
	}
	r[key].loads = append(r[key].loads, l)
	r[key].spent = append(r[key].spent, spent.per(len(l.latencies)))
}

// measureRates lets clients mint, renew, read and revoke with each subject in turn, round after round: what else the
// machine does in the meantime then falls on all of them alike.
func (b *bench) measureRates(ctx context.Context, s *stand) (results, error) {
	subjects, err := s.subjects(ctx)
	if err != nil {
		return nil, err
	}
	found := results{}
	for _, clients := range b.clients {
		for round := range b.rounds {
			for _, subject := range subjects {
				if err := b.measureRound(ctx, subject, clients, found); err != nil {
					return nil, fmt.Errorf("%s: %w", subject.name, err)
				}
			}
			b.say("rates: %d clients, round %d of %d: F mints %.0f/s, this plugin %.0f/s", clients, round+1, b.rounds,
				found[rateKey{floorName, mint, clients}].loads[round].rate(), found[rateKey{oursName, mint, clients}].loads[round].rate())
		}
	}
	return found, nil
}

// measureRound mints, and renews and reads where there is such a thing, and revokes all that was minted.
func (b *bench) measureRound(ctx context.Context, s subject, clients int, found results) error {
	var leases collected[string]
	steps := []struct {
		operation string
		do        func() (load, error)
	}{
		{mint, func() (load, error) {
			return forSome(ctx, clients, b.phase, func(ctx context.Context) error {
				lease, err := s.mint(ctx)
				leases.add(lease)
				return err
			})
		}},
		{renew, func() (load, error) {
			next := newCounter(len(leases.all))
			return forSome(ctx, clients, b.phase/2, func(ctx context.Context) error { return s.renew(ctx, leases.all[next()]) })
		}},
		{staticRead, func() (load, error) { return forSome(ctx, clients, b.phase/2, s.read) }},
		{revoke, func() (load, error) { return forAll(ctx, clients, leases.all, s.revoke) }},
	}
	for _, step := range steps {
		if step.operation == renew && s.renew == nil || step.operation == staticRead && s.read == nil {
			continue
		}
		l, spent, err := b.profiled(ctx, s, step.operation, clients, func() (load, usage, error) { return s.spent.during(ctx, step.do) })
		if err != nil {
			return fmt.Errorf("%s: %w", step.operation, err)
		}
		found.add(rateKey{s.name, step.operation, clients}, l, spent)
	}
	return nil
}

// profiled writes a CPU profile of what is done, where profiles are wanted.
func (b *bench) profiled(ctx context.Context, s subject, operation string, clients int, do func() (load, usage, error)) (load, usage, error) {
	if b.profiles == "" || s.process == nil || operation == staticRead {
		return do()
	}
	path := filepath.Join(b.profiles, fmt.Sprintf("%s-%d.pprof", operation, clients))
	profiled := make(chan error, 1)
	go func() { profiled <- s.process.profile(ctx, max(1, int(b.phase.Seconds())), path) }()
	l, spent, err := do()
	if profileErr := <-profiled; err == nil {
		err = profileErr
	}
	return l, spent, err
}
