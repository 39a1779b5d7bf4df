package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wholeToken is what an InfluxDB token looks like.
var wholeToken = regexp.MustCompile(`[A-Za-z0-9_-]{80,}==`)

func TestDemoEndsByItself(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), playground(t), "-demo").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "401: InfluxDB does not know it any more")
	assert.False(t, wholeToken.Match(out), "a token is shown by its beginning only")
}

func TestPlaygroundRunsUntilInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, playground(t))
	program.Cancel = func() error { return program.Process.Signal(os.Interrupt) } // so that it takes its servers along
	program.WaitDelay = time.Minute
	pipe, err := program.StdoutPipe()
	require.NoError(t, err)
	out := bufio.NewReader(pipe)
	var complaints bytes.Buffer
	program.Stderr = &complaints
	require.NoError(t, program.Start())
	t.Cleanup(func() { _ = program.Wait() }) // where the test ends early

	shown := readUntil(t, out, "Ctrl-C stops both servers")
	vaultToken := tokenFile(t, shown, "vault-token")
	operatorToken := tokenFile(t, shown, "influxdb-operator-token")
	require.NoError(t, program.Process.Signal(os.Interrupt))
	rest, err := io.ReadAll(out)
	require.NoError(t, err)
	require.NoError(t, program.Wait(), "interrupted, it ends well: %s", &complaints)

	assert.NoDirExists(t, filepath.Dir(vaultToken.path))
	everything := shown + string(rest) + complaints.String()
	for _, secret := range []string{vaultToken.value, operatorToken.value} {
		require.Greater(t, len(secret), 20)
		assert.False(t, strings.Contains(everything, secret), "a secret is shown")
	}
	assert.False(t, wholeToken.MatchString(everything), "a token is shown whole")
}

// playground builds the program as `go run` would.
func playground(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "playground")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./playground").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

func readUntil(t *testing.T, from *bufio.Reader, wanted string) string {
	t.Helper()
	var shown strings.Builder
	for {
		line, err := from.ReadString('\n')
		shown.WriteString(line)
		if strings.Contains(line, wanted) {
			return shown.String()
		}
		require.NoError(t, err, "the playground ended before it said %q:\n%s", wanted, &shown)
	}
}

type secretFile struct{ path, value string }

// tokenFile is a file that the playground names; nobody else may read it.
func tokenFile(t *testing.T, shown, name string) secretFile {
	t.Helper()
	path := regexp.MustCompile(`/\S+/` + name + `\b`).FindString(shown)
	require.NotEmpty(t, path, "the playground names its file %s", name)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return secretFile{path, strings.TrimSpace(string(content))}
}
