package influx3test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Core is a real InfluxDB 3 Core, with the file store in a directory of the test's.
type Core struct {
	URL   string // without a slash at the end
	Token string // the operator token

	t       testing.TB
	bin     string
	dir     string
	address string
	process *exec.Cmd // nil while it does not run
}

// StartCore starts the program that INFLUXDB3_BIN names and makes its operator token. Where the variable is not set the
// test is skipped. At the end of the test the process is killed, by its ID.
func StartCore(t testing.TB) *Core {
	t.Helper()
	bin := os.Getenv("INFLUXDB3_BIN")
	if bin == "" {
		t.Skip("INFLUXDB3_BIN is not set: it names the influxdb3 to test against")
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil { // somebody else may take the port now, which the server would say
		t.Fatal(err)
	}
	c := &Core{URL: "http://" + address, t: t, bin: bin, dir: t.TempDir(), address: address}
	t.Cleanup(c.end)
	c.Start()
	c.Token = c.makeOperator()
	return c
}

// Start starts the server again, on the same data and the same port, and waits until it answers.
func (c *Core) Start() {
	c.t.Helper()
	if c.process != nil {
		c.t.Fatal("influx3test: this Core is running")
	}
	output, err := os.OpenFile(c.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer func() { _ = output.Close() }() // the process has its own
	// Not the test's context: what tests do in their Cleanup needs the server.
	process := exec.CommandContext(context.Background(), c.bin, "serve", "--node-id", "n0", "--object-store", "file",
		"--data-dir", filepath.Join(c.dir, "data"), "--http-bind", c.address, "--disable-telemetry-upload",
		"--wal-flush-interval", "100ms")
	process.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "INFLUXDB3_") })
	process.Stdout, process.Stderr = output, output
	if err := process.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.process = process
	c.awaitAnswer()
}

// Stop ends the server in its own way and waits for it.
func (c *Core) Stop() { c.signal(syscall.SIGTERM) }

// Kill ends the server at once, as a crash does.
func (c *Core) Kill() { c.signal(syscall.SIGKILL) }

// Log is all that the server wrote.
func (c *Core) Log() string {
	written, _ := os.ReadFile(c.logPath()) // without it there is nothing to show
	return string(written)
}

func (c *Core) logPath() string { return filepath.Join(c.dir, "log") }

func (c *Core) end() {
	if c.process != nil {
		c.Kill()
	}
}

func (c *Core) signal(signal os.Signal) {
	c.t.Helper()
	if c.process == nil {
		c.t.Fatal("influx3test: this Core does not run")
	}
	if err := c.process.Process.Signal(signal); err != nil {
		c.t.Errorf("influx3test: %v", err)
	}
	_ = c.process.Wait() // it was told to end; how it did is no matter
	c.process = nil
}

// awaitAnswer waits until the server answers, whatever it is.
func (c *Core) awaitAnswer() {
	c.t.Helper()
	limit := time.Now().Add(2 * time.Minute)
	for {
		if _, err := c.ask(http.MethodGet, "/ping"); err == nil {
			return
		}
		if time.Now().After(limit) {
			c.t.Fatalf("influx3test: Core does not answer:\n%s", c.Log())
		}
		<-time.After(20 * time.Millisecond)
	}
}

func (c *Core) makeOperator() string {
	c.t.Helper()
	body, err := c.ask(http.MethodPost, adminTokenPath)
	var made struct{ Token string }
	if err == nil {
		err = json.Unmarshal(body, &made)
	}
	if err != nil || made.Token == "" {
		c.t.Fatalf("influx3test: no operator token: %v: %s", err, body)
	}
	return made.Token
}

func (c *Core) ask(method, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(context.Background(), method, c.URL+path, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	return io.ReadAll(answer.Body)
}
