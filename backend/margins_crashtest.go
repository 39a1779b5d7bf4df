//go:build crashtest

package backend

import "time"

// The waits of margins.go, for tests of crashes: both servers run on one machine and have one clock.
const (
	deadlineGrace = 2 * time.Second
	reapGrace     = 1 * time.Second
	nonceAge      = 10 * time.Second
	intentionAge  = 10 * time.Second
)

// maxRequestTimeout lets a test hold a call for as long as a busy machine needs to get all others to their points.
const maxRequestTimeout = 300
