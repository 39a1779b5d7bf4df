package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// releaseVariable names the directory that `make release` has made. `make release-test` sets it; without it these tests
// have nothing to install.
const releaseVariable = "RELEASE"

const pluginFile = "vault-plugin-secrets-influxdb"

// released is a release.
type released struct {
	directory, version string
}

func release(t *testing.T) released {
	t.Helper()
	directory := os.Getenv(releaseVariable)
	if directory == "" {
		t.Skip(releaseVariable + " names no directory that `make release` has made: `make release-test` runs this")
	}
	images, err := filepath.Glob(filepath.Join(directory, pluginFile+"_*_image.tar"))
	require.NoError(t, err)
	require.Len(t, images, 1, "images in %s", directory)
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(images[0]), pluginFile+"_"), "_image.tar")
	return released{directory: directory, version: "v" + version}
}

// platform is this machine's, in the names of files.
func (released) platform() string { return runtime.GOOS + "_" + runtime.GOARCH }

// binarySum is the sum that the release lists of a platform's binary.
func (r released) binarySum(t *testing.T, platform string) string {
	t.Helper()
	listed, err := os.ReadFile(filepath.Join(r.directory, "SHA256SUMS.binaries"))
	require.NoError(t, err)
	for line := range strings.Lines(string(listed)) {
		if sum, file, _ := strings.Cut(line, "  "); strings.HasPrefix(file, fmt.Sprintf("%s_%s_%s/", pluginFile, r.version[1:], platform)) {
			return sum
		}
	}
	t.Fatalf("no sum of %s in\n%s", platform, listed)
	return ""
}

// What docs/install.md has a person type who has downloaded a release is run as it is written: the checks, and the
// registration with the listed sum.
func TestTheArchiveIsInstalled(t *testing.T) {
	r := release(t)
	commands := blocks(t, "docs/install.md", "## From a release")
	require.Len(t, commands, 3)
	vault, err := shared.lab.StartVault(t.Context(), lab.VaultOptions{Storage: "inmem"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, vault.Stop()) })
	downloads := t.TempDir()
	require.NoError(t, os.CopyFS(downloads, os.DirFS(r.directory)))

	variables := fmt.Sprintf("VERSION=%s PLATFORM=%s\n", r.version, r.platform())
	said := r.types(t, vault, downloads, variables+withoutFirstLine(commands[0])+commands[1]+commands[2])
	assert.Contains(t, said, "Verified OK\n")
	assert.Contains(t, said, pluginFile+": OK\n")
	assert.Contains(t, said, "\ngithub.com/hashicorp/go-plugin v", "from the SBOM")
	assertEngineWorks(t, vault, r.version)
}

// withoutFirstLine leaves out the line that says which version and platform.
func withoutFirstLine(commands string) string {
	first, rest, _ := strings.Cut(commands, "\n")
	if !strings.HasPrefix(first, "VERSION=") {
		panic("another first line: " + first)
	}
	return rest
}

// types runs documented commands in a directory, with the programs that they name.
func (r released) types(t *testing.T, vault *lab.Vault, directory, commands string) string {
	t.Helper()
	program, err := lab.Binary(t.Context(), lab.Host())
	require.NoError(t, err)
	if _, err := exec.LookPath("cosign"); err != nil && strings.Contains(commands, "cosign verify-blob") {
		commands = withoutCosign(t, commands)
	}
	if onOpenBao() {
		commands = vaultCommand.ReplaceAllString(commands, "bao$1")
	}
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	shell.Dir = directory
	shell.Env = append(withoutServers(os.Environ()),
		"PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "PLUGIN_DIR="+vault.PluginDirectory,
		"VAULT_ADDR="+vault.Address, "VAULT_TOKEN="+vault.RootToken(), "BAO_ADDR="+vault.Address, "BAO_TOKEN="+vault.RootToken())
	said, err := shell.CombinedOutput()
	require.NoError(t, err, "%s\nprinted:\n%s", commands, said)
	return string(said)
}

