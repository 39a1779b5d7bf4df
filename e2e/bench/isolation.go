package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// isolation compares what a stalled InfluxDB behind one mount does to the rest, with the same while it answers.
type isolation struct {
	Revocations int `json:"revocations_under_way"`
	Rounds      int `json:"rounds"`
	// Milliseconds; of requests the 99th percentile.
	Mints       comparison `json:"mints_at_another_mount"`
	ConfigReads comparison `json:"config_reads"`
	StaticReads comparison `json:"static_reads"`
	Seal        comparison `json:"seal"`
	StepDown    comparison `json:"step_down"`
}

type comparison struct {
	Undisturbed spread `json:"undisturbed_ms"`
	Stalled     spread `json:"stalled_ms"`
	Ratio       spread `json:"ratio"`
}

const (
	stallRevocations = 200
	stallClients     = 8
	stalledPath      = "stalled"
	// stallTimeout keeps what waits for the stalled InfluxDB waiting for as long as is measured.
	stallTimeout = "1m"
	tickLimit    = 90 * time.Second
)

// figures are what is measured, in both states.
type figures struct{ mints, configReads, staticReads, seal, stepDown []float64 }

func (b *bench) measureIsolation(ctx context.Context, s *stand) (*isolation, error) {
	proxy, err := newStallable(s.influx.URL)
	if err != nil {
		return nil, err
	}
	if err := s.mountOurs(ctx, lab.PluginName, stalledPath, proxy.url, map[string]any{"request_timeout": stallTimeout}); err != nil {
		return nil, err
	}
	var undisturbed, stalled figures
	for round := range b.stalls {
		if err := b.isolationRound(ctx, s, proxy, round, &undisturbed, &stalled); err != nil {
			return nil, err
		}
		b.say("isolation: round %d of %d: p99 of mints elsewhere %.1f ms, stalled %.1f ms; seal %.0f ms, stalled %.0f ms", round+1, b.stalls,
			undisturbed.mints[round], stalled.mints[round], undisturbed.seal[round], stalled.seal[round])
	}
	compare := func(read func(*figures) []float64) comparison {
		return comparison{spreadOf(read(&undisturbed)), spreadOf(read(&stalled)), ratios(read(&stalled), read(&undisturbed))}
	}
	return &isolation{
		Revocations: stallRevocations, Rounds: b.stalls,
		Mints:       compare(func(f *figures) []float64 { return f.mints }),
		ConfigReads: compare(func(f *figures) []float64 { return f.configReads }),
		StaticReads: compare(func(f *figures) []float64 { return f.staticReads }),
		Seal:        compare(func(f *figures) []float64 { return f.seal }),
		StepDown:    compare(func(f *figures) []float64 { return f.stepDown }),
	}, nil
}

// isolationRound measures while all is well; then while a drain and a pass wait for InfluxDB, and at last while many
// revocations wait too. Those come last because Vault itself holds its state lock while it revokes in the background.
func (b *bench) isolationRound(ctx context.Context, s *stand, proxy *stallable, round int, undisturbed, stalled *figures) error {
	if err := b.requests(ctx, s, undisturbed); err != nil {
		return err
	}
	if err := errors.Join(s.timeSeal(ctx, undisturbed), s.timeStepDown(ctx, undisturbed)); err != nil {
		return err
	}
	leases, err := s.leavePending(ctx, proxy)
	if err != nil {
		return err
	}
	b.say("isolation: waiting for Vault's minute, which starts the drain")
	if err := awaitWaiting(ctx, proxy, http.MethodDelete, 1); err != nil {
		return err
	}
	// The first of the two meets the drain and a pass, the second, right after it, a pass.
	first, second := s.timeSeal, s.timeStepDown
	if round%2 == 1 {
		first, second = second, first
	}
	for _, measure := range []func(context.Context, *figures) error{first, second} {
		if err := s.startPass(ctx, proxy); err != nil {
			return err
		}
		if err := measure(ctx, stalled); err != nil {
			return err
		}
	}
	if err := s.startPass(ctx, proxy); err != nil {
		return err
	}
	if err := s.revokeBeside(ctx, proxy, leases); err != nil {
		return err
	}
	if err := b.requests(ctx, s, stalled); err != nil {
		return err
	}
	proxy.flow()
	return s.awaitRevocations(ctx)
}

