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

// CreateAuthorizationByCLI runs `influx auth create` as the operator, with further arguments, and returns
// the ID of the token it made. The operator token goes through the environment: a command line is for
// everybody to read.
func (l *Lab) CreateAuthorizationByCLI(ctx context.Context, influx *Influx, args ...string) (string, error) {
	binary, err := Binary(ctx, "influx")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, binary, append([]string{"auth", "create", "--json"}, args...)...)
	cmd.Env = append(cleanEnvironment(os.Environ()),
		"INFLUX_HOST="+influx.URL,
		"INFLUX_TOKEN="+influx.Operator,
		"INFLUX_CONFIGS_PATH="+filepath.Join(l.dir, "no-influx-configs"), // not those of whoever runs the tests
	)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("influx auth create %v: %w: %s", args, err, &complaints)
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
