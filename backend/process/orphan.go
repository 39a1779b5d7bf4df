package process

import (
	"os"
	"time"
)

const (
	// parentPoll is how often the process looks whether its parent is still there.
	parentPoll = time.Second
	// orphanGrace is how long it then lives on: calls that the end of Vault cut off delete the tokens that they made.
	orphanGrace = 5 * time.Second
)

// endWithParent ends the process a few seconds after its parent, whose ID is given, has ended. A Vault that is killed
// can't stop its plugins, and go-plugin has them serve for ever.
func endWithParent(parent int) {
	awaitOrphaned(parent, os.Getppid, time.Tick(parentPoll))
	<-time.After(orphanGrace)
	os.Exit(0)
}

// awaitOrphaned returns once the ID of the parent is another one than first: an orphan is given to process 1, or to
// the nearest subreaper. The ID itself says nothing, since a Vault in a container is process 1; when that one ends, the
// system ends all others in its container.
func awaitOrphaned(first int, parentID func() int, poll <-chan time.Time) {
	for parentID() == first {
		<-poll
	}
}
