package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"
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
	// process is the plugin's; nil where there is none.
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
	return []subject{
		{name: direct, mint: s.create, revoke: s.remove},
		{name: leaseOnly, mint: lease(floorPath + "/lease-only"), revoke: s.vaultAPI.revoke},
		{name: floorName, mint: lease(floorPath + "/one-call"), revoke: s.vaultAPI.revoke, process: &floor},
		{
			name: oursName, mint: lease(oursPath + "/creds/app"), revoke: s.vaultAPI.revoke, renew: s.vaultAPI.renew, process: &ours,
			read: func(ctx context.Context) error {
				return s.vaultAPI.call(ctx, "GET", oursPath+"/static-creds/kept", nil, nil)
			},
		},
	}, nil
}

// rounds are the measurements of one operation of one subject, one of each round.
type rounds struct {
	loads []load
	// cpu and objects are what the plugin's process spent per call.
	cpu     []time.Duration
	objects []float64
	bytes   []float64
}

type rateKey struct {
	subject, operation string
	clients            int
}

// measureRates lets clients mint, renew, read and revoke with each subject in turn, round after round: what else the
// machine does in the meantime then falls on all of them alike.
func (b *bench) measureRates(ctx context.Context, s *stand) (map[rateKey]*rounds, error) {
	subjects, err := s.subjects(ctx)
	if err != nil {
		return nil, err
	}
	results := map[rateKey]*rounds{}
	for _, clients := range b.clients {
		for round := range b.rounds {
			for _, subject := range subjects {
				if err := b.measureRound(ctx, subject, clients, results); err != nil {
					return nil, fmt.Errorf("%s: %w", subject.name, err)
				}
			}
			b.say("rates: %d clients, round %d of %d: F mints %.0f/s, this plugin %.0f/s", clients, round+1, b.rounds,
				results[rateKey{floorName, mint, clients}].loads[round].rate(), results[rateKey{oursName, mint, clients}].loads[round].rate())
		}
	}
	return results, nil
}

func (b *bench) measureRound(ctx context.Context, s subject, clients int, results map[rateKey]*rounds) error {
	note := func(operation string, l load, spent usage) {
		key := rateKey{s.name, operation, clients}
		if results[key] == nil {
			results[key] = &rounds{}
		}
		results[key].add(l, spent)
	}
	if b.profiles != "" && s.name == oursName {
		path := filepath.Join(b.profiles, fmt.Sprintf("mint-%d.pprof", clients))
		done := make(chan error, 1)
		go func() { done <- s.process.profile(ctx, max(1, int(b.phase.Seconds())), path) }()
		defer func() { <-done }()
	}
	var leases collected[string]
	l, spent, err := s.process.during(ctx, func() (load, error) {
		return forSome(ctx, clients, b.phase, func(ctx context.Context) error {
			lease, err := s.mint(ctx)
			leases.add(lease)
			return err
		})
	})
	if err != nil {
		return err
	}
	note(mint, l, spent)
	if s.renew != nil {
		var next atomic.Int64
		if l, spent, err = s.process.during(ctx, func() (load, error) {
			return forSome(ctx, clients, b.phase/2, func(ctx context.Context) error {
				return s.renew(ctx, leases.all[int(next.Add(1))%len(leases.all)])
			})
		}); err != nil {
			return err
		}
		note(renew, l, spent)
	}
	if s.read != nil {
		if l, spent, err = s.process.during(ctx, func() (load, error) { return forSome(ctx, clients, b.phase/2, s.read) }); err != nil {
			return err
		}
		note(staticRead, l, spent)
	}
	l, spent, err = s.process.during(ctx, func() (load, error) { return forAll(ctx, clients, leases.all, s.revoke) })
	if err != nil {
		return err
	}
	note(revoke, l, spent)
	return nil
}

// usage is what a process has spent.
type usage struct {
	cpu            time.Duration
	objects, bytes uint64
}

// during says what a process spends while something is done; nothing where there is no process.
func (p *process) during(ctx context.Context, do func() (load, error)) (load, usage, error) {
	if p == nil {
		l, err := do()
		return l, usage{}, err
	}
	before, err := p.spent(ctx)
	if err != nil {
		return load{}, usage{}, err
	}
	l, err := do()
	if err != nil {
		return load{}, usage{}, err
	}
	after, err := p.spent(ctx)
	return l, usage{after.cpu - before.cpu, after.objects - before.objects, after.bytes - before.bytes}, err
}

func (p *process) spent(ctx context.Context) (u usage, err error) {
	if u.cpu, err = p.cpu(ctx); err == nil && p.address != "" {
		u.objects, u.bytes, err = p.allocated(ctx)
	}
	return u, err
}

func (r *rounds) add(l load, spent usage) {
	calls := max(1, len(l.latencies))
	r.loads = append(r.loads, l)
	r.cpu = append(r.cpu, spent.cpu/time.Duration(calls))
	r.objects = append(r.objects, float64(spent.objects)/float64(calls))
	r.bytes = append(r.bytes, float64(spent.bytes)/float64(calls))
}
