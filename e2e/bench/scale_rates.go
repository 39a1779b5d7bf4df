package main

import (
	"context"
	"fmt"
	"slices"
)

// scaleClients are how many mint while sizes are compared.
const scaleClients = 8

// scaleMints are the mints of one subject at a size, and with few. What F loses is Vault's and InfluxDB's.
type scaleMints struct {
	size
	Few  rate `json:"few"`
	Many rate `json:"many"`
	// Ratio is many to few, in the same round.
	Ratio spread `json:"ratio"`
}

// scaled is one side of the comparison.
type scaled struct {
	subjects []subject
	found    results
}

// scaled are the subjects of a stand, of which this plugin mints of all its roles in turn.
func (s *stand) scaled(ctx context.Context, roles int) (scaled, error) {
	subjects, err := s.subjects(ctx)
	if err != nil {
		return scaled{}, err
	}
	subjects = slices.DeleteFunc(subjects, func(one subject) bool { return one.name == peerName || one.name == earlierName })
	next := newCounter(roles)
	for i := range subjects {
		subjects[i].renew, subjects[i].read = nil, nil
		if subjects[i].name == oursName {
			subjects[i].mint = func(ctx context.Context) (string, error) {
				return s.vaultAPI.lease(ctx, oursPath+"/creds/"+roleName(next()))
			}
		}
	}
	return scaled{subjects, results{}}, nil
}

// compareSizes measures each subject with few and with many right after each other, round after round. Each round
// leaves as many tokens as there were.
func (b *bench) compareSizes(ctx context.Context, small, large *stand, many size) ([]scaleMints, error) {
	atFew, err := small.scaled(ctx, few.Roles)
	if err != nil {
		return nil, err
	}
	atMany, err := large.scaled(ctx, many.Roles)
	if err != nil {
		return nil, err
	}
	for round := range b.scaleRounds {
		for i := range atFew.subjects {
			for _, side := range []scaled{atFew, atMany} {
				if err := b.measureRound(ctx, side.subjects[i], scaleClients, side.found); err != nil {
					return nil, fmt.Errorf("%s: %w", side.subjects[i].name, err)
				}
			}
		}
		at := func(side scaled, subject string) float64 { return side.mintsOf(subject).loads[round].rate() }
		b.say("scale: %d tokens, round %d of %d: F %.0f/s with few, %.0f/s with many; this plugin %.0f/s, %.0f/s", many.Tokens,
			round+1, b.scaleRounds, at(atFew, floorName), at(atMany, floorName), at(atFew, oursName), at(atMany, oursName))
	}
	var lines []scaleMints
	for _, subject := range atFew.subjects {
		lines = append(lines, scaleMints{
			many, atFew.line(subject.name), atMany.line(subject.name),
			ratios(atMany.mintsOf(subject.name).rates(), atFew.mintsOf(subject.name).rates()),
		})
	}
	return lines, nil
}

func (s scaled) mintsOf(subject string) *rounds { return s.found[rateKey{subject, mint, scaleClients}] }

func (s scaled) line(subject string) rate {
	return s.found.line(rateKey{subject, mint, scaleClients})
}

// ratios are those of two measurements in each round, where there is something to divide by: processor time is counted in
// ticks of 10 ms.
func ratios(of, to []float64) spread {
	var all []float64
	for i := range of {
		if to[i] > 0 {
			all = append(all, of[i]/to[i])
		}
	}
	return spreadOf(all)
}
