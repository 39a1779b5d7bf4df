package main

import (
	"bytes"
	"fmt"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// checkLayout checks that the layout holds one index and nothing else, under the version as its tag.
func (r *release) checkLayout(images layout.Path) error {
	all, err := images.ImageIndex()
	if err != nil {
		return err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return err
	}
	if entries := len(manifest.Manifests); entries != 1 {
		return fmt.Errorf("has %d images in it, not one", entries)
	}
	entry := manifest.Manifests[0]
	if tag := entry.Annotations[tagAnnotation]; tag != r.version {
		return fmt.Errorf("has the tag %q, not %q", tag, r.version)
	}
	index, err := all.ImageIndex(entry.Digest)
	if err != nil {
		return err
	}
	return r.checkIndex(index)
}

// checkIndex checks that the index has an image for each platform that needs one.
func (r *release) checkIndex(index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	missing := slices.DeleteFunc(slices.Clone(platforms), func(p platform) bool { return !p.image })
	for _, descriptor := range manifest.Manifests {
		at := slices.IndexFunc(missing, func(p platform) bool {
			return descriptor.Platform != nil && descriptor.Platform.Equals(v1.Platform{OS: p.os, Architecture: p.arch})
		})
		if at < 0 {
			return fmt.Errorf("has an image for %v, which is not released, or two", descriptor.Platform)
		}
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			return err
		}
		if err := r.checkPlatform(image, missing[at]); err != nil {
			return fmt.Errorf("%s/%s: %w", missing[at].os, missing[at].arch, err)
		}
		missing = slices.Delete(missing, at, at+1)
	}
	for _, p := range missing {
		return fmt.Errorf("has no image for %s/%s", p.os, p.arch)
	}
	return nil
}

// checkPlatform checks that an image is the archive's binary, which is started without a shell, and is small.
func (r *release) checkPlatform(image v1.Image, p platform) error {
	config, err := image.ConfigFile()
	if err != nil {
		return err
	}
	if config.OS != p.os || config.Architecture != p.arch {
		return fmt.Errorf("its configuration is for %s/%s", config.OS, config.Architecture)
	}
	if !slices.Equal(config.Config.Entrypoint, []string{"/" + product}) || len(config.Config.Cmd) > 0 {
		return fmt.Errorf("starts %q %q, not the plugin", config.Config.Entrypoint, config.Config.Cmd)
	}
	content := mutate.Extract(image)
	defer content.Close()
	files, _, err := readTar(content)
	if err != nil {
		return err
	}
	if binary, found := files[product]; !found || len(files) != 1 || !bytes.Equal(binary, r.binaries[p]) {
		return fmt.Errorf("must hold the binary of %s in its root, and nothing else", p.archive(r.version))
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	size := manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	if size > maxImage {
		return fmt.Errorf("has %d bytes; at most %d are allowed", size, maxImage)
	}
	return nil
}
