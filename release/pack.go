package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// pack collects a release: goreleaser's archives and SBOMs, the image made of the archives' binaries, and the sums.
func pack(version, from, to string) error {
	if err := errors.Join(os.RemoveAll(to), os.MkdirAll(to, 0o755)); err != nil {
		return err
	}
	binaries, binarySums, newest := map[platform][]byte{}, sums{}, time.Time{}
	for _, p := range platforms {
		for _, name := range []string{p.archive(version), p.sbom(version)} {
			content, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				return err
			}
			if name == p.sbom(version) {
				if content, err = withoutTools(content); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			if err := os.WriteFile(filepath.Join(to, name), content, 0o644); err != nil {
				return err
			}
		}
		files, changed, err := readArchive(filepath.Join(to, p.archive(version)))
		if err != nil {
			return fmt.Errorf("%s: %w", p.archive(version), err)
		}
		binary, found := files[p.binary(version)]
		if !found {
			return fmt.Errorf("%s: holds no %s", p.archive(version), p.binary(version))
		}
		binaries[p], binarySums[p.binary(version)] = binary, sumOf(binary)
		if p.os != "windows" && changed.After(newest) { // a zip has no zone
			newest = changed
		}
	}
	if err := writeImage(filepath.Join(to, imageName(version)), version, newest, binaries); err != nil {
		return fmt.Errorf("%s: %w", imageName(version), err)
	}
	if err := binarySums.write(filepath.Join(to, binarySumsName)); err != nil {
		return err
	}
	all := sums{}
	for _, name := range summed(version) {
		content, err := os.ReadFile(filepath.Join(to, name))
		if err != nil {
			return err
		}
		all[name] = sumOf(content)
	}
	return all.write(filepath.Join(to, sumsName))
}

// withoutTools is an SBOM without the sums of the program that made it, which are others on each machine.
func withoutTools(bill []byte) ([]byte, error) {
	var document map[string]any
	if err := json.Unmarshal(bill, &document); err != nil {
		return nil, err
	}
	if metadata, ok := document["metadata"].(map[string]any); ok {
		delete(metadata, "tools")
	}
	return json.MarshalIndent(document, "", "  ")
}

// sums are SHA-256 sums by file name, in the form of sha256sum.
type sums map[string]string

func sumOf(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func (s sums) write(path string) error {
	var lines []string
	for name, sum := range s {
		lines = append(lines, sum+"  "+name+"\n")
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[sha256.Size*2:], b[sha256.Size*2:]) })
	return os.WriteFile(path, []byte(strings.Join(lines, "")), 0o644)
}

func readSums(path string) (sums, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	read := sums{}
	for line := range strings.Lines(string(content)) {
		sum, name, found := strings.Cut(strings.TrimSuffix(line, "\n"), "  ")
		if !found || len(sum) != sha256.Size*2 {
			return nil, fmt.Errorf("%s: %q is no line of sha256sum", filepath.Base(path), line)
		}
		read[name] = sum
	}
	return read, nil
}
