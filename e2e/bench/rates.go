package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
)

// The subjects, and what is done with each.
const (
	direct    = "InfluxDB itself"
	leaseOnly = "a lease alone"
	floorName = "one-call engine (F)"
	oursName  = "this plugin"

	mint       = "mint"
	renew      = "renew"
	revoke     = "revoke"
	staticRead = "static read"
)

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

func (s *stand) subjects(ctx context.Context) ([]subject, error) {
	ours, err := s.process(ctx, s.ours)
	if err != nil {
		return nil, err
	}
	floor, err := s.process(ctx, s.floor)
	if err != nil {
		return nil, err
	}
	lease := func(path string) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return s.vaultAPI.lease(ctx, path) }
	}
	all := []subject{
		{name: direct, mint: s.create, revoke: s.remove},
		{name: leaseOnly, mint: lease(floorPath + "/lease-only"), revoke: s.vaultAPI.revoke},
		{name: floorName, mint: lease(floorPath + "/one-call"), revoke: s.vaultAPI.revoke},
		{
			name: oursName, mint: lease(oursPath + "/creds/app"), revoke: s.vaultAPI.revoke, renew: s.vaultAPI.renew, process: &ours,
			read: func(ctx context.Context) error {
				return s.vaultAPI.call(ctx, http.MethodGet, oursPath+"/static-creds/meter", nil, nil)
			},
		},
	}
	for i, plugin := range []*process{nil, &floor, &floor, &ours} {
		if all[i].spent, err = s.meter(plugin); err != nil {
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
	go func() { profiled <- s.process.profile(ctx, 1, path) }()
	l, spent, err := do()
	if profileErr := <-profiled; err == nil {
		err = profileErr
	}
	return l, spent, err
}
