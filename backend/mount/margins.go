//go:build !crashtest

package mount

import "time"

// How long the engine waits before it takes something for proven. Tests of crashes build the plugin with the tag
// crashtest, which shortens these waits and lets the test stop the plugin at exact points.
const (
	// DeadlineMargin is how far a token's deadline lies behind the end of its longest lease: Vault starts the lease
	// after our answer, and its clock may run a little ahead of ours.
	DeadlineMargin = 60 * time.Second
	// TidyMargin is how far a deadline must have passed before tidy deletes the token: Vault's clock and ours may differ.
	TidyMargin = 5 * time.Minute
	// LeaseMargin is how long after the last moment at which a token can have a lease it is deleted, where Vault has neither
	// renewed nor revoked it: Vault registers a lease after our answer, and may be late with its end.
	LeaseMargin = 5 * time.Minute
	// UnknownAge is how long after a mint of unknown outcome a list proves that no token was made. A list asked for at
	// once was measured to miss 95 of 120 tokens that came to be.
	UnknownAge = 2 * time.Minute
	// InterruptedAge is how old an interrupted rotation must be before it is recovered: whoever began it may be a
	// process that outlived its Vault, and its last call must have ended.
	InterruptedAge = 5 * time.Minute
	// Registration is how long Vault may take to register a lease that was answered. A mount that is being disabled waits so
	// long after its last mint.
	Registration = 500 * time.Millisecond
)

// MaxRequestTimeout is the most that one call may take, in seconds. It leaves a revocation time to write a deletion down
// and to answer: Vault gives up on one that it makes in the background after 90 seconds, and counts it as failed whatever
// comes later.
const MaxRequestTimeout = 60
