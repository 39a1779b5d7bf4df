package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// maxArchive bounds what is read from an archive: a few times what there should be.
const maxArchive = 200 << 20

// readArchive returns the content of each file of an archive, and when the newest of them was changed.
func readArchive(path string) (map[string][]byte, time.Time, error) {
	if strings.HasSuffix(path, ".zip") {
		return readZip(path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		return nil, time.Time{}, err
	}
	return readTar(io.LimitReader(plain, maxArchive))
}

func readTar(r io.Reader) (map[string][]byte, time.Time, error) {
	files, newest, archive := map[string][]byte{}, time.Time{}, tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, newest, nil
		}
		if err != nil {
			return nil, newest, err
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if header.Typeflag != tar.TypeReg {
			return nil, newest, fmt.Errorf("%s is no plain file", header.Name)
		}
		if files[header.Name], err = io.ReadAll(archive); err != nil {
			return nil, newest, err
		}
		if header.ModTime.After(newest) {
			newest = header.ModTime
		}
	}
}

func readZip(path string) (map[string][]byte, time.Time, error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer archive.Close()
	files, newest := map[string][]byte{}, time.Time{}
	for _, entry := range archive.File {
		if strings.HasSuffix(entry.Name, "/") {
			continue
		}
		if entry.UncompressedSize64 > maxArchive {
			return nil, newest, fmt.Errorf("%s is too large", entry.Name)
		}
		if files[entry.Name], err = fs.ReadFile(archive, entry.Name); err != nil {
			return nil, newest, err
		}
		if entry.Modified.After(newest) {
			newest = entry.Modified
		}
	}
	return files, newest, nil
}

// writeTar writes files in the order of their names, so that the same files give the same bytes.
func writeTar(w io.Writer, names []string, changed time.Time, mode int64, read func(name string) ([]byte, error)) error {
	archive := tar.NewWriter(w)
	for _, name := range names {
		content, err := read(name)
		if err != nil {
			return err
		}
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content)), ModTime: changed, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(archive, bytes.NewReader(content)); err != nil {
			return err
		}
	}
	return archive.Close()
}
