package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/match"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// releaseVariable names the directory that `make release` has made. `make release-test` sets it.
const releaseVariable = "RELEASE"

// copyOfRelease is a release that a test may spoil.
func copyOfRelease(t *testing.T) *release {
	t.Helper()
	directory := os.Getenv(releaseVariable)
	if directory == "" {
		t.Skip(releaseVariable + " names no directory that `make release` has made: `make release-test` runs this")
	}
	images, err := filepath.Glob(filepath.Join(directory, product+"_*_image.tar"))
	if err != nil || len(images) != 1 {
		t.Fatalf("images in %s: %q, %v", directory, images, err)
	}
	version := "v" + strings.TrimSuffix(strings.TrimPrefix(filepath.Base(images[0]), product+"_"), "_image.tar")
	r := &release{version: version, directory: t.TempDir()}
	must(t, os.CopyFS(r.directory, os.DirFS(directory)))
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is wrong stops the checks with one sentence that names the file.
func TestCheck(t *testing.T) {
	anyArchive, last := platforms[0].archive, platforms[len(platforms)-1]
	for name, test := range map[string]struct {
		spoil func(t *testing.T, r *release)
		// signed says that who spoiled it also has the key: the checks behind the signature have to find it.
		signed bool
		want   string
	}{
		"nothing": {func(*testing.T, *release) {}, false, ""},
		"a file is missing": {func(t *testing.T, r *release) { must(t, os.Remove(r.path(last.sbom(r.version)))) }, false,
			"_windows_amd64.cdx.json: is missing; make the release again"},
		"a file too many": {func(t *testing.T, r *release) { r.write(t, "notes.txt", nil) }, false,
			"notes.txt: is no part of release"},
		"a tampered archive": {func(t *testing.T, r *release) {
			r.write(t, anyArchive(r.version), append(r.read(t, anyArchive(r.version)), 0))
		}, false, "_linux_amd64.tar.gz: its sum is not the one in SHA256SUMS; it was changed after the release was made"},
		"tampered sums": {func(t *testing.T, r *release) { r.write(t, sumsName, append(r.read(t, sumsName), '\n')) }, false,
			"SHA256SUMS: is not signed by the key in"},
		"another key": {func(t *testing.T, r *release) {
			other := &release{directory: filepath.Dir(newKey(t))}
			r.write(t, publicKeyName, other.read(t, publicKeyName))
		}, false,
			"SHA256SUMS: is not signed by the key in"},
		"no key": {func(t *testing.T, r *release) { r.write(t, publicKeyName, []byte("none")) }, false,
			"cosign.pub: is no public key"},
		"another platform's binary": {func(t *testing.T, r *release) {
			r.repack(t, platforms[0], r.binary(t, platforms[1]))
		}, true, "_linux_amd64.tar.gz: its binary is for linux/arm64, not for linux/amd64"},
		"a binary of which the sum is not listed": {func(t *testing.T, r *release) {
			r.repack(t, platforms[0], append(r.binary(t, platforms[0]), 0))
			listed, err := readSums(r.path(binarySumsName))
			must(t, err)
			listed[platforms[0].binary(r.version)] = strings.Repeat("0", 64)
			must(t, listed.write(r.path(binarySumsName)))
		}, true, "_linux_amd64.tar.gz: the sum of its binary is not the one in SHA256SUMS.binaries"},
		"a large binary": {func(t *testing.T, r *release) {
			r.repack(t, platforms[1], append(r.binary(t, platforms[1]), make([]byte, maxBinary)...))
		}, true, fmt.Sprintf("at most %d are allowed", maxBinary)},
		"a binary linked with C": {func(t *testing.T, r *release) {
			r.repack(t, platforms[1], bytes.ReplaceAll(r.binary(t, platforms[1]), []byte("\tCGO_ENABLED=0\n"), []byte("\tCGO_ENABLED=1\n")))
		}, true, "_linux_arm64.tar.gz: its binary needs a C library: build it with CGO_ENABLED=0"},
		"a bill without a module": {func(t *testing.T, r *release) {
			bill := r.read(t, last.sbom(r.version))
			r.write(t, last.sbom(r.version), bytes.ReplaceAll(bill, []byte(`"github.com/hashicorp/go-plugin"`), []byte(`"another"`)))
		}, true, "_windows_amd64.cdx.json: does not list github.com/hashicorp/go-plugin v"},
		"an image with another tag": {func(t *testing.T, r *release) {
			r.image(t, "v9.9.9", r.binary(t, platforms[0]), r.binary(t, platforms[1]))
		}, true, `_image.tar: has the tag "v9.9.9", not "v`},
		"an image with another platform's binary": {func(t *testing.T, r *release) {
			r.image(t, r.version, r.binary(t, platforms[1]), r.binary(t, platforms[0]))
		}, true, "_image.tar: linux/amd64: must hold the binary of"},
		"an image that starts something else": {func(t *testing.T, r *release) {
			r.remakeImage(t, func(index v1.ImageIndex) v1.ImageIndex {
				return withImage(t, index, platforms[0], func(image v1.Image) (v1.Image, error) {
					return mutate.Config(image, v1.Config{Entrypoint: []string{"/bin/sh"}})
				})
			})
		}, true, `_image.tar: linux/amd64: starts ["/bin/sh"] [], not the plugin`},
		"an image with a second file": {func(t *testing.T, r *release) {
			r.remakeImage(t, func(index v1.ImageIndex) v1.ImageIndex {
				return withImage(t, index, platforms[1], func(image v1.Image) (v1.Image, error) { return mutate.AppendLayers(image, layerOf(t, "notes.txt")) })
			})
		}, true, "_image.tar: linux/arm64: must hold the binary of"},
		"an image with a platform too few": {func(t *testing.T, r *release) {
			r.remakeImage(t, func(index v1.ImageIndex) v1.ImageIndex {
				return mutate.RemoveManifests(index, match.Platforms(ociPlatform(platforms[1])))
			})
		}, true, "_image.tar: has no image for linux/arm64"},
		"an image with a platform too many": {func(t *testing.T, r *release) {
			r.remakeImage(t, func(index v1.ImageIndex) v1.ImageIndex {
				return mutate.AppendManifests(index, mutate.IndexAddendum{Add: empty.Image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm"}}})
			})
		}, true, "_image.tar: has an image for linux/arm, which is not released, or two"},
		"a large image": {func(t *testing.T, r *release) {
			large := r.binary(t, platforms[1])
			_, _ = rand.Read(large[1<<20 : 9<<20]) // code, which no longer compresses
			r.repack(t, platforms[1], large)
			r.image(t, r.version, r.binary(t, platforms[0]), large)
		}, true, "at most 12000000 are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := copyOfRelease(t)
			test.spoil(t, r)
			if test.signed {
				r.sign(t)
			}
			err := check(r.version, r.directory, "")
			switch {
			case test.want == "":
				must(t, err)
			case err == nil:
				t.Fatal("no error")
			case !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n"):
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
}

// Without the key's file nothing is checked.
func TestCheckWithoutAKey(t *testing.T) {
	r := copyOfRelease(t)
	err := check(r.version, r.directory, filepath.Join(t.TempDir(), "cosign.pub"))
	if err == nil || !strings.Contains(err.Error(), "the public key is missing; say with -key where it is") {
		t.Error(err)
	}
}

// A binary that reports another version is found by its own word.
func TestCheckReported(t *testing.T) {
	r := copyOfRelease(t)
	here := slices.IndexFunc(platforms, func(p platform) bool { return p.os == runtime.GOOS && p.arch == runtime.GOARCH })
	if here < 0 {
		t.Skip("no binary is released for this machine")
	}
	err := checkReported(r.binary(t, platforms[here]), "v9.9.9")
	if want := "its binary reports version " + r.version + ", not v9.9.9"; err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestVersionForm(t *testing.T) {
	for version, right := range map[string]bool{"v0.2.0": true, "v0.2.0-rc.1": true, "0.2.0": false, "v0.2": false, "v0.2.0\n": false, "": false} {
		err := run([]string{"pack", "-version", version, "-from", t.TempDir(), filepath.Join(t.TempDir(), "dist")})
		if err == nil || right == strings.Contains(err.Error(), "-version") {
			t.Errorf("%q: %v", version, err)
		}
	}
}

func (r *release) read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(r.path(name))
	must(t, err)
	return content
}

func (r *release) write(t *testing.T, name string, content []byte) {
	t.Helper()
	must(t, os.WriteFile(r.path(name), content, 0o600))
}

// binary is the one in a platform's archive.
func (r *release) binary(t *testing.T, p platform) []byte {
	t.Helper()
	files, _, err := readArchive(r.path(p.archive(r.version)))
	must(t, err)
	return files[p.binary(r.version)]
}

// repack puts another binary into a platform's archive, and its sum into the list.
func (r *release) repack(t *testing.T, p platform, binary []byte) {
	t.Helper()
	files, changed, err := readArchive(r.path(p.archive(r.version)))
	must(t, err)
	files[p.binary(r.version)] = binary
	var packed bytes.Buffer
	plain := gzip.NewWriter(&packed)
	archive := tar.NewWriter(plain)
	for name, content := range files {
		must(t, archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(content)), ModTime: changed}))
		_, err := archive.Write(content)
		must(t, err)
	}
	must(t, archive.Close())
	must(t, plain.Close())
	r.write(t, p.archive(r.version), packed.Bytes())
	listed, err := readSums(r.path(binarySumsName))
	must(t, err)
	listed[p.binary(r.version)] = sumOf(binary)
	must(t, listed.write(r.path(binarySumsName)))
}

// image makes the image anew.
func (r *release) image(t *testing.T, version string, amd64, arm64 []byte) {
	t.Helper()
	must(t, writeImage(r.path(imageName(r.version)), version, time.Unix(0, 0), map[platform][]byte{platforms[0]: amd64, platforms[1]: arm64}))
}

// remakeImage puts another index in the image's place, under the same tag.
func (r *release) remakeImage(t *testing.T, change func(v1.ImageIndex) v1.ImageIndex) {
	t.Helper()
	images, err := openImage(r.path(imageName(r.version)), t.TempDir())
	must(t, err)
	all, err := images.ImageIndex()
	must(t, err)
	manifest, err := all.IndexManifest()
	must(t, err)
	entry := manifest.Manifests[0]
	index, err := all.ImageIndex(entry.Digest)
	must(t, err)
	directory := t.TempDir()
	remade, err := layout.Write(directory, empty.Index)
	must(t, err)
	must(t, remade.AppendIndex(change(index), layout.WithAnnotations(entry.Annotations)))
	must(t, tarDirectory(r.path(imageName(r.version)), directory, time.Unix(0, 0)))
}

// withImage is an index with another image for a platform.
func withImage(t *testing.T, index v1.ImageIndex, p platform, change func(v1.Image) (v1.Image, error)) v1.ImageIndex {
	t.Helper()
	here := ociPlatform(p)
	found, err := partial.FindImages(index, match.Platforms(here))
	must(t, err)
	image, err := change(found[0])
	must(t, err)
	others := mutate.RemoveManifests(index, match.Platforms(here))
	return mutate.AppendManifests(others, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &here}})
}

func ociPlatform(p platform) v1.Platform { return v1.Platform{OS: p.os, Architecture: p.arch} }

// layerOf is a layer with an empty file.
func layerOf(t *testing.T, name string) v1.Layer {
	t.Helper()
	var files bytes.Buffer
	must(t, writeTar(&files, []string{name}, time.Unix(0, 0), 0o444, func(string) ([]byte, error) { return nil, nil }))
	return static.NewLayer(files.Bytes(), types.OCIUncompressedLayer)
}

// sign lists the sums anew, and signs them with a key of its own.
func (r *release) sign(t *testing.T) {
	t.Helper()
	listed := sums{}
	for _, name := range summed(r.version) {
		listed[name] = sumOf(r.read(t, name))
	}
	must(t, listed.write(r.path(sumsName)))
	must(t, sign(r.directory, newKey(t)))
}

// newKey makes a pair of keys, and returns the private one's file.
func newKey(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	must(t, makeKey(directory))
	return filepath.Join(directory, privateKeyName)
}

// A key needs its password.
func TestSignWithAPassword(t *testing.T) {
	directory := t.TempDir()
	must(t, os.WriteFile(filepath.Join(directory, sumsName), nil, 0o600))
	t.Setenv(passwordVariable, "correct horse")
	key := newKey(t)
	must(t, sign(directory, key))
	must(t, (&release{directory: directory}).checkSignature(filepath.Join(directory, publicKeyName)))
	must(t, (&release{directory: directory}).checkSignature(filepath.Join(filepath.Dir(key), publicKeyName)))

	t.Setenv(passwordVariable, "wrong")
	if err := sign(directory, key); err == nil || !strings.Contains(err.Error(), "is its password in COSIGN_PASSWORD?") {
		t.Error(err)
	}
	if err := sign(directory, ""); err == nil || !strings.Contains(err.Error(), "the private key is missing") {
		t.Error(err)
	}
}

// What would keep a key from signing is known before anything is built.
func TestUnlock(t *testing.T) {
	t.Setenv(passwordVariable, "correct horse")
	key := newKey(t)
	must(t, run([]string{"unlock", key}))
	if err := run([]string{"unlock", filepath.Join(t.TempDir(), privateKeyName)}); err == nil || !strings.Contains(err.Error(), "the private key is missing") {
		t.Error(err)
	}
	t.Setenv(passwordVariable, "wrong")
	if err := run([]string{"unlock", key}); err == nil || !strings.Contains(err.Error(), "cosign.key: ") || !strings.Contains(err.Error(), "is its password in COSIGN_PASSWORD?") {
		t.Error(err)
	}
}
