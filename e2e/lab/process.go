package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a server has to stop after SIGTERM before it is killed. Vault needs some
// seconds at most: it gives each plugin two.
const stopGrace = 15 * time.Second

// process is one server: its command line, its log file, and each time it was started.
type process struct {
	path    string
	args    []string
	dir     string
	env     []string
	logPath string

	mu   sync.Mutex
	runs []*run
}

// newProcess describes a server whose data and log live in dir.
func newProcess(dir, path string, args, env []string) *process {
	return &process{
		path: path, args: args, dir: dir,
		env:     append(cleanEnvironment(os.Environ()), env...),
		logPath: filepath.Join(dir, "server.log"),
	}
}

// cleanEnvironment leaves out what would configure a server behind the lab's back.
func cleanEnvironment(environ []string) []string {
	var clean []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch prefix, _, _ := strings.Cut(name, "_"); prefix {
		case "VAULT", "BAO", "INFLUX", "INFLUXD", "INFLUXDB3":
		default:
			clean = append(clean, entry)
		}
	}
	return clean
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.current(); r != nil && !r.hasExited() {
		return fmt.Errorf("%s runs already (process %d): stop it first", p.path, r.pid())
	}
	// The file itself is the child's output, not a pipe through this program: a plugin that
	// outlives its Vault would otherwise hold the pipe open and Wait would not return.
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()

	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting %s: %w", p.path, err)
	}
	r := &run{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is kept in cmd.ProcessState
		close(r.exited)
	}()
	p.runs = append(p.runs, r)
	r.sentinel, err = startSentinel(r.pid())
	return err
}

// stop asks the server to end, kills it when it doesn't, and leaves nothing of its group behind.
func (p *process) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.current()
	if r == nil {
		return nil
	}
	return r.end(stopGrace)
}

// kill is a crash: SIGKILL to the server alone. Its children (a plugin) may live on, as they would.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.current(); r != nil && !r.hasExited() {
		_ = r.cmd.Process.Kill()
		<-r.exited
	}
}

// close ends every run, also the children that outlived a kill.
func (p *process) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var failed []error
	for _, r := range p.runs {
		failed = append(failed, r.end(stopGrace))
	}
	p.runs = nil
	return errors.Join(failed...)
}

func (p *process) current() *run {
	if len(p.runs) == 0 {
		return nil
	}
	return p.runs[len(p.runs)-1]
}

// gone tells why the server is not running, or nil when it is.
func (p *process) gone() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.current()
	if r == nil {
		return fmt.Errorf("%s was not started", p.path)
	}
	if !r.hasExited() {
		return nil
	}
	return fmt.Errorf("%s ended (%s); the last lines of its log:\n%s", p.path, r.cmd.ProcessState, p.tail(20))
}

// pid is the number of the process that runs, or ran last; 0 before the first start.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.current(); r != nil {
		return r.pid()
	}
	return 0
}

// groups are the process groups of all runs: the server's and those of its orphans.
func (p *process) groups() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	var groups []int
	for _, r := range p.runs {
		groups = append(groups, r.pid())
	}
	return groups
}

// await polls probe until it succeeds; it gives up early when the server has ended.
func (p *process) await(ctx context.Context, limit time.Duration, what string, probe func(context.Context) error) error {
	return Await(ctx, limit, what, func(ctx context.Context) error {
		if err := p.gone(); err != nil {
			return Final(err)
		}
		return probe(ctx)
	})
}

// logs is everything the server has written so far, over all its runs.
func (p *process) logs() string {
	content, err := os.ReadFile(p.logPath)
	if err != nil {
		return ""
	}
	return string(content)
}

func (p *process) tail(lines int) string {
	return strings.Join(last(lines, slices.Collect(strings.Lines(p.logs()))), "")
}

// complaints are the last lines of the log at the level of a warning or above.
func (p *process) complaints() []string {
	var found []string
	for line := range strings.Lines(p.logs()) {
		if complaint.MatchString(line) {
			found = append(found, line)
		}
	}
	return last(20, found)
}

// complaint recognizes such a line in Vault's log, in InfluxDB's, and in the trace of a panic.
var complaint = regexp.MustCompile(`\[(WARN|ERROR)\]|\blvl=(warn|error)\b|^(panic|fatal error):`)

func last(n int, lines []string) []string { return lines[max(0, len(lines)-n):] }
