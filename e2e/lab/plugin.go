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

// Plugin builds the plugin by `make build`, so that what is tested is what is released: once for each version in the life of
// a lab.
func (l *Lab) Plugin(ctx context.Context, version string) (Plugin, error) {
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	return l.once(pluginCommand+"_"+version, version, func(path string) error {
		return inside(ctx, root, "make", "--silent", "build", "VERSION="+version, "BINARY="+path)
	})
}

// TestPlugin builds e2e/testplugin, which serves profiles and pauses where a test says, once for its build tags in the
// life of a lab.
func (l *Lab) TestPlugin(ctx context.Context, tags ...string) (Plugin, error) {
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	name := strings.Join(append([]string{"testplugin"}, tags...), "_")
	return l.once(name, PluginVersion, func(path string) error {
		return build(ctx, filepath.Join(root, "e2e"), path, "./testplugin", "-tags", strings.Join(tags, ","), "-ldflags", versionFlag(PluginVersion))
	})
}

// Floor is the engine that the plugin is measured against.
func (l *Lab) Floor(ctx context.Context) (Plugin, error) {
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	built, err := l.once("floor", "", func(path string) error { return build(ctx, filepath.Join(root, "e2e"), path, "./floor") })
	built.Name = "floor"
	return built, err
}

// DatabasePlugin is a plugin of Vault's database engine that somebody has built.
func DatabasePlugin(path, name string) (Plugin, error) {
	sum, err := fileSHA256(path)
	return Plugin{Path: path, Name: name, SHA256: sum, Database: true}, err
}

// once makes a plugin's binary of that file name, unless this lab has made it before.
func (l *Lab) once(name, version string, make func(path string) error) (Plugin, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if built, ok := l.plugins[name]; ok {
		return built, nil
	}
	built := Plugin{Path: filepath.Join(l.dir, name), Version: version}
	if err := make(built.Path); err != nil {
		return Plugin{}, fmt.Errorf("building %s: %w", name, err)
	}
	var err error
	if built.SHA256, err = fileSHA256(built.Path); err == nil {
		l.plugins[name] = built
	}
	return built, err
}

// versionFlag lets the engine say that it is of a version.
func versionFlag(version string) string {
	return "-s -w -X vault-plugin-secrets-influxdb/backend.Version=" + version
}

// build compiles a command of the module in a directory.
func build(ctx context.Context, module, path, command string, flags ...string) error {
	return inside(ctx, module, "go", append(append([]string{"build", "-trimpath", "-buildvcs=false", "-o", path}, flags...), command)...)
}

// inside runs a program in a directory. What make tells its children is not for it.
func inside(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "MAKEFLAGS=", "MAKEOVERRIDES=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
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
