//go:build hasty

package backend

import "time"

// The waits of graces.go, for tests of crashes: both servers run on one machine and have one clock.
const (
	deadlineGrace = 2 * time.Second
	reapGrace     = 1 * time.Second
	nonceAge      = 10 * time.Second
	intentionAge  = 10 * time.Second
)
