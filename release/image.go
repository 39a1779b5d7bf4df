package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations and labels of the OCI image specification.
const (
	tagAnnotation  = "org.opencontainers.image.ref.name"
	titleLabel     = "org.opencontainers.image.title"
	versionLabel   = "org.opencontainers.image.version"
	licensesLabel  = "org.opencontainers.image.licenses"
	productLicense = "MPL-2.0"
)

// writeImage writes an OCI layout as a tar archive: one image index under the version as its tag, with its v, as OpenBao asks
// for it. It is the layout's one entry, which every tool can push.
func writeImage(path, version string, created time.Time, binaries map[platform][]byte) error {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		if !p.image {
			continue
		}
		image, err := imageOf(p, version, created, binaries[p])
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.arch}},
		})
	}
	directory, err := os.MkdirTemp(filepath.Dir(path), ".image")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	images, err := layout.Write(directory, empty.Index)
	if err != nil {
		return err
	}
	if err := images.AppendIndex(index, layout.WithAnnotations(map[string]string{tagAnnotation: version})); err != nil {
		return err
	}
	return tarDirectory(path, directory, created)
}

// imageOf is the image of one platform: the binary in its root, which is what it starts, and nothing else.
func imageOf(p platform, version string, created time.Time, binary []byte) (v1.Image, error) {
	var files bytes.Buffer
	if err := writeTar(&files, []string{product}, created, 0o555, func(string) ([]byte, error) { return binary, nil }); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithCompressedCaching,
	)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = p.os, p.arch, v1.Time{Time: created.UTC()}
	file.Config = v1.Config{
		Entrypoint: []string{"/" + product},
		Labels:     map[string]string{titleLabel: product, versionLabel: version, licensesLabel: productLicense},
	}
	return mutate.ConfigFile(image, file)
}

// tarDirectory packs a directory's files.
func tarDirectory(path, directory string, changed time.Time) error {
	root := os.DirFS(directory)
	var names []string
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := writeTar(file, names, changed, 0o444, func(name string) ([]byte, error) { return fs.ReadFile(root, name) }); err != nil {
		return err
	}
	return file.Close()
}

// openImage unpacks what writeImage wrote.
func openImage(path, directory string) (layout.Path, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	files, _, err := readTar(io.LimitReader(file, maxArchive))
	if err != nil {
		return "", err
	}
	for name, content := range files {
		if !filepath.IsLocal(name) {
			return "", &fs.PathError{Op: "unpack", Path: name, Err: fs.ErrInvalid}
		}
		target := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return "", err
		}
		if err := os.WriteFile(target, content, 0o600); err != nil {
			return "", err
		}
	}
	return layout.FromPath(directory)
}
