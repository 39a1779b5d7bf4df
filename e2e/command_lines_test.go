package e2e

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// commandWatch collects the command lines of this machine for as long as it runs: every user can read them.
type commandWatch struct {
	end  context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	seen   map[string]bool
	failed error
}

// watchPeriod is short beside the life of a server, and a look costs some milliseconds.
const watchPeriod = time.Second

func watchCommands() *commandWatch {
	ctx, end := context.WithCancel(context.Background())
	w := &commandWatch{end: end, seen: map[string]bool{}}
	w.done.Go(func() {
		ticker := time.NewTicker(watchPeriod)
		defer ticker.Stop()
		for {
			w.look()
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
		}
	})
	return w
}

func (w *commandWatch) look() {
	// -ww: whole lines, however wide the terminal.
	out, err := exec.Command("ps", "-A", "-ww", "-o", "args=").Output()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed = fmt.Errorf("listing command lines: %w", err)
		return
	}
	w.failed = nil // one that failed among hundreds hides nothing
	for line := range strings.Lines(string(out)) {
		w.seen[strings.TrimSpace(line)] = true
	}
}

// lines are those seen so far.
func (w *commandWatch) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.seen))
}

// stop ends the watch and answers what it saw.
func (w *commandWatch) stop() ([]string, error) {
	w.end()
	w.done.Wait()
	return w.lines(), w.failed
}

func TestCommandLinesAreWatched(t *testing.T) {
	const planted = "planted-on-a-command-line-for-this-test-0123456789"
	sleeper := exec.Command("sh", "-c", "read -r line", planted)
	stdin, err := sleeper.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, sleeper.Start())
	t.Cleanup(func() {
		assert.NoError(t, stdin.Close())
		_ = sleeper.Wait() // read at the end of its input is no success
	})
	wanted := newTokenSet()
	wanted.add(planted)
	require.NoError(t, lab.Await(t.Context(), time.Minute, "the command line to be seen", func(context.Context) error {
		if !wanted.in([]byte(strings.Join(shared.commands.lines(), "\n"))) {
			return fmt.Errorf("not among %d", len(shared.commands.lines()))
		}
		return nil
	}))
}
