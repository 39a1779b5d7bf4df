package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// CLI runs `influx` as the operator, and returns what it wrote. The operator token goes through the environment: a
// command line is for everybody to read.
func (l *Lab) CLI(ctx context.Context, influx *Influx, args ...string) ([]byte, error) {
	binary, err := Binary(ctx, "influx")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(cleanEnvironment(os.Environ()),
		"INFLUX_HOST="+influx.URL,
		"INFLUX_TOKEN="+influx.Operator,
		"INFLUX_CONFIGS_PATH="+filepath.Join(l.dir, "no-influx-configs"), // not those of whoever runs the tests
	)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("influx %v: %w: %s", args, err, &complaints)
	}
	return out, nil
}

// CreateAuthorizationByCLI runs `influx auth create` with further arguments, and returns the ID of the token it made.
func (l *Lab) CreateAuthorizationByCLI(ctx context.Context, influx *Influx, args ...string) (string, error) {
	out, err := l.CLI(ctx, influx, append([]string{"auth", "create", "--json"}, args...)...)
	if err != nil {
		return "", err
	}
	var made struct {
		ID string `json:"id"`
	}
	// Not repeated: the answer holds the token's value.
	if err := json.Unmarshal(out, &made); err != nil || made.ID == "" {
		return "", fmt.Errorf("influx auth create %v: its answer names no ID", args)
	}
	return made.ID, nil
}
