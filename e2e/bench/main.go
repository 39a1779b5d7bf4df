// Command bench measures the plugin in a real Vault (raft storage) with a real InfluxDB, beside what limits it:
// InfluxDB itself, Vault's leases alone, and the least engine there can be (see floor). Its table, its picture and its
// numbers go to docs/.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// bench is one run.
type bench struct {
	clients []int
	// rounds is how often each measurement is made, scaleRounds how often each of those at scale, phase how long one takes.
	rounds, scaleRounds int
	phase               time.Duration
	// stalls is how often InfluxDB stalls; each takes more than a minute.
	stalls int
	// sizes are those at which mints are measured, growing.
	sizes []size
	// profiles is a directory for CPU profiles of the plugin's mints; empty for none.
	profiles string
	started  time.Time
}

func main() {
	b := &bench{clients: []int{1, 8, 32}, scaleRounds: 5, stalls: 3, sizes: []size{{1000, 10}, {100000, 10000}}, started: time.Now()}
	short := flag.Bool("short", false, "a run of few minutes with fewer rounds and tokens, whose numbers are only hints")
	only := flag.String("only", "", "one part: rates, scale or isolation; nothing is written then")
	flag.Func("clients", "how many clients call at once, one after the other (default 1,8,32)", func(list string) (err error) {
		b.clients, err = counts(list)
		return err
	})
	flag.IntVar(&b.rounds, "rounds", 9, "how often each measurement is made")
	flag.DurationVar(&b.phase, "phase", 1500*time.Millisecond, "how long one measurement takes")
	out := flag.String("out", "", "the directory to write performance.md, .json and .svg to; empty prints only")
	flag.StringVar(&b.profiles, "profiles", "", "a directory to write CPU profiles of the plugin's mints to")
	flag.Parse()
	if *short {
		b.rounds, b.scaleRounds, b.phase, b.stalls, b.sizes = 3, 3, 700*time.Millisecond, 1, []size{{500, 10}, {5000, 500}}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// After the first signal the next one ends the program at once; the lab's sentinels stop the servers.
	context.AfterFunc(ctx, stop)
	if err := b.run(ctx, *only, *out); err != nil {
		fmt.Fprintf(os.Stderr, "\nbench failed: %v\n", err)
		os.Exit(1)
	}
}

// counts reads a list of numbers with commas.
func counts(list string) ([]int, error) {
	var all []int
	for item := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(item)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number of clients", item)
		}
		all = append(all, n)
	}
	return all, nil
}

// run starts the servers, measures, and stops them whatever happened.
func (b *bench) run(ctx context.Context, only, out string) (err error) {
	servers, err := lab.New()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			servers.Complaints(os.Stderr)
		}
		err = errors.Join(err, servers.Close())
	}()
	found, err := b.measure(ctx, servers, only)
	if err != nil {
		return err
	}
	fmt.Println("\n" + found.markdown())
	if only != "" || out == "" {
		return nil
	}
	return found.write(out)
}

func (b *bench) measure(ctx context.Context, servers *lab.Lab, only string) (*report, error) {
	found, err := b.newReport(ctx)
	if err != nil {
		return nil, err
	}
	if warning := found.disturbed(); warning != "" {
		b.say("%s", warning)
	}
	b.say("building the plugin, its earlier build and the floor engine, starting Vault and InfluxDB")
	built, err := build(ctx, servers)
	if err != nil {
		return nil, err
	}
	small, err := newStand(ctx, servers, built)
	if err != nil {
		return nil, err
	}
	if only == "" || only == "rates" {
		results, err := b.measureRates(ctx, small)
		if err != nil {
			return nil, fmt.Errorf("rates: %w", err)
		}
		found.Rates = ratesOf(results, b.clients)
	}
	finish := func() error { return nil }
	if only == "" || only == "scale" {
		if finish, err = b.measureScale(ctx, small, built, found); err != nil {
			return nil, fmt.Errorf("scale: %w", err)
		}
	}
	if only == "" || only == "isolation" {
		if found.Isolation, err = b.measureIsolation(ctx, small); err != nil {
			return nil, fmt.Errorf("isolation: %w", err)
		}
	}
	if err := finish(); err != nil {
		return nil, err
	}
	found.Minutes = time.Since(b.started).Minutes()
	return found, nil
}

// say prints a line of progress.
func (b *bench) say(format string, args ...any) {
	fmt.Printf("%4.0f s  %s\n", time.Since(b.started).Seconds(), fmt.Sprintf(format, args...))
}
