//go:build crashtest

package mount

import "time"

// The waits of margins.go, for tests of crashes: both servers run on one machine and have one clock.
const (
	DeadlineMargin = 2 * time.Second
	TidyMargin     = 1 * time.Second
	LeaseMargin    = 10 * time.Second
	UnknownAge     = 10 * time.Second
	InterruptedAge = 10 * time.Second
	Registration   = 3 * time.Second // longer than usual: a busy machine must not look like a mistake
)

// MaxRequestTimeout lets a test hold a call for as long as a busy machine needs to get all others to their points.
const MaxRequestTimeout = 300
