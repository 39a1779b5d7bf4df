package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// laterVersion is none that is released: images of it are upgraded to.
const laterVersion = "v0.9.9"

// A lease goes on while a second stanza is read at a SIGHUP, while the mount is upgraded to its version and goes back, and
// when the stanza has gone again. docs/install.md has the commands.
func TestOpenBaoUpgradesTheImage(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	r := release(t)
	u := r.newImageUpgrade(t)
	assert.Equal(t, runs(r.version), u.types(t, u.reads(t)))

	u.reconfigure(t, u.current+u.stanza(t, laterVersion, u.later.SHA256))
	u.awaitVersions(t, r.version, laterVersion)
	const list = "bao plugin list -detailed secret"
	assert.Contains(t, document(t, "docs/install.md"), "`"+list+"`")
	assert.Regexp(t, `(?m)^influxdb\s+secret\s+`+laterVersion+`\s`, u.types(t, list))
	assert.Equal(t, runs(r.version), u.types(t, u.reads(t)), "until it is told")
	u.assertGoesOn(t)

	assert.Contains(t, u.types(t, u.upgrading(t)), runs(laterVersion))
	u.assertGoesOn(t)

	u.types(t, u.goingBack(t))
	assert.Equal(t, runs(r.version), u.types(t, u.reads(t)))
	u.assertGoesOn(t)

	u.reconfigure(t, u.current)
	u.awaitVersions(t, r.version)
	u.assertGoesOn(t)
	u.engine.revoke(t, u.lease.lease)
	assertDead(t, u.engine.influx, u.lease)
}

// A second stanza that is wrong does not end an OpenBao that runs: its log says why, and the version that it has runs on.
func TestOpenBaoGoesOnWithAWrongSecondImage(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	r := release(t)
	u := r.newImageUpgrade(t)
	for _, mistake := range []struct{ tag, sum, says string }{
		{laterVersion, strings.Repeat("0", 64), "plugin hash mismatch: expected " + strings.Repeat("0", 64)},
		{laterVersion, "sha256:" + u.later.SHA256, "sha256sum must be exactly 64 characters"},
		{"v9.9.9", u.later.SHA256, "MANIFEST_UNKNOWN"},
		{laterVersion[1:], u.later.SHA256, "plugin version mismatch"},
	} {
		u.reconfigure(t, u.current+u.stanza(t, mistake.tag, mistake.sum))
		require.NoError(t, lab.Await(t.Context(), tickLimit, "OpenBao to find the mistake", func(context.Context) error {
			if !strings.Contains(u.bao.Logs(), mistake.says) {
				return errors.New("its log does not have " + mistake.says)
			}
			return nil
		}))
		u.awaitVersions(t, r.version)
		u.assertGoesOn(t)
	}
	u.reconfigure(t, u.current+u.stanza(t, laterVersion, u.later.SHA256))
	u.awaitVersions(t, r.version, laterVersion)
	u.assertGoesOn(t)
}

// imageUpgrade is an OpenBao that has fetched the release's image, with a lease, and a registry that also has a later one.
type imageUpgrade struct {
	released
	later lab.Plugin
	// repository is the image's name without a tag, current the configuration of the release's, written the one there is.
	repository, current, written string
	bao                          *lab.Vault
	engine                       *engine
	lease                        minted
}

func (r released) newImageUpgrade(t *testing.T) *imageUpgrade {
	t.Helper()
	u := &imageUpgrade{released: r, repository: r.serve(t, r.image(t))}
	var err error
	u.later, err = shared.lab.Plugin(t.Context(), laterVersion)
	require.NoError(t, err)
	push(t, u.repository, laterVersion, imageOf(t, u.later))
	u.current = r.stanza(t, u.repository, r.version, r.binarySum(t, r.platform()))
	u.written = u.current
	u.bao, err = r.startBao(t, u.current)
	require.NoError(t, err)
	u.engine = engineIn(t, u.bao, "influxdb", shared.influx)
	u.engine.role(t, "app", bucketRole(map[string]any{"ttl": "30m", "max_ttl": "2h"}))
	u.lease = u.engine.mint(t, "app")
	return u
}

