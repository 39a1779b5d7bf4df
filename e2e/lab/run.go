package lab

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// run is one start of a process, until it has exited and its process group is empty.
type run struct {
	cmd      *exec.Cmd
	sentinel *sentinel
	exited   chan struct{}
}

func (r *run) pid() int { return r.cmd.Process.Pid }

func (r *run) hasExited() bool {
	select {
	case <-r.exited:
		return true
	default:
		return false
	}
}

// end stops the server and its whole group, and then the sentinel, in this order: as long as
// something of the group lives, something must watch it.
func (r *run) end(grace time.Duration) error {
	if r.sentinel == nil && r.hasExited() {
		return nil
	}
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.exited:
	case <-time.After(grace):
	}
	// Nobody is left, and the group's number may soon be another's: then there is nothing to kill.
	if left, err := members(context.Background(), []int{r.pid()}); err != nil || len(left) > 0 {
		_ = syscall.Kill(-r.pid(), syscall.SIGKILL)
	}
	<-r.exited
	if err := r.awaitEmptyGroup(); err != nil {
		return err
	}
	sentinel := r.sentinel
	r.sentinel = nil
	return sentinel.release()
}

// awaitEmptyGroup waits for the server's children; they are killed already, and others' to bury.
func (r *run) awaitEmptyGroup() error {
	return Await(context.Background(), stopGrace, "the children of "+r.cmd.Path+" to end", func(ctx context.Context) error {
		left, err := members(ctx, []int{r.pid()})
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("still there: %v", left)
		}
		return err
	})
}
