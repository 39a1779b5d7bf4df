package lab

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// sentinel is a small shell beside a server that kills the server's process group when this program
// dies, however it dies (a panic, the test runner's time-out, kill -9): then the pipe that the shell
// reads from closes. It works where there is no "die with your parent", and reaches the server's
// children (plugins), which such a setting doesn't.
type sentinel struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

const (
	released       = "released"
	sentinelScript = `read -r verdict; [ "$verdict" = ` + released + ` ] || kill -s KILL -- "-$1"`
)

func startSentinel(group int) (*sentinel, error) {
	cmd := exec.Command("/bin/sh", "-c", sentinelScript, "sentinel", strconv.Itoa(group))
	// Not in this program's group: a Ctrl-C at the terminal must not end the sentinel first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the sentinel of process group %d: %w", group, err)
	}
	return &sentinel{cmd: cmd, pipe: pipe}, nil
}

// release lets the sentinel go home: its group is gone.
func (s *sentinel) release() error {
	if s == nil {
		return nil
	}
	_, err := io.WriteString(s.pipe, released+"\n")
	return errors.Join(err, s.pipe.Close(), s.cmd.Wait())
}