// withoutCosign are the same commands with the check of the signature that docs/install.md has for who has no cosign.
func withoutCosign(t *testing.T, commands string) string {
	t.Helper()
	const verify = "openssl dgst -sha256 -verify cosign.pub -signature <(base64 -d SHA256SUMS.sig) SHA256SUMS"
	require.Contains(t, document(t, "docs/install.md"), "`"+verify+"`")
	first, rest, found := strings.Cut(commands, "cosign verify-blob")
	require.True(t, found)
	_, rest, found = strings.Cut(rest, "\n")
	require.True(t, found)
	return first + verify + "\n" + rest
}

// assertEngineWorks asserts that the engine mints and revokes there, and that the release's version runs.
func assertEngineWorks(t *testing.T, vault *lab.Vault, version string) {
	t.Helper()
	e := engineIn(t, vault, "influxdb", shared.influx)
	mount, err := vault.Client().Logical().ReadWithContext(t.Context(), "sys/mounts/influxdb")
	require.NoError(t, err)
	assert.Equal(t, version, mount.Data["running_plugin_version"])
	e.role(t, "app", bucketRole(nil))
	m := e.mint(t, "app")
	assertWorks(t, shared.influx, m.token)
	e.revoke(t, m.lease)
	assertDead(t, shared.influx, m)
}

// A binary that was changed after the release is registered nowhere: the check of the sums stops.
func TestAChangedArchiveIsRefused(t *testing.T) {
	r := release(t)
	downloads := t.TempDir()
	require.NoError(t, os.CopyFS(downloads, os.DirFS(r.directory)))
	archive := fmt.Sprintf("%s_%s_%s.tar.gz", pluginFile, r.version[1:], r.platform())
	file, err := os.OpenFile(filepath.Join(downloads, archive), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = file.WriteString("more")
	require.NoError(t, err)
	require.NoError(t, file.Close())

	check := exec.CommandContext(t.Context(), "sha256sum", "-c", "--ignore-missing", "SHA256SUMS")
	check.Dir = downloads
	said, err := check.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(said), archive+": FAILED")
}

// OpenBao downloads the image that docs/install.md's stanza names, and registers what it finds in it.
func TestOpenBaoDownloadsTheImage(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	r := release(t)
	bao, err := r.startBao(t, r.stanza(t, r.serve(t, r.image(t)), r.version, r.binarySum(t, r.platform())))
	require.NoError(t, err)
	assertEngineWorks(t, bao, r.version)
}

// With a wrong stanza or image OpenBao does not start, or can't be set up, and says why. docs/install.md lists what it says.
func TestOpenBaoRefusesAWrongImage(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	r := release(t)
	image, sum := r.image(t), r.binarySum(t, r.platform())
	other := mutate.RemoveManifests(image, match.Platforms(v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH}))
	noVersion := strings.TrimPrefix(r.version, "v")
	for name, test := range map[string]struct {
		image             v1.ImageIndex
		tag, sum, message string
	}{
		"wrong sum":       {image, r.version, strings.Repeat("0", 64), "plugin hash mismatch: expected " + strings.Repeat("0", 64)},
		"no such tag":     {image, "v9.9.9", sum, "MANIFEST_UNKNOWN"},
		"tag without v":   {image, noVersion, sum, "plugin version mismatch"},
		"wrong platform":  {other, r.version, sum, "no child with platform " + runtime.GOOS + "/" + runtime.GOARCH},
		"sum of an image": {image, r.version, "sha256:" + sum, "sha256sum must be exactly 64 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := r.startBao(t, r.stanza(t, r.serve(t, test.image), test.tag, test.sum))
			require.ErrorContains(t, err, test.message)
		})
		assert.Contains(t, document(t, "docs/install.md"), strings.TrimSuffix(test.message, strings.Repeat("0", 64)), name)
	}
}

