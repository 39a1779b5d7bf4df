// Package e2e tests the plugin inside a real Vault, against real InfluxDB servers.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
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

// versions are the InfluxDBs that tests of every version run on, as lab.InfluxOptions names them: those that the
// variable INFLUX_VERSIONS lists, or the two that each change is tested with.
var versions = versionsOr(os.Getenv("INFLUX_VERSIONS"), lab.InfluxVersion, lab.OldInfluxVersion)

func versionsOr(listed string, usual ...string) []string {
	if named := strings.Fields(listed); len(named) > 0 {
		return named
	}
	return usual
}

// others are the InfluxDBs of other versions than the shared one's, each started when the first test asks for it.
var others sync.Map

// influxOf is the shared InfluxDB of a version, set up.
func influxOf(t *testing.T, version string) *lab.Influx {
	t.Helper()
	if version == lab.InfluxVersion {
		return shared.influx
	}
	once, _ := others.LoadOrStore(version, sync.OnceValues(func() (*lab.Influx, error) {
		influx, err := shared.lab.StartInflux(context.Background(), lab.InfluxOptions{Version: version})
		if err == nil {
			_, err = influx.Setup(context.Background(), org, bucket, user)
		}
		return influx, err
	}))
	influx, err := once.(func() (*lab.Influx, error))()
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
