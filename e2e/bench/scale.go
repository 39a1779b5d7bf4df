package main

import (
	"context"
	"fmt"
	"time"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// scale compares a Vault and an InfluxDB that hold many tokens and roles with others that hold few.
type scale struct {
	Clients    int    `json:"clients"`
	FewTokens  int    `json:"few_tokens"`
	FewRoles   int    `json:"few_roles"`
	ManyTokens int    `json:"many_tokens"`
	ManyRoles  int    `json:"many_roles"`
	DirectFew  spread `json:"direct_few_per_second"`
	DirectMany spread `json:"direct_many_per_second"`
	FloorFew   spread `json:"floor_few_per_second"`
	FloorMany  spread `json:"floor_many_per_second"`
	OursFew    spread `json:"plugin_few_per_second"`
	OursMany   spread `json:"plugin_many_per_second"`
	// The ratios are many to few, in the same round. What F loses is Vault's and InfluxDB's.
	DirectRatio spread `json:"direct_ratio"`
	FloorRatio  spread `json:"floor_ratio"`
	OursRatio   spread `json:"plugin_ratio"`
}

const (
	fewTokens, fewRoles = 100, 10
	fillClients         = 32
	scaleClients        = 8
)

// measureScale fills a stand with tokens and roles, measures it beside the small one, has tidy look at all of it, and
// revokes it all. What it answers is for later: it sees what is left of the plugin once its connections were idle.
func (b *bench) measureScale(ctx context.Context, small *stand, built binaries, found *report) (settle func() error, err error) {
	large, err := newStand(ctx, small.lab, built)
	if err != nil {
		return nil, err
	}
	process, err := large.process(ctx, large.ours)
	if err != nil {
		return nil, err
	}
	found.Footprint = &footprint{Tokens: b.tokens}
	if err := found.Footprint.idle(ctx, process); err != nil {
		return nil, err
	}
	if _, err := b.fill(ctx, small, fewTokens, fewRoles); err != nil {
		return nil, err
	}
	leases, err := b.fill(ctx, large, b.tokens, b.roles)
	if err != nil {
		return nil, err
	}
	if found.Footprint.AfterMints, err = megabytes(process.resident(ctx)); err != nil {
		return nil, err
	}
	if found.Scale, err = b.compareScales(ctx, small, large); err != nil {
		return nil, err
	}
	if found.Pass, err = b.measurePass(ctx, large, process); err != nil {
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
	return func() error { return found.Footprint.settled(ctx, process) }, nil
}

// roleName is one of the roles that fill makes.
func roleName(n int) string { return fmt.Sprintf("app-%d", n) }

// fill makes roles, and tokens of all of them in turn.
func (b *bench) fill(ctx context.Context, s *stand, tokens, roles int) ([]string, error) {
	b.say("writing %d roles and minting %d tokens", roles, tokens)
	fields := map[string]any{"verify": false}
	for field, value := range bucketRole {
		fields[field] = value
	}
	l, err := forAll(ctx, fillClients, numbers(roles), func(ctx context.Context, n int) error {
		return s.vaultAPI.write(ctx, oursPath+"/roles/"+roleName(n), fields)
	})
	if err != nil {
		return nil, err
	}
	b.say("  roles: %.0f/s", l.rate())
	var leases collected[string]
	for done := 0; done < tokens; { // in parts, for the progress
		part := numbers(min(tokens-done, 10000))
		if l, err = forAll(ctx, fillClients, part, func(ctx context.Context, n int) error {
			lease, err := s.vaultAPI.lease(ctx, oursPath+"/creds/"+roleName((done+n)%roles))
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

func (b *bench) compareScales(ctx context.Context, small, large *stand) (*scale, error) {
	rates := map[string][]float64{}
	for round := range b.rounds {
		for _, at := range []struct {
			name  string
			stand *stand
			roles int
		}{{"few", small, fewRoles}, {"many", large, b.roles}} {
			next := newCounter(at.roles)
			leased := func(path func() string) func(context.Context) (string, error) {
				return func(ctx context.Context) (string, error) { return at.stand.vaultAPI.lease(ctx, path()) }
			}
			for _, subject := range []struct {
				name string
				mint func(context.Context) (string, error)
				end  func(context.Context, string) error
			}{
				{"direct", at.stand.create, at.stand.remove},
				{"floor", leased(func() string { return floorPath + "/one-call" }), at.stand.vaultAPI.revoke},
				{"ours", leased(func() string { return oursPath + "/creds/" + roleName(next()) }), at.stand.vaultAPI.revoke},
			} {
				made, err := b.mintAndRevoke(ctx, subject.mint, subject.end)
				if err != nil {
					return nil, err
				}
				name := subject.name + " " + at.name
				rates[name] = append(rates[name], made)
			}
		}
		b.say("scale: round %d of %d: F %.0f/s with few, %.0f/s with many; this plugin %.0f/s, %.0f/s", round+1, b.rounds,
			rates["floor few"][round], rates["floor many"][round], rates["ours few"][round], rates["ours many"][round])
	}
	return &scale{
		Clients: scaleClients, FewTokens: fewTokens, FewRoles: fewRoles, ManyTokens: b.tokens, ManyRoles: b.roles,
		DirectFew: spreadOf(rates["direct few"]), DirectMany: spreadOf(rates["direct many"]),
		FloorFew: spreadOf(rates["floor few"]), FloorMany: spreadOf(rates["floor many"]),
		OursFew: spreadOf(rates["ours few"]), OursMany: spreadOf(rates["ours many"]),
		DirectRatio: ratios(rates["direct many"], rates["direct few"]),
		FloorRatio:  ratios(rates["floor many"], rates["floor few"]),
		OursRatio:   ratios(rates["ours many"], rates["ours few"]),
	}, nil
}

// mintAndRevoke answers the rate of the mints, and leaves as many tokens as there were.
func (b *bench) mintAndRevoke(ctx context.Context, mint func(context.Context) (string, error), revoke func(context.Context, string) error) (float64, error) {
	var made collected[string]
	l, err := forSome(ctx, scaleClients, 2*b.phase, func(ctx context.Context) error {
		one, err := mint(ctx)
		made.add(one)
		return err
	})
	if err != nil {
		return 0, err
	}
	_, err = forAll(ctx, scaleClients, made.all, revoke)
	return l.rate(), err
}

// ratios are those of two measurements in each round.
func ratios(of, to []float64) spread {
	all := make([]float64, len(of))
	for i := range of {
		all[i] = of[i] / to[i]
	}
	return spreadOf(all)
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

// settled waits until idle connections, which keep two goroutines each, are closed.
func (f *footprint) settled(ctx context.Context, p process) (err error) {
	_ = lab.Await(ctx, 2*time.Minute, "goroutines to end", func(ctx context.Context) error {
		if f.Goroutines, err = p.goroutines(ctx); err == nil && f.Goroutines > f.IdleGoroutines {
			return fmt.Errorf("%d run", f.Goroutines)
		}
		return err
	}) // where they don't, the report says how many run
	return err
}

func megabytes(bytes int64, err error) (float64, error) { return float64(bytes) / 1e6, err }
