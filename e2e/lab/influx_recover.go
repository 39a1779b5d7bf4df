package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

func (i *Influx) boltPath() string   { return filepath.Join(i.dir, "influxd.bolt") }
func (i *Influx) sqlitePath() string { return filepath.Join(i.dir, "influxd.sqlite") }

// RecoverOperator makes an operator token where nobody has one, and starts the server again. It has to be stopped.
func (i *Influx) RecoverOperator(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, i.process.path, "recovery", "auth", "create-operator", "--bolt-path", i.boltPath(),
		"--org", i.Onboarding.Org.Name, "--username", i.Onboarding.User.Name).Output()
	if err != nil {
		return fmt.Errorf("influxd recovery: %w", err)
	}
	// A table of all tokens, with the new one's value in it.
	for line := range strings.Lines(string(out)) {
		if token := tokenValue.FindString(line); token != "" && strings.Contains(line, "Recovery Token") {
			i.Operator = token
			i.handed.add(token)
		}
	}
	return i.Start(ctx)
}

var tokenValue = regexp.MustCompile(`[A-Za-z0-9_-]{86}==`)
