package process

import (
	"os"
	"runtime"
)

// share is the part of the processors that this process runs on at once. A call takes four times as much of their
// time in Vault as here, so that a quarter is all that a busy host can make use of.
const share = 4

// limitProcessors has this process run on a share of the processors that it may use. A call passes from goroutine to
// goroutine, each of which wakes a thread on an idle processor if there is one: up to four processors, where one is enough,
// that was measured to be a tenth of a mint's processor time and a sixth of a renewal's. What the environment variable
// GOMAXPROCS says goes before.
func limitProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/share))
	}
}
