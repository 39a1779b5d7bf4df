package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

func TestNothingIsLeftRunning(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	own, err := lab.New()
	require.NoError(t, err)
	_, err = own.StartInflux(ctx, lab.InfluxOptions{})
	require.NoError(t, err)
	_, err = own.StartVault(ctx, lab.VaultOptions{Storage: "inmem"})
	require.NoError(t, err)
	started, err := own.Processes(ctx)
	require.NoError(t, err)
	require.Len(t, started, 2)

	require.NoError(t, own.Close())
	assertAllGone(t, started)
	assert.NoDirExists(t, own.Dir())
}

// victimProgram makes this test binary start a server and then wait to be killed.
const victimProgram = "LAB_VICTIM_PROGRAM"

func TestServersEndWithTheirProgram(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, os.Args[0])
	program.Env = append(os.Environ(), victimProgram+"=yes")
	program.Stderr = os.Stderr
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() { _ = program.Wait() }) // where the test ends early; its servers end with it
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the program tells its lab's directory")
	dir := lines.Text()
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.True(t, lines.Scan(), "the program tells its server")
	server, err := strconv.Atoi(lines.Text())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(server, 0), "the server runs")

	require.NoError(t, program.Process.Kill())
	_ = program.Wait()
	assertAllGone(t, []int{server})
}

func startServersAndWaitForDeath() {
	started, err := lab.New()
	if err == nil {
		fmt.Println(started.Dir())
		_, err = started.StartInflux(context.Background(), lab.InfluxOptions{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pids, _ := started.Processes(context.Background())
	fmt.Println(pids[0])
	select {} // until it is killed
}

func assertAllGone(t *testing.T, pids []int) {
	t.Helper()
	assert.NoError(t, lab.Await(t.Context(), time.Minute, "the processes to end", func(ctx context.Context) error {
		living, err := lab.Living(ctx, pids)
		if err == nil && len(living) > 0 {
			err = fmt.Errorf("still there: %v", living)
		}
		return err
	}))
}
