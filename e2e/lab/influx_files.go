package lab

import (
	"errors"
	"os"
	"path/filepath"
)

// dataFiles are what influxd stores in its directory.
var dataFiles = []string{"influxd.bolt", "influxd.sqlite", "engine"}

// Save copies all that it stores into an empty directory. It has to be stopped.
func (i *Influx) Save(to string) error {
	var failed []error
	for _, name := range dataFiles {
		failed = append(failed, copyAll(filepath.Join(to, name), filepath.Join(i.dir, name)))
	}
	return errors.Join(failed...)
}

// PutBack puts what was saved in the place of all that it stores. It has to be stopped.
func (i *Influx) PutBack(from string) error {
	var failed []error
	for _, name := range dataFiles {
		own := filepath.Join(i.dir, name)
		failed = append(failed, os.RemoveAll(own), copyAll(own, filepath.Join(from, name)))
	}
	return errors.Join(failed...)
}

// copyAll copies a file, or a directory with all that is in it.
func copyAll(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return os.CopyFS(to, os.DirFS(from))
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o600)
}
