package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	gopsutil "github.com/shirou/gopsutil/v4/process"
)

// process is a plugin's, seen from outside; and from inside where it serves profiles.
type process struct {
	*gopsutil.Process
	// address is where it serves its statistics; empty where it doesn't.
	address string
}

func newProcess(pid int32, directory string) (process, error) {
	found, err := gopsutil.NewProcess(pid)
	if err != nil {
		return process{}, err
	}
	address, err := os.ReadFile(filepath.Join(directory, strconv.Itoa(int(pid))))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return process{found, string(address)}, err
}

// cpu is the processor time that it has used so far.
func (p process) cpu(ctx context.Context) (time.Duration, error) {
	times, err := p.TimesWithContext(ctx)
	if err != nil {
		return 0, err
	}
	return time.Duration((times.User + times.System) * float64(time.Second)), nil
}

// resident is its resident memory in bytes.
func (p process) resident(ctx context.Context) (int64, error) {
	memory, err := p.MemoryInfoWithContext(ctx)
	if err != nil {
		return 0, err
	}
	return int64(memory.RSS), nil
}

// peak notes the most memory that it holds until the answer is called, looking every few milliseconds.
func (p process) peak(ctx context.Context) func() (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	var most atomic.Int64
	done := make(chan error, 1)
	go func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for {
			now, err := p.resident(ctx)
			if ctx.Err() != nil || err != nil {
				done <- errors.Join(err, ctx.Err())
				return
			}
			most.Store(max(most.Load(), now))
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	}()
	return func() (int64, error) {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return 0, err
		}
		return most.Load(), nil
	}
}

// allocated are the objects and bytes that it has allocated so far.
func (p process) allocated(ctx context.Context) (objects, bytes float64, err error) {
	var vars struct {
		Memstats struct{ Mallocs, TotalAlloc float64 }
	}
	err = p.ask(ctx, "/debug/vars", func(body io.Reader) error { return json.NewDecoder(body).Decode(&vars) })
	return vars.Memstats.Mallocs, vars.Memstats.TotalAlloc, err
}

// goroutines are how many it runs.
func (p process) goroutines(ctx context.Context) (count int, err error) {
	err = p.ask(ctx, "/debug/pprof/goroutine?debug=1", func(body io.Reader) error {
		_, err := fmt.Fscanf(body, "goroutine profile: total %d", &count)
		return err
	})
	return count, err
}

// profile writes a CPU profile of the next seconds to a file.
func (p process) profile(ctx context.Context, seconds int, path string) error {
	return p.ask(ctx, "/debug/pprof/profile?seconds="+strconv.Itoa(seconds), func(body io.Reader) error {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, body)
		return errors.Join(err, file.Close())
	})
}

func (p process) ask(ctx context.Context, path string, read func(io.Reader) error) error {
	if p.address == "" {
		return fmt.Errorf("process %d serves no statistics", p.Pid)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.address+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return read(response.Body)
}
