package lab

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// hashesTokens says that a version stores tokens hashed where nothing else is said.
func hashesTokens(version string) bool {
	return !strings.HasPrefix(version, "2.7.") && !strings.HasPrefix(version, "2.8.")
}

// Downgrade makes an older version serve the data, as its documentation says to. It has to be stopped, and stays so.
func (i *Influx) Downgrade(ctx context.Context, version string) error {
	// The newest version that influxd 2.9.1 knows to go back to: what comes after it brings the data up again.
	const oldest = "2.4"
	out, err := exec.CommandContext(ctx, i.process.path, "downgrade", "--bolt-path", i.boltPath(), "--sqlite-path", i.sqlitePath(), oldest).CombinedOutput()
	if err != nil {
		return fmt.Errorf("influxd downgrade: %w: %s", err, out)
	}
	return i.become(ctx, version)
}

// Upgrade makes a newer version serve the data, and starts it. It has to be stopped.
func (i *Influx) Upgrade(ctx context.Context, version string) error {
	if err := i.become(ctx, version); err != nil {
		return err
	}
	return i.Start(ctx)
}

// become makes the next start one of another version.
func (i *Influx) become(ctx context.Context, version string) (err error) {
	i.process.path, err = Binary(ctx, "influxd", version)
	i.Version, i.HashesTokens = version, hashesTokens(version)
	return err
}