// stanza is a further one, without the settings before the first.
func (u *imageUpgrade) stanza(t *testing.T, tag, sum string) string {
	t.Helper()
	_, stanza, found := strings.Cut(u.released.stanza(t, u.repository, tag, sum), "\nplugin ")
	require.True(t, found)
	return "\nplugin " + stanza
}

// reconfigure puts other stanzas into OpenBao's configuration, and has it read.
func (u *imageUpgrade) reconfigure(t *testing.T, stanzas string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(u.bao.LogPath()), "vault.hcl")
	config, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(config), u.written), "%s in\n%s", u.written, config)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(config), u.written, stanzas, 1)), 0o600))
	u.written = stanzas
	require.NoError(t, syscall.Kill(u.bao.PID(), syscall.SIGHUP))
}

// awaitVersions waits until OpenBao knows these versions of the plugin, and no other.
func (u *imageUpgrade) awaitVersions(t *testing.T, want ...string) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), tickLimit, "OpenBao to know these versions", func(ctx context.Context) error {
		catalog, err := u.bao.Client().Logical().ReadWithContext(ctx, "sys/plugins/catalog")
		if err != nil {
			return err
		}
		var found []string
		for _, plugin := range catalog.Data["detailed"].([]any) {
			if listed := plugin.(map[string]any); listed["type"] == "secret" && listed["name"] == lab.PluginName {
				found = append(found, listed["version"].(string))
			}
		}
		if slices.Sort(found); !slices.Equal(found, want) {
			return fmt.Errorf("it knows %q, not %q", found, want)
		}
		return nil
	}))
}

func (u *imageUpgrade) assertGoesOn(t *testing.T) {
	t.Helper()
	assert.Equal(t, 3600, u.engine.renew(t, u.lease.lease, 3600))
	assertWorks(t, u.engine.influx, u.lease.token)
}

func (u *imageUpgrade) types(t *testing.T, commands string) string {
	t.Helper()
	return u.released.types(t, u.bao, t.TempDir(), commands)
}

// upgrading are the commands of docs/install.md behind those that register, which the stanza does here.
func (u *imageUpgrade) upgrading(t *testing.T) string {
	t.Helper()
	_, commands, found := strings.Cut(blocks(t, "docs/install.md", "## Upgrading")[0], "\n\n")
	require.True(t, found)
	return reloadingOpenBao(t, commands, "v0.2.0", laterVersion)
}

func (u *imageUpgrade) goingBack(t *testing.T) string {
	t.Helper()
	return reloadingOpenBao(t, blocks(t, "docs/install.md", "## Going back")[0], "v0.1.0", u.version)
}

// reads is the last of the upgrade's commands: which version the mount is to run, and which runs.
func (u *imageUpgrade) reads(t *testing.T) string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(u.upgrading(t)), "\n")
	return lines[len(lines)-1]
}

// runs is what that command prints where both are one version.
func runs(version string) string { return fmt.Sprintf("%[1]q\n%[1]q\n", version) }

// reloadingOpenBao are documented commands for another version, with the reload of docs/openbao.md.
func reloadingOpenBao(t *testing.T, commands, documented, version string) string {
	t.Helper()
	reload := strings.TrimSpace(blocks(t, "docs/openbao.md", "## Upgrading")[0])
	for from, to := range map[string]string{"vault plugin reload -type=secret -plugin=influxdb": reload, documented: version} {
		require.Contains(t, commands, from)
		commands = strings.ReplaceAll(commands, from, to)
	}
	return commands
}

// imageOf is an index with the image of one plugin for this machine.
func imageOf(t *testing.T, plugin lab.Plugin) v1.ImageIndex {
	t.Helper()
	binary, err := os.ReadFile(plugin.Path)
	require.NoError(t, err)
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	require.NoError(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: pluginFile, Mode: 0o555, Size: int64(len(binary))}))
	_, err = archive.Write(binary)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(files.Bytes(), types.OCIUncompressedLayer))
	require.NoError(t, err)
	image, err = mutate.Config(image, v1.Config{Entrypoint: []string{"/" + pluginFile}})
	require.NoError(t, err)
	return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}},
	})
}
