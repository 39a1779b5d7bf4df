package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	pluginCommand = "vault-plugin-secrets-influxdb"

	// PluginVersion is what Plugin builds where a test needs no particular version.
	PluginVersion = "v0.1.0"
	// PluginName is the plugin's name in Vault's catalog.
	PluginName = "influxdb"
)

// Plugin is a built plugin binary.
type Plugin struct {
	Path string
	// Name is its name in Vault's catalog; Register takes PluginName where it is empty.
	Name    string
	Version string
	SHA256  string
}

// The plugin's build tags.
const (
	// Hasty makes its waits short, and has it stop where a test of crashes says.
	Hasty = "hasty"
	// Profiled makes it serve profiles and statistics.
	Profiled = "pprof"
)

// Plugin builds the plugin from this repository, once for each version and its build tags in the life of a lab.
func (l *Lab) Plugin(ctx context.Context, version string, tags ...string) (Plugin, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := strings.Join(append([]string{version}, tags...), "_")
	if built, ok := l.plugins[key]; ok {
		return built, nil
	}
	built, err := l.build(ctx, pluginCommand+"_"+key, ".", "./cmd/"+pluginCommand, pluginFlags(version, tags...)...)
	if err != nil {
		return Plugin{}, err
	}
	built.Version = version
	l.plugins[key] = built
	return built, nil
}

// Floor is the engine that the plugin is measured against.
func (l *Lab) Floor(ctx context.Context) (Plugin, error) {
	built, err := l.build(ctx, "floor", "e2e", "./floor")
	built.Name = "floor"
	return built, err
}

// pluginFlags are those of `make build`, and build tags: without one, what is tested is what is shipped.
func pluginFlags(version string, tags ...string) []string {
	return []string{"-tags", strings.Join(tags, ","), "-ldflags", "-s -w -X vault-plugin-secrets-influxdb/backend.Version=" + version}
}

// build compiles a command of the module in a directory of this repository.
func (l *Lab) build(ctx context.Context, name, module, command string, flags ...string) (Plugin, error) {
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	path := filepath.Join(l.dir, name)
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-trimpath", "-o", path}, flags...), command)...)
	cmd.Dir = filepath.Join(root, module)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Plugin{}, fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	sum, err := fileSHA256(path)
	return Plugin{Path: path, SHA256: sum}, err
}

func fileSHA256(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
