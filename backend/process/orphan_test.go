package process

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// orphanRole makes this test binary play a part in TestAnOrphanEnds.
const orphanRole = "ORPHAN_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(orphanRole) {
	case "parent": // starts a child, and waits to be killed
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), orphanRole+"=child")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			panic(err)
		}
		select {}
	case "child":
		parent := os.Getppid() // before the parent is killed
		_, _ = os.Stdout.WriteString(strconv.Itoa(os.Getpid()) + "\n")
		endWithParent(parent)
	}
	os.Exit(m.Run())
}

// The child holds the pipe open for as long as it lives, however its parent ends.
func TestAnOrphanEnds(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), orphanRole+"=parent")
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, parent.Start())
	said := bufio.NewReader(out)
	line, err := said.ReadString('\n')
	require.NoError(t, err)
	child, err := strconv.Atoi(line[:len(line)-1])
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(child, syscall.SIGKILL) }) // where it does not end by itself
	require.NoError(t, syscall.Kill(child, 0), "it lives while its parent does")

	require.NoError(t, parent.Process.Kill())
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(said)
		ended <- err
	}()
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(time.Minute):
		assert.Fail(t, "the child lives on")
	}
	_ = parent.Wait()
}

func TestAProcessIsOrphanedWhenItsParentChanges(t *testing.T) {
	for name, parents := range map[string][]int{
		"given to process 1":                    {4711, 4711, 4711, 1},
		"given to a subreaper":                  {4711, 4711, 1234},
		"the parent was process 1 of its space": {1, 1, 1, 1234},
		"outside of the process's space":        {0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			poll := make(chan time.Time, len(parents))
			for range parents {
				poll <- time.Time{}
			}
			asked := 0
			awaitOrphaned(parents[0], func() int { asked++; return parents[asked] }, poll)
			assert.Equal(t, len(parents)-1, asked, "it waited for the last of them")
		})
	}
}
