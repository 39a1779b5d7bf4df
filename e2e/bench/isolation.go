package main

import (
	"context"
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
	stallRounds      = 3
	stallClients     = 8
	stalledPath      = "stalled"
	// stallTimeout keeps what waits for the stalled InfluxDB waiting for as long as is measured.
	stallTimeout = "4m"
	tickLimit    = 90 * time.Second
)

// figures are what is measured, in both states.
type figures struct{ mints, configReads, staticReads, seal, stepDown []float64 }

func (b *bench) measureIsolation(ctx context.Context, s *stand) (*isolation, error) {
	proxy, err := newStallable(s.influx.URL)
	if err != nil {
		return nil, err
	}
	if err := s.mountOurs(ctx, stalledPath, proxy.url, map[string]any{"request_timeout": stallTimeout}); err != nil {
		return nil, err
	}
	var undisturbed, stalled figures
	count := stallRounds
	if b.rounds < count {
		count = 1
	}
	for round := range count {
		if err := b.isolationRound(ctx, s, proxy, &undisturbed, &stalled); err != nil {
			return nil, err
		}
		b.say("isolation: round %d of %d: p99 of mints elsewhere %.1f ms, stalled %.1f ms; seal %.0f ms, stalled %.0f ms", round+1, count,
			undisturbed.mints[round], stalled.mints[round], undisturbed.seal[round], stalled.seal[round])
	}
	compare := func(read func(*figures) []float64) comparison {
		return comparison{spreadOf(read(&undisturbed)), spreadOf(read(&stalled)), ratios(read(&stalled), read(&undisturbed))}
	}
	return &isolation{
		Revocations: stallRevocations, Rounds: count,
		Mints:       compare(func(f *figures) []float64 { return f.mints }),
		ConfigReads: compare(func(f *figures) []float64 { return f.configReads }),
		StaticReads: compare(func(f *figures) []float64 { return f.staticReads }),
		Seal:        compare(func(f *figures) []float64 { return f.seal }),
		StepDown:    compare(func(f *figures) []float64 { return f.stepDown }),
	}, nil
}

// isolationRound measures first while all is well. Then a drain, a pass and many revocations hang at once.
func (b *bench) isolationRound(ctx context.Context, s *stand, proxy *stallable, undisturbed, stalled *figures) error {
	if err := b.requests(ctx, s, undisturbed); err != nil {
		return err
	}
	if err := s.timeSeal(ctx, undisturbed); err != nil {
		return err
	}
	if err := b.stallEverything(ctx, s, proxy); err != nil {
		return err
	}
	if err := b.requests(ctx, s, stalled); err != nil {
		return err
	}
	if err := s.timeSeal(ctx, stalled); err != nil {
		return err
	}
	// The restarted engine tries the same again: Vault revokes, and a pass is asked for.
	if err := s.vaultAPI.write(ctx, stalledPath+"/tidy", nil); err != nil {
		return err
	}
	if err := awaitWaiting(ctx, proxy, http.MethodDelete, 2); err != nil {
		return err
	}
	if err := s.timeStepDown(ctx, stalled); err != nil {
		return err
	}
	proxy.flow()
	return s.timeStepDown(ctx, undisturbed)
}

// stallEverything returns when a drain, a pass and revocations wait for an InfluxDB that does not answer.
func (b *bench) stallEverything(ctx context.Context, s *stand, proxy *stallable) error {
	var leases collected[string]
	if _, err := forAll(ctx, stallClients, numbers(stallRevocations), func(ctx context.Context, _ int) error {
		lease, err := s.vaultAPI.lease(ctx, stalledPath+"/creds/app")
		leases.add(lease)
		return err
	}); err != nil {
		return err
	}
	proxy.refuseDeletions(true)
	_ = s.vaultAPI.revoke(ctx, leases.all[0]) // it fails, and is pending for the drain
	proxy.stall()
	proxy.refuseDeletions(false)
	b.say("isolation: waiting for Vault's minute, which starts the drain")
	if err := awaitWaiting(ctx, proxy, http.MethodDelete, 1); err != nil {
		return err
	}
	if err := s.vaultAPI.write(ctx, stalledPath+"/tidy", nil); err != nil {
		return err
	}
	if err := awaitWaiting(ctx, proxy, http.MethodPost, 1); err != nil {
		return err
	}
	// Without sync Vault answers at once and revokes in the background.
	if err := s.vaultAPI.call(ctx, http.MethodPut, "sys/leases/revoke-prefix/"+stalledPath+"/creds/app", []byte(`{"sync":false}`), nil); err != nil {
		return err
	}
	return awaitWaiting(ctx, proxy, http.MethodDelete, 2)
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
	}{{"/config", &f.configReads}, {"/static-creds/kept", &f.staticReads}} {
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
