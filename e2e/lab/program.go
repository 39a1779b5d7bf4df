package lab

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// programLimit is how long a program may take for what it does of itself: minutes, where it asks again each minute.
const programLimit = 5 * time.Minute

// Program is a client of the servers that runs on its own, until Stop or the lab's Close.
type Program struct{ process *process }

// StartTelegraf starts a Telegraf.
func (l *Lab) StartTelegraf(ctx context.Context, config string) (*Program, error) {
	return l.startProgram(ctx, "telegraf", "telegraf.conf", config, nil, "--config")
}

// StartAgent starts the agent of a "vault" or a "bao".
func (l *Lab) StartAgent(ctx context.Context, host, config string) (*Program, error) {
	return l.startProgram(ctx, host, "agent.hcl", config, nil, "agent", "-config")
}

// StartServer starts a Vault or an OpenBao with a configuration that is the caller's alone.
func (l *Lab) StartServer(ctx context.Context, config string, env ...string) (*Program, error) {
	return l.startProgram(ctx, Host(), "server.hcl", config, env, "server", "-config")
}

// startProgram is StartProgram with one of the servers' binaries.
func (l *Lab) startProgram(ctx context.Context, binary, file, config string, env []string, args ...string) (*Program, error) {
	path, err := Binary(ctx, binary)
	if err != nil {
		return nil, err
	}
	return l.StartProgram(path, file, config, env, args...)
}

// StartProgram starts a binary with a configuration file, whose path follows the arguments. The secrets that it
// holds are nobody else's to read.
func (l *Lab) StartProgram(path, file, config string, env []string, args ...string) (*Program, error) {
	dir, err := l.subdirectory(filepath.Base(path) + "-client")
	if err != nil {
		return nil, err
	}
	file = filepath.Join(dir, file)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	started, err := l.startIn(dir, path, append(args, file), env)
	return &Program{started}, err
}

// Await asks probe until it answers nil, as the function Await does; it gives up when the program has ended.
func (p *Program) Await(ctx context.Context, what string, probe func(context.Context) error) error {
	return p.process.await(ctx, programLimit, what, probe)
}

// Stop stops it as an administrator would.
func (p *Program) Stop() error { return p.process.stop() }

// Logs is everything it has written so far.
func (p *Program) Logs() string { return p.process.logs() }
