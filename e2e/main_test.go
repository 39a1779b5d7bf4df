// Package e2e tests the plugin inside a real Vault, against real InfluxDB servers.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// shared are the servers that all tests of this package use, because starting them takes longer than
// most tests. A test that stops one starts it again.
var shared struct {
	lab    *lab.Lab
	vault  *lab.Vault
	influx *lab.Influx
	// commands are the command lines that were seen on this machine since the start.
	commands *commandWatch
}

// oldInflux is the InfluxDB that stores tokens in clear, started when the first test asks for it.
var oldInflux = sync.OnceValues(func() (*lab.Influx, error) {
	influx, err := shared.lab.StartInflux(context.Background(), lab.InfluxOptions{Version: lab.OldInfluxVersion})
	if err != nil {
		return nil, err
	}
	_, err = influx.Setup(context.Background(), org, bucket, user)
	return influx, err
})

// influxOf is the shared InfluxDB of a version, set up.
func influxOf(t *testing.T, version string) *lab.Influx {
	t.Helper()
	if version == lab.InfluxVersion {
		return shared.influx
	}
	influx, err := oldInflux()
	require.NoError(t, err)
	return influx
}

// What Setup makes in every InfluxDB here.
const (
	org    = "acme"
	bucket = "metrics"
	user   = "root"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimProgram) != "" {
		startServersAndWaitForDeath()
	}
	os.Exit(runWithServers(m))
}

// onOpenBao says that OpenBao runs the engine, and not Vault.
func onOpenBao() bool { return lab.Host() == "bao" }

func runWithServers(m *testing.M) (code int) {
	if host := lab.Host(); host != "vault" && host != "bao" {
		fmt.Fprintf(os.Stderr, "HOST is %q: set it to vault or bao\n", host)
		return 2
	}
	var err error
	shared.commands = watchCommands()
	if shared.lab, err = lab.New(); err == nil {
		shared.lab.AuditVaults()
		err = startShared(context.Background())
	}
	if err == nil {
		code = m.Run()
		err = searchForLeaks(context.Background(), shared.lab, shared.commands)
	}
	if shared.lab != nil {
		if code != 0 {
			shared.lab.Complaints(os.Stderr)
		}
		err = errors.Join(err, shared.lab.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

// startShared starts both servers at once: each waits more than it works.
func startShared(ctx context.Context) error {
	var vaultErr, influxErr error
	var both sync.WaitGroup
	both.Go(func() { shared.vault, vaultErr = shared.lab.StartVault(ctx, lab.VaultOptions{}) })
	both.Go(func() {
		if shared.influx, influxErr = shared.lab.StartInflux(ctx, lab.InfluxOptions{}); influxErr == nil {
			_, influxErr = shared.influx.Setup(ctx, org, bucket, user)
		}
	})
	both.Wait()
	return errors.Join(vaultErr, influxErr)
}