// The values for the Helm charts have an init container whose commands put the released binary into the plugin directory,
// and nothing where the archive is not the one that was meant.
func TestTheInitContainerInstallsTheArchive(t *testing.T) {
	r := release(t)
	_, documented, found := strings.Cut(document(t, "docs/install.md"), "```yaml\nserver:\n  volumes:")
	require.True(t, found)
	documented, _, _ = strings.Cut("server:\n  volumes:"+documented, "```")
	var values struct {
		Server struct {
			Containers []struct {
				Command, Args []string
				Mounts        []struct {
					Path string `yaml:"mountPath"`
				} `yaml:"volumeMounts"`
			} `yaml:"extraInitContainers"`
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(documented), &values))
	container := values.Server.Containers[0]
	require.Equal(t, []string{"sh", "-ec"}, container.Command)
	files := httptest.NewServer(http.FileServer(http.Dir(r.directory)))
	t.Cleanup(files.Close)

	base := fmt.Sprintf("%s_%s_%s", pluginFile, r.version[1:], r.platform())
	archive, err := os.ReadFile(filepath.Join(r.directory, base+".tar.gz"))
	require.NoError(t, err)
	right := sha256.Sum256(archive)
	for _, sum := range []string{hex.EncodeToString(right[:]), strings.Repeat("0", 64)} {
		plugins := t.TempDir()
		commands := strings.NewReplacer(container.Mounts[0].Path, plugins, "v0.2.0", r.version).Replace(container.Args[0])
		shell := exec.CommandContext(t.Context(), "sh", "-ec", commands)
		shell.Env = append(os.Environ(), "URL="+files.URL, "NAME="+base, "SHA256="+sum)
		said, err := shell.CombinedOutput()
		installed := filepath.Join(plugins, pluginFile+"_"+r.version)
		if sum == hex.EncodeToString(right[:]) {
			require.NoError(t, err, "%s", said)
			binary, err := os.ReadFile(installed)
			require.NoError(t, err)
			got := sha256.Sum256(binary)
			assert.Equal(t, r.binarySum(t, r.platform()), hex.EncodeToString(got[:]))
			continue
		}
		require.Error(t, err)
		assert.Contains(t, string(said), base+".tar.gz: FAILED")
		assert.NoFileExists(t, installed)
	}
}

// image is the release's image index.
func (r released) image(t *testing.T) v1.ImageIndex {
	t.Helper()
	directory := t.TempDir()
	archive := filepath.Join(r.directory, fmt.Sprintf("%s_%s_image.tar", pluginFile, r.version[1:]))
	said, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", directory).CombinedOutput()
	require.NoError(t, err, "%s", said)
	images, err := layout.ImageIndexFromPath(directory)
	require.NoError(t, err)
	manifest, err := images.IndexManifest()
	require.NoError(t, err)
	index, err := images.ImageIndex(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	return index
}

// serveRegistry starts a registry, and returns the name of our image in it.
func serveRegistry(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/" + pluginFile
}

// serve starts a registry with an image under both tags, and returns the image's name in it.
func (r released) serve(t *testing.T, image v1.ImageIndex) string {
	t.Helper()
	repository := serveRegistry(t)
	push(t, repository, r.version, image)
	return repository
}

// push puts an image into a registry, under both tags of its version.
func push(t *testing.T, repository, version string, image v1.ImageIndex) {
	t.Helper()
	for _, tag := range []string{version, version[1:]} {
		reference, err := name.NewTag(repository + ":" + tag)
		require.NoError(t, err)
		require.NoError(t, remote.WriteIndex(reference, image, remote.WithContext(t.Context())))
	}
}

// stanza is docs/install.md's, for another image.
func (r released) stanza(t *testing.T, image, tag, sum string) string {
	t.Helper()
	_, documented, found := strings.Cut(document(t, "docs/install.md"), "```hcl\nplugin_auto_download")
	require.True(t, found)
	documented, _, _ = strings.Cut("plugin_auto_download"+documented, "```")
	for from, to := range map[string]string{
		`"registry.example/vault-plugin-secrets-influxdb"`: image, `"v0.2.0"`: tag, `"<from SHA256SUMS.binaries>"`: sum,
	} {
		require.Equal(t, 1, strings.Count(documented, from), "%s in\n%s", from, documented)
		documented = strings.Replace(documented, from, fmt.Sprintf("%q", to), 1)
	}
	return documented
}

// startBao starts an OpenBao with more in its configuration.
func (r released) startBao(t *testing.T, config string) (*lab.Vault, error) {
	t.Helper()
	bao, err := shared.lab.StartVault(t.Context(), lab.VaultOptions{Storage: "inmem", Config: config})
	if bao != nil {
		t.Cleanup(func() { assert.NoError(t, bao.Stop()) })
	}
	return bao, err
}
