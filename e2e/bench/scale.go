package main

import (
	"context"
	"fmt"
	"time"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// size is how much a Vault and its InfluxDB hold.
type size struct {
	Tokens int `json:"tokens"`
	Roles  int `json:"roles"`
}

// few is what every other size is compared with.
var few = size{100, 10}

const fillClients = 32

// measureScale fills a stand with tokens and roles, measures it at each size beside the small one, has tidy look at
// all of it, and revokes it all. What it answers is for later: it sees what is left of the plugin once its connections were idle.
func (b *bench) measureScale(ctx context.Context, small *stand, built binaries, found *report) (finish func() error, err error) {
	large, err := newStand(ctx, small.lab, built)
	if err != nil {
		return nil, err
	}
	process, err := large.process(ctx, large.ours)
	if err != nil {
		return nil, err
	}
	most := b.sizes[len(b.sizes)-1]
	found.Footprint = &footprint{Tokens: most.Tokens}
	if err := found.Footprint.idle(ctx, process); err != nil {
		return nil, err
	}
	if _, err := b.fill(ctx, small, size{}, few); err != nil {
		return nil, err
	}
	leases, err := b.measureSizes(ctx, small, large, found)
	if err != nil {
		return nil, err
	}
	if found.Footprint.AfterMints, err = megabytes(process.resident(ctx)); err != nil {
		return nil, err
	}
	if found.Pass, err = b.measurePass(ctx, large, most.Tokens, process); err != nil {
		return nil, err
	}
	b.say("revoking %d leases", len(leases))
	l, err := forAll(ctx, fillClients, leases, large.vaultAPI.revoke)
	if err != nil {
		return nil, err
	}
	b.say("  %.0f/s", l.rate())
	if found.Footprint.AfterRevocations, err = megabytes(process.resident(ctx)); err != nil {
		return nil, err
	}
	return func() error { return found.Footprint.atRest(ctx, process) }, nil
}

// roleName is one of the roles that fill makes.
func roleName(n int) string { return fmt.Sprintf("app-%d", n) }

// measureSizes fills a stand from size to size, and answers all its leases.
func (b *bench) measureSizes(ctx context.Context, small, large *stand, found *report) (leases []string, err error) {
	var has size
	for _, grown := range b.sizes {
		made, err := b.fill(ctx, large, has, grown)
		if err != nil {
			return nil, err
		}
		leases, has = append(leases, made...), grown
		compared, err := b.compareSizes(ctx, small, large, has)
		if err != nil {
			return nil, err
		}
		found.Scale = append(found.Scale, compared...)
	}
	return leases, nil
}

// fill makes roles, and tokens of all of them in turn, until a stand has as many as it should.
func (b *bench) fill(ctx context.Context, s *stand, has, should size) ([]string, error) {
	b.say("filling up to %d roles and %d tokens", should.Roles, should.Tokens)
	fields := map[string]any{"verify": false}
	for field, value := range bucketRole {
		fields[field] = value
	}
	l, err := forAll(ctx, fillClients, numbers(should.Roles-has.Roles), func(ctx context.Context, n int) error {
		return s.vaultAPI.write(ctx, oursPath+"/roles/"+roleName(has.Roles+n), fields)
	})
	if err != nil {
		return nil, err
	}
	b.say("  roles: %.0f/s", l.rate())
	var leases collected[string]
	for done := has.Tokens; done < should.Tokens; { // in parts, for the progress
		part := numbers(min(should.Tokens-done, 10000))
		if l, err = forAll(ctx, fillClients, part, func(ctx context.Context, n int) error {
			lease, err := s.vaultAPI.lease(ctx, oursPath+"/creds/"+roleName((done+n)%should.Roles))
			leases.add(lease)
			return err
		}); err != nil {
			return nil, err
		}
		done += len(part)
		b.say("  %d tokens: %.0f/s", done, l.rate())
	}
	return leases.all, nil
}

func numbers(count int) []int {
	all := make([]int, count)
	for i := range all {
		all[i] = i
	}
	return all
}

// footprint is what the plugin's process holds, in MB, and how many goroutines it runs.
type footprint struct {
	Tokens           int     `json:"tokens"`
	Idle             float64 `json:"idle_mb"`
	AfterMints       float64 `json:"after_mints_mb"`
	AfterRevocations float64 `json:"after_revocations_mb"`
	IdleGoroutines   int     `json:"idle_goroutines"`
	Goroutines       int     `json:"goroutines_after"`
}

func (f *footprint) idle(ctx context.Context, p process) (err error) {
	if f.Idle, err = megabytes(p.resident(ctx)); err != nil {
		return err
	}
	f.IdleGoroutines, err = p.goroutines(ctx)
	return err
}

// atRest waits until idle connections, which keep two goroutines each, are closed.
func (f *footprint) atRest(ctx context.Context, p process) (err error) {
	_ = lab.Await(ctx, 2*time.Minute, "goroutines to end", func(ctx context.Context) error {
		if f.Goroutines, err = p.goroutines(ctx); err == nil && f.Goroutines > f.IdleGoroutines {
			return fmt.Errorf("%d run", f.Goroutines)
		}
		return err
	}) // where they don't, the report says how many run
	return err
}

func megabytes(bytes int64, err error) (float64, error) { return float64(bytes) / 1e6, err }
