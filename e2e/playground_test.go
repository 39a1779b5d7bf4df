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
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-influxdb/e2e/lab"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wholeToken is what an InfluxDB token looks like.
var wholeToken = regexp.MustCompile(`[A-Za-z0-9_-]{80,}==`)

func TestDemoEndsByItself(t *testing.T) {
	t.Parallel()
	program := playground(t.Context(), t, "-demo")
	program.Env = append(program.Env, "INFLUXDB3_BIN=") // its story is told below
	out, err := program.CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "401: InfluxDB does not know it any more")
	assert.False(t, wholeToken.Match(out), "a token is shown by its beginning only")
	name, other := "Vault", "OpenBao"
	if onOpenBao() {
		name, other = other, name
	}
	assert.Regexp(t, "→ "+name+` v?[0-9.]+ runs at http`, string(out), "it says which server it is")
	assert.NotContains(t, string(out), other)
	assert.Contains(t, string(out), "$ "+lab.Host()+" read influxdb/creds/app")
}

func TestPlaygroundRunsUntilInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), quickStartLimit)
	defer cancel()
	program := playground(ctx, t)
	program.Env = append(program.Env, "INFLUXDB3_BIN=")
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
	vaultToken := tokenFile(t, shown, lab.Host()+"-token")
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

// playground is the program, built as `go run` would, on a machine that has both hosts; or, of OpenBao's tests, that one
// alone.
func playground(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "playground")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", path, "./playground").CombinedOutput()
	require.NoError(t, err, "%s", out)
	program := exec.CommandContext(ctx, path, args...)
	program.Env = os.Environ()
	has := func(server string) {
		binary, err := lab.Binary(ctx, server)
		require.NoError(t, err)
		program.Env = append(program.Env, strings.ToUpper(server)+"_BIN="+binary)
	}
	has("bao")
	has("influxd")
	if !onOpenBao() {
		has("vault")
		return program
	}
	goCaches, err := exec.CommandContext(ctx, "go", "env", "GOCACHE", "GOMODCACHE").Output()
	require.NoError(t, err)
	caches := strings.Fields(string(goCaches))
	require.Len(t, caches, 2)
	program.Env = append(program.Env, "GOCACHE="+caches[0], "GOMODCACHE="+caches[1],
		"VAULT_BIN=", "PATH="+pathWithout("vault"), "XDG_CACHE_HOME="+t.TempDir(), "HOME="+t.TempDir())
	return program
}

// pathWithout is the PATH without the directories that have a command.
func pathWithout(command string) string {
	directories := slices.DeleteFunc(filepath.SplitList(os.Getenv("PATH")), func(directory string) bool {
		_, err := os.Stat(filepath.Join(directory, command))
		return err == nil
	})
	return strings.Join(directories, string(filepath.ListSeparator))
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

// With an InfluxDB 3 Core the story is told on that.
func TestDemoOnInfluxDB3Core(t *testing.T) {
	t.Parallel()
	if lab.Influx3Binary() == "" {
		t.Skip(noCore)
	}
	out, err := playground(t.Context(), t, "-demo").CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, says := range []string{"the product is core", "A lease on Core contains nobody", "401: InfluxDB does not know it any more"} {
		assert.Contains(t, string(out), says)
	}
	assert.NotRegexp(t, `apiv3_[A-Za-z0-9_-]{20,}`, string(out), "a token is shown by its beginning only")
}
