package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what closed-loop clients did: each makes its next call when the last one is answered.
type load struct {
	took time.Duration
	// latencies are sorted.
	latencies []time.Duration
}

func (l load) rate() float64 { return float64(len(l.latencies)) / l.took.Seconds() }

// quantile is the latency that this part of the calls stayed below.
func (l load) quantile(part float64) time.Duration {
	if len(l.latencies) == 0 {
		return 0
	}
	return l.latencies[min(len(l.latencies)-1, int(part*float64(len(l.latencies))))]
}

// errNoMore is what a call answers that found nothing left to do.
var errNoMore = errors.New("nothing left to do")

// forSome lets clients call for a time.
func forSome(ctx context.Context, clients int, length time.Duration, call func(context.Context) error) (load, error) {
	end := time.Now().Add(length)
	return drive(ctx, clients, func(ctx context.Context) error {
		if time.Now().After(end) {
			return errNoMore
		}
		return call(ctx)
	})
}

// forAll lets clients call once for each item.
func forAll[T any](ctx context.Context, clients int, items []T, call func(context.Context, T) error) (load, error) {
	var next atomic.Int64
	return drive(ctx, clients, func(ctx context.Context) error {
		n := int(next.Add(1)) - 1
		if n >= len(items) {
			return errNoMore
		}
		return call(ctx, items[n])
	})
}

// drive lets clients call until there is nothing left to do. The first error ends all of them.
func drive(ctx context.Context, clients int, call func(context.Context) error) (load, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	each := make([][]time.Duration, clients)
	started := time.Now()
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				began := time.Now()
				switch err := call(ctx); {
				case errors.Is(err, errNoMore):
					return
				case err != nil:
					cancel(err)
					return
				}
				each[client] = append(each[client], time.Since(began))
			}
		})
	}
	all.Wait()
	l := load{took: time.Since(started), latencies: slices.Concat(each...)}
	slices.Sort(l.latencies)
	return l, context.Cause(ctx)
}

// collected gathers what concurrent clients have made.
type collected[T any] struct {
	mu  sync.Mutex
	all []T
}

func (c *collected[T]) add(one T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, one)
}

// newCounter counts through 0 … n-1 again and again, for many clients.
func newCounter(n int) func() int {
	var count atomic.Int64
	return func() int { return int(count.Add(1)-1) % n }
}
