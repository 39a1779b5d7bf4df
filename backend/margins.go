//go:build !crashtest

package backend

import "time"

// How long the engine waits before it takes something for proven. Tests of crashes build the plugin with the tag
// crashtest, which shortens these waits (see e2e/testplugin).
const (
	// deadlineGrace is how far a token's deadline lies behind the end of its longest lease: Vault starts the
	// lease after our answer, and its clock may run a little ahead of ours.
	deadlineGrace = 60 * time.Second
	// reapGrace is how far a deadline must have passed before a token is reaped: Vault's clock and ours may differ.
	reapGrace = 5 * time.Minute
	// nonceAge is how long after an unanswered mint a list proves that no token was made. A list asked for at once
	// was measured to miss 95 of 120 tokens that came to be.
	nonceAge = 2 * time.Minute
	// intentionAge is how old an interrupted rotation must be before it is finished: whoever began it may be a process
	// that outlived its Vault, and its last call must have ended.
	intentionAge = 5 * time.Minute
)

// maxRequestTimeout is the most that one call may take, in seconds. It leaves a revocation time to write a deletion down
// and to answer: Vault gives up on one that it makes in the background after 90 seconds, and counts it as failed
// whatever comes later.
const maxRequestTimeout = 60
