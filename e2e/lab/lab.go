// Package lab starts real servers for tests and for the playground: Vault and InfluxDB on free
// loopback ports, with their data in one temporary directory. What a Lab starts, its Close stops;
// when the whole program dies instead, a sentinel beside each server stops it.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Lab owns one temporary directory and every server started in it.
type Lab struct {
	dir string

	mu        sync.Mutex
	processes []*process
	plugins   map[string]Plugin
	vaults    []*Vault
	influxes  []*Influx
	// auditsVaults is what AuditVaults sets.
	auditsVaults bool
}

// New makes an empty lab.
func New() (*Lab, error) {
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		return nil, fmt.Errorf("making the lab's directory: %w", err)
	}
	// Vault refuses a plugin directory that is reached through a symbolic link, which is what a
	// temporary directory is on macOS.
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &Lab{dir: real, plugins: map[string]Plugin{}}, nil
}

// Dir is the lab's own directory, readable by nobody else, gone after Close.
func (l *Lab) Dir() string { return l.dir }

// Close stops every server of the lab and removes its directory (LAB_KEEP=1 in the environment keeps
// it, with the servers' logs).
func (l *Lab) Close() error {
	l.mu.Lock()
	running := l.processes
	l.processes = nil
	l.mu.Unlock()

	var failed []error
	for i := len(running) - 1; i >= 0; i-- {
		failed = append(failed, running[i].close())
	}
	if os.Getenv("LAB_KEEP") == "" {
		failed = append(failed, os.RemoveAll(l.dir))
	}
	return errors.Join(failed...)
}

// Complaints writes what the servers logged at the level of a warning or above, for the reader of a
// failed run.
func (l *Lab) Complaints(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.processes {
		if lines := p.complaints(); len(lines) > 0 {
			fmt.Fprintf(w, "--- %s complains (the last lines) ---\n%s\n", p.logPath, strings.Join(lines, ""))
		}
	}
}

// Processes are the living processes of everything the lab has started: servers, and their plugins.
func (l *Lab) Processes(ctx context.Context) ([]int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var groups []int
	for _, p := range l.processes {
		groups = append(groups, p.groups()...)
	}
	found, err := members(ctx, groups)
	return numbers(found), err
}

// subdirectory makes a directory of its own for one server.
func (l *Lab) subdirectory(pattern string) (string, error) {
	return os.MkdirTemp(l.dir, pattern+"-")
}

// startIn starts a process whose data and log live in dir.
func (l *Lab) startIn(dir, path string, args, env []string) (*process, error) {
	started := newProcess(dir, path, args, env)
	l.own(started)
	return started, started.start()
}

func (l *Lab) own(p *process) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.processes = append(l.processes, p)
}
