package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Limits of what people download: a new dependency that weighs much is to be noticed.
const (
	maxBinary = 27_500_000
	maxImage  = 12_000_000
)

// check says, each in one sentence, what is wrong with a release.
func check(version, directory, key string) error {
	if key == "" {
		key = filepath.Join(directory, publicKeyName)
	}
	r := &release{version: version, directory: directory}
	// What follows a check that fails would only repeat it.
	for _, checked := range []func() error{
		r.checkFiles,
		func() error { return r.checkSignature(key) },
		r.checkSums,
		r.checkArchives,
		r.checkBills,
		r.checkImage,
	} {
		if err := checked(); err != nil {
			return err
		}
	}
	return nil
}

// release is a directory with what is published.
type release struct {
	version, directory string
	binaries           map[platform][]byte
}

func (r *release) path(name string) string { return filepath.Join(r.directory, name) }

// checkFiles checks that nothing is missing, and nothing else there.
func (r *release) checkFiles() error {
	entries, err := os.ReadDir(r.directory)
	if err != nil {
		return err
	}
	var wrong []error
	missing := published(r.version)
	for _, entry := range entries {
		known := slices.Index(missing, entry.Name())
		if known < 0 {
			wrong = append(wrong, fmt.Errorf("%s: is no part of release %s; remove it", entry.Name(), r.version))
			continue
		}
		missing = slices.Delete(missing, known, known+1)
	}
	for _, name := range missing {
		wrong = append(wrong, fmt.Errorf("%s: is missing; make the release again", name))
	}
	return errors.Join(wrong...)
}

// checkSums checks that each file is the one that was signed.
func (r *release) checkSums() error {
	listed, err := readSums(r.path(sumsName))
	if err != nil {
		return err
	}
	var wrong []error
	for _, name := range summed(r.version) {
		content, err := os.ReadFile(r.path(name))
		switch {
		case err != nil:
			wrong = append(wrong, err)
		case listed[name] != sumOf(content):
			wrong = append(wrong, fmt.Errorf("%s: its sum is not the one in %s; it was changed after the release was made", name, sumsName))
		}
	}
	if len(listed) != len(summed(r.version)) {
		wrong = append(wrong, fmt.Errorf("%s: lists %d files, not the %d of a release", sumsName, len(listed), len(summed(r.version))))
	}
	return errors.Join(wrong...)
}

// checkArchives checks what people unpack.
func (r *release) checkArchives() error {
	listed, err := readSums(r.path(binarySumsName))
	if err != nil {
		return err
	}
	r.binaries = map[platform][]byte{}
	var wrong []error
	for _, p := range platforms {
		if err := r.checkArchive(p, listed); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", p.archive(r.version), err))
		}
	}
	return errors.Join(wrong...)
}

func (r *release) checkArchive(p platform, listed sums) error {
	files, _, err := readArchive(r.path(p.archive(r.version)))
	if err != nil {
		return err
	}
	for _, name := range []string{"LICENSE", "README.md"} {
		if len(files[p.base(r.version)+"/"+name]) == 0 {
			return fmt.Errorf("holds no %s", name)
		}
	}
	binary, found := files[p.binary(r.version)]
	if !found || len(files) != 3 {
		return fmt.Errorf("must hold %s, LICENSE and README.md, and nothing else", p.binary(r.version))
	}
	if listed[p.binary(r.version)] != sumOf(binary) {
		return fmt.Errorf("the sum of its binary is not the one in %s", binarySumsName)
	}
	r.binaries[p] = binary
	return checkBinary(binary, p, r.version)
}

// checkImage checks what OpenBao downloads.
func (r *release) checkImage() error {
	directory, err := os.MkdirTemp("", "image")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(directory) }()
	if err := r.checkImageIn(directory); err != nil {
		return fmt.Errorf("%s: %w", imageName(r.version), err)
	}
	return nil
}

func (r *release) checkImageIn(directory string) error {
	images, err := openImage(r.path(imageName(r.version)), directory)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("is no OCI layout: %w", err)
	}
	if err != nil {
		return err
	}
	return r.checkLayout(images)
}