// leavePending mints what is to be revoked later, has one revocation fail, which is pending from then on, and stalls.
func (s *stand) leavePending(ctx context.Context, proxy *stallable) ([]string, error) {
	var leases collected[string]
	_, err := forAll(ctx, stallClients, numbers(stallRevocations), func(ctx context.Context, _ int) error {
		lease, err := s.vaultAPI.lease(ctx, stalledPath+"/creds/app")
		leases.add(lease)
		return err
	})
	if err != nil {
		return nil, err
	}
	proxy.refuseDeletions(true)
	if err := s.vaultAPI.revoke(ctx, leases.all[0]); err == nil {
		return nil, errors.New("a revocation succeeded although its deletion was refused")
	}
	proxy.stall()
	proxy.refuseDeletions(false)
	return leases.all, nil
}

func (s *stand) startPass(ctx context.Context, proxy *stallable) error {
	if err := s.vaultAPI.write(ctx, stalledPath+"/tidy", nil); err != nil {
		return err
	}
	return awaitWaiting(ctx, proxy, http.MethodPost, 1)
}

// revokeBeside has Vault revoke in the background, where revocations queue for InfluxDB.
func (s *stand) revokeBeside(ctx context.Context, proxy *stallable, leases []string) error {
	_, err := forAll(ctx, stallClients, leases, func(ctx context.Context, lease string) error {
		return s.vaultAPI.call(ctx, http.MethodPut, "sys/leases/revoke", []byte(`{"sync":false,"lease_id":"`+lease+`"}`), nil)
	})
	if err != nil {
		return err
	}
	return awaitWaiting(ctx, proxy, http.MethodDelete, 2)
}

// awaitRevocations waits for the end of the storm that a flow lets loose. Vault tries those that were hung up on later.
func (s *stand) awaitRevocations(ctx context.Context) error {
	return lab.Await(ctx, time.Minute, "the revocations", func(ctx context.Context) error {
		var left struct{ Data struct{ Keys []string } }
		err := s.vaultAPI.call(ctx, "LIST", "sys/leases/lookup/"+stalledPath+"/creds/app", nil, &left)
		if err == nil && len(left.Data.Keys) > stallRevocations/4 {
			return errors.New("many are left")
		}
		return nil // a path without leases is a 404
	})
}

func awaitWaiting(ctx context.Context, proxy *stallable, method string, count int) error {
	return lab.Await(ctx, tickLimit, method+" requests at the stalled InfluxDB", func(context.Context) error { return proxy.awaits(method, count) })
}

// requests measures mints at the mount that is sound, and reads of the one that may not be.
func (b *bench) requests(ctx context.Context, s *stand, f *figures) error {
	var leases collected[string]
	mints, err := forSome(ctx, stallClients, 2*b.phase, func(ctx context.Context) error {
		lease, err := s.vaultAPI.lease(ctx, oursPath+"/creds/app")
		leases.add(lease)
		return err
	})
	if err != nil {
		return err
	}
	f.mints = append(f.mints, milliseconds(mints.quantile(0.99)))
	for _, read := range []struct {
		path string
		into *[]float64
	}{{"/config", &f.configReads}, {"/static-creds/meter", &f.staticReads}} {
		l, err := forSome(ctx, stallClients, b.phase, func(ctx context.Context) error {
			return s.vaultAPI.call(ctx, http.MethodGet, stalledPath+read.path, nil, nil)
		})
		if err != nil {
			return err
		}
		*read.into = append(*read.into, milliseconds(l.quantile(0.99)))
	}
	_, err = forAll(ctx, stallClients, leases.all, s.vaultAPI.revoke)
	return err
}
