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

// Host is the program that runs the engine in tests: "vault", or "bao" where the environment's HOST says so.
func Host() string {
	if host := os.Getenv("HOST"); host != "" {
		return host
	}
	return "vault"
}

// Binary is the path of a server or client program: "vault", "bao", "influxd" with a version, "influx".
// Where this machine has none it is built, which takes minutes once; progress goes to standard error.
func Binary(ctx context.Context, name string, version ...string) (string, error) {
	return serverScript(ctx, append([]string{name}, version...)...)
}

// AnyHost is the name and the path of a Vault, or else an OpenBao, that this machine has. Where there is neither it is an
// OpenBao, which is fetched in seconds.
func AnyHost(ctx context.Context) (name, path string, err error) {
	for _, name = range []string{"vault", "bao"} {
		if path, err = serverScript(ctx, "--here", name); err != nil || path != "" {
			return name, path, err
		}
	}
	path, err = Binary(ctx, name)
	return name, path, err
}

func serverScript(ctx context.Context, args ...string) (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	script := filepath.Join(root, "scripts", "server.sh")
	cmd := exec.CommandContext(ctx, script, args...)
	cmd.Stderr = os.Stderr
	// A build that is no longer wanted ends tidily: the script stops its compilers.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", script, strings.Join(args, " "), err)
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
