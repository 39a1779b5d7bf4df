package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// passCost compares a run of tidy with a plain download of the list that it looks at.
type passCost struct {
	Tokens    int     `json:"tokens"`
	Megabytes float64 `json:"list_mb"`
	// CPU is the processor time of the plugin's process in a run, EarlierCPU that of the earlier build's; nil without one.
	CPU        spread  `json:"pass_cpu_seconds"`
	EarlierCPU *spread `json:"earlier_pass_cpu_seconds,omitempty"`
	OfEarlier  spread  `json:"pass_cpu_of_earlier"`
	Download   spread  `json:"download_seconds"`
	Pass       spread  `json:"pass_seconds"`
	Ratio      spread  `json:"ratio"`
	// Rise is by how much the plugin's resident memory grew at most.
	Rise spread `json:"rise_mb"`
	// MintsAlone and MintsMeanwhile are the rates of one client.
	MintsAlone     float64 `json:"mints_alone_per_second"`
	MintsMeanwhile float64 `json:"mints_meanwhile_per_second"`
}

// passRounds is how often the list is downloaded and looked at, and betweenLooks how long a run of tidy is left alone: to be
// asked how it goes costs the plugin processor time, too.
const (
	passRounds   = 3
	betweenLooks = 250 * time.Millisecond
)

func (b *bench) measurePass(ctx context.Context, s *stand, tokens int, p process) (*passCost, error) {
	cost := &passCost{Tokens: tokens}
	var downloads, passes, rises, spent, earlierSpent []float64
	for round := range passRounds {
		took, size, err := s.download(ctx)
		if err != nil {
			return nil, err
		}
		cost.Megabytes = float64(size) / 1e6
		before, err := p.resident(ctx)
		if err != nil {
			return nil, err
		}
		peak := p.peak(ctx)
		pass, seconds, err := s.tidy(ctx, oursPath, p)
		most, peakErr := peak()
		if err := errors.Join(err, peakErr); err != nil {
			return nil, err
		}
		spent = append(spent, seconds)
		if s.earlier != nil {
			earlier, err := s.process(ctx, *s.earlier)
			if err != nil {
				return nil, err
			}
			_, seconds, err := s.tidy(ctx, earlierPath, earlier)
			if err != nil {
				return nil, err
			}
			earlierSpent = append(earlierSpent, seconds)
		}
		downloads, passes = append(downloads, took.Seconds()), append(passes, pass.Seconds())
		rises = append(rises, float64(most-before)/1e6)
		b.say("pass %d of %d: download %.1f s, pass %.1f s, %.1f MB more", round+1, passRounds, took.Seconds(), pass.Seconds(), rises[round])
	}
	cost.CPU = spreadOf(spent)
	if s.earlier != nil {
		all := spreadOf(earlierSpent)
		cost.EarlierCPU, cost.OfEarlier = &all, ratios(spent, earlierSpent)
	}
	cost.Download, cost.Pass, cost.Ratio, cost.Rise = spreadOf(downloads), spreadOf(passes), ratios(passes, downloads), spreadOf(rises)
	return cost, b.mintsBesidePass(ctx, s, p, cost)
}

// download takes the list as it comes and throws it away.
func (s *stand) download(ctx context.Context) (time.Duration, int64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.influxAPI.url+"authorizations", nil)
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set(s.influxAPI.header, s.influxAPI.token)
	started := time.Now()
	response, err := s.influxAPI.http.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	size, err := io.Copy(io.Discard, response.Body)
	return time.Since(started), size, err
}

// tidy starts a run of tidy at a mount and waits for its end. It returns how long that took, and the seconds of processor
// time that the plugin's process has used meanwhile.
func (s *stand) tidy(ctx context.Context, path string, p process) (took time.Duration, cpu float64, err error) {
	before, err := p.cpu(ctx)
	if err != nil {
		return 0, 0, err
	}
	started := time.Now()
	if err := s.vaultAPI.write(ctx, path+"/tidy", nil); err != nil {
		return 0, 0, err
	}
	err = lab.Await(ctx, 5*time.Minute, "tidy", func(ctx context.Context) error {
		<-time.After(betweenLooks)
		var status struct {
			Data struct {
				State     string `json:"state"`
				LastError string `json:"last_error"`
			}
		}
		err := s.vaultAPI.call(ctx, http.MethodGet, path+"/tidy-status", nil, &status)
		switch {
		case err != nil:
			return lab.Final(err)
		case status.Data.State == "running":
			return errors.New("it runs")
		case status.Data.State != "done":
			return lab.Final(fmt.Errorf("tidy is %s: %s", status.Data.State, status.Data.LastError))
		}
		return nil
	})
	took = time.Since(started)
	if err != nil {
		return 0, 0, err
	}
	after, err := p.cpu(ctx)
	return took, (after - before).Seconds(), err
}

// mintsBesidePass measures one client's mints, alone and while tidy runs.
func (b *bench) mintsBesidePass(ctx context.Context, s *stand, p process, cost *passCost) error {
	var made collected[string]
	once := func(ctx context.Context) error {
		lease, err := s.vaultAPI.lease(ctx, oursPath+"/creds/app")
		made.add(lease)
		return err
	}
	alone, err := forSome(ctx, 1, 2*b.phase, once)
	if err != nil {
		return err
	}
	var over atomic.Bool
	ended := make(chan error, 1)
	go func() {
		_, _, err := s.tidy(ctx, oursPath, p)
		over.Store(true)
		ended <- err
	}()
	meanwhile, err := drive(ctx, 1, func(ctx context.Context) error {
		if over.Load() {
			return errNoMore
		}
		return once(ctx)
	})
	if err := errors.Join(err, <-ended); err != nil {
		return err
	}
	cost.MintsAlone, cost.MintsMeanwhile = alone.rate(), meanwhile.rate()
	_, err = forAll(ctx, scaleClients, made.all, s.vaultAPI.revoke)
	return err
}
