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
	Path    string
	Version string
	SHA256  string
}

// Plugin builds the plugin from this repository, once for each version in the life of a lab.
func (l *Lab) Plugin(ctx context.Context, version string) (Plugin, error) {
	return l.build(ctx, version)
}

// HastyPlugin is the plugin with short waits (backend/graces_hasty.go), for tests of crashes.
func (l *Lab) HastyPlugin(ctx context.Context) (Plugin, error) {
	return l.build(ctx, PluginVersion, "hasty")
}

func (l *Lab) build(ctx context.Context, version string, tags ...string) (Plugin, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := strings.Join(append([]string{version}, tags...), "_")
	if built, ok := l.plugins[key]; ok {
		return built, nil
	}
	root, err := repositoryRoot()
	if err != nil {
		return Plugin{}, err
	}
	path := filepath.Join(l.dir, pluginCommand+"_"+key)
	// The same flags as `make build`: what is tested is what is shipped.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", strings.Join(tags, ","),
		"-ldflags", "-X vault-plugin-secrets-influxdb/backend.Version="+version,
		"-o", path, "./cmd/"+pluginCommand)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Plugin{}, fmt.Errorf("building the plugin: %w\n%s", err, out)
	}
	sum, err := fileSHA256(path)
	if err != nil {
		return Plugin{}, err
	}
	l.plugins[key] = Plugin{Path: path, Version: version, SHA256: sum}
	return l.plugins[key], nil
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
