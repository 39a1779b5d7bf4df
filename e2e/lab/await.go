package lab

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// pollInterval is short beside any server's start and long beside one loopback request.
const pollInterval = 50 * time.Millisecond

// finalError ends an Await at once.
type finalError struct{ error }

func (f finalError) Unwrap() error { return f.error }

// Final marks an error of a probe as one that waiting can't mend.
func Final(err error) error { return finalError{err} }

// Await asks probe again and again until it answers nil. After the limit, at the end of ctx or at a
// Final error it gives up, and says what it waited for and what the probe said last.
func Await(ctx context.Context, limit time.Duration, what string, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // a probe that was cut short says nothing
			last = err
		}
		if final := (finalError{}); errors.As(err, &final) {
			return fmt.Errorf("waiting for %s: %w", what, final.error)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: not within %s; at last: %w", what, limit, last)
		}
	}
}
