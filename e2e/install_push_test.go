package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the docs have a person type who pushes the image is run as it is written, with the program that they name: each
// platform's image is there then, under each tag.
func TestTheImageIsPushed(t *testing.T) {
	t.Parallel()
	r := release(t)
	crane, err := exec.CommandContext(t.Context(), filepath.Join("..", "scripts", "tool.sh"), "crane").Output()
	require.NoError(t, err)
	for page, pushed := range map[string]struct {
		heading string
		tags    []string
	}{
		"docs/install.md":   {"## Without the internet", []string{r.version}},
		"docs/releasing.md": {"## Pushing the image", []string{r.version, r.version[1:]}},
	} {
		registry := serveRegistry(t)
		var commands string
		for _, block := range blocks(t, page, pushed.heading) {
			if strings.Contains(block, "crane push") {
				commands = strings.NewReplacer(
					"registry.internal/"+pluginFile, registry, "registry.example/"+pluginFile, registry, "0.2.0", r.version[1:],
					"dist/", r.directory+"/", "-xf "+pluginFile, "-xf "+r.directory+"/"+pluginFile,
				).Replace(block)
			}
		}
		require.NotEmpty(t, commands, page)
		shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", `PATH="$(dirname "$0"):$PATH"`+"\n"+commands, strings.TrimSpace(string(crane)))
		shell.Dir = t.TempDir()
		said, err := shell.CombinedOutput()
		require.NoError(t, err, "%s\nprinted:\n%s", commands, said)
		for _, tag := range pushed.tags {
			reference, err := name.NewTag(registry + ":" + tag)
			require.NoError(t, err)
			for _, architecture := range []string{"amd64", "arm64"} {
				image, err := remote.Image(reference, remote.WithContext(t.Context()), remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
				require.NoError(t, err, "%s: %s of %s", page, architecture, tag)
				config, err := image.ConfigFile()
				require.NoError(t, err)
				assert.Equal(t, architecture, config.Architecture)
			}
		}
	}
}
