package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// productModule names the go.mod of the repository's root.
const productModule = "module vault-plugin-secrets-influxdb\n"

// Binary is the path of a server or client program: "vault", "influxd" with a version, "influx".
// Where this machine has none it is built, which takes minutes once; progress goes to standard error.
func Binary(ctx context.Context, name string, version ...string) (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	script := filepath.Join(root, "scripts", "server.sh")
	cmd := exec.CommandContext(ctx, script, append([]string{name}, version...)...)
	cmd.Stderr = os.Stderr
	// A build that is no longer wanted ends tidily: the script stops its compilers.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", script, strings.Join(cmd.Args[1:], " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

// repositoryRoot is found from the working directory, which for a test is its package's.
func repositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		switch {
		case err == nil && strings.HasPrefix(string(content), productModule):
			return dir, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", err
		case dir == filepath.Dir(dir):
			return "", fmt.Errorf("no repository above %s: run this from inside it", start)
		}
	}
}
