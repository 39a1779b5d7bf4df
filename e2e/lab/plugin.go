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
	// Database says that it is one of Vault's database engine.
	Database bool
}

// CrashTest is the build tag of TestPlugin that makes the engine's waits short.
const CrashTest = "crashtest"

// Plugin builds the plugin as `make build` does, so that what is tested is what is released: once for each version in the
// life of a lab.
func (l *Lab) Plugin(ctx context.Context, version string) (Plugin, error) {
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	return l.plugin(ctx, pluginCommand+"_"+version, version, root, "./cmd/"+pluginCommand)
}

// TestPlugin builds e2e/testplugin, which serves profiles and pauses where a test says, once for its build tags in the
// life of a lab.
func (l *Lab) TestPlugin(ctx context.Context, tags ...string) (Plugin, error) {
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	name := strings.Join(append([]string{"testplugin"}, tags...), "_")
	return l.plugin(ctx, name, PluginVersion, filepath.Join(root, "e2e"), "./testplugin", "-tags", strings.Join(tags, ","))
}

// plugin builds a command that serves the engine, and keeps it under its file name.
func (l *Lab) plugin(ctx context.Context, name, version, module, command string, flags ...string) (Plugin, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if built, ok := l.plugins[name]; ok {
		return built, nil
	}
	flags = append(flags, "-ldflags", "-s -w -X vault-plugin-secrets-influxdb/backend.Version="+version)
	built, err := l.build(ctx, name, module, command, flags...)
	if err != nil {
		return Plugin{}, err
	}
	built.Version = version
	l.plugins[name] = built
	return built, nil
}

// Floor is the engine that the plugin is measured against.
func (l *Lab) Floor(ctx context.Context) (Plugin, error) {
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	built, err := l.build(ctx, "floor", filepath.Join(root, "e2e"), "./floor")
	built.Name = "floor"
	return built, err
}

// DatabasePlugin is a plugin of Vault's database engine that somebody has built.
func DatabasePlugin(path, name string) (Plugin, error) {
	sum, err := fileSHA256(path)
	return Plugin{Path: path, Name: name, SHA256: sum, Database: true}, err
}

// build compiles a command of the module in a directory.
func (l *Lab) build(ctx context.Context, name, module, command string, flags ...string) (Plugin, error) {
	path := filepath.Join(l.dir, name)
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-trimpath", "-buildvcs=false", "-o", path}, flags...), command)...)
	cmd.Dir = module
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
