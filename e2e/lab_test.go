package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

func TestVaultKeepsItsData(t *testing.T) {
	ctx := t.Context()
	vault := shared.vault
	_, err := vault.Client().Logical().WriteWithContext(ctx, "cubbyhole/lab", map[string]any{"stored": "yes"})
	require.NoError(t, err)

	for _, interruption := range []struct {
		name  string
		begin func() error
		end   func(context.Context) error
	}{
		{"restart", vault.Stop, vault.Start},
		{"crash", func() error { vault.Kill(); return nil }, vault.Start},
		{"seal", func() error { return vault.Seal(ctx) }, vault.Unseal},
	} {
		t.Run(interruption.name, func(t *testing.T) {
			require.NoError(t, interruption.begin())
			_, err := vault.Client().Logical().ReadWithContext(ctx, "cubbyhole/lab")
			require.Error(t, err, "interrupted, it does not answer")
			require.NoError(t, interruption.end(ctx))
			read, err := vault.Client().Logical().ReadWithContext(ctx, "cubbyhole/lab")
			require.NoError(t, err)
			require.NotNil(t, read)
			assert.Equal(t, "yes", read.Data["stored"])
		})
	}
	assert.Contains(t, vault.Logs(), "[TRACE]", "Vault's log is kept, at trace level")
}

func TestVaultAudits(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, shared.vault.Audit(ctx, path))
	t.Cleanup(func() { assert.NoError(t, shared.vault.Client().Sys().DisableAudit("audit")) })
	_, err := shared.vault.Client().Logical().ReadWithContext(ctx, "cubbyhole/audited")
	require.NoError(t, err)
	log, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(log), "cubbyhole/audited")
}

func TestInfluxStoresPoints(t *testing.T) {
	for _, version := range []string{lab.InfluxVersion, lab.OldInfluxVersion} {
		t.Run(version, func(t *testing.T) {
			influx := influxOf(t, version)
			assertWorks(t, influx, influx.Operator)

			status, err := influx.WritePoint(t.Context(), "no-such-token", org, bucket)
			require.NoError(t, err)
			assert.Equal(t, http.StatusUnauthorized, status)
			status, _, err = influx.QueryPoint(t.Context(), "no-such-token", org, bucket)
			require.NoError(t, err)
			assert.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

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

// assertWorks writes a point with the token and reads it back.
func assertWorks(t *testing.T, influx *lab.Influx, token string) {
	t.Helper()
	status, err := influx.WritePoint(t.Context(), token, org, bucket)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, status, "write")
	status, csv, err := influx.QueryPoint(t.Context(), token, org, bucket)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status, "query")
	assert.Contains(t, csv, "source", "the query finds the point")
}

func TestInfluxKeepsItsData(t *testing.T) {
	ctx := t.Context()
	influx := shared.influx
	assertWorks(t, influx, influx.Operator)
	require.NoError(t, influx.Stop())
	_, err := influx.WritePoint(ctx, influx.Operator, org, bucket)
	require.Error(t, err, "a stopped server does not answer")
	require.NoError(t, influx.Start(ctx))
	assertWorks(t, influx, influx.Operator)
	influx.Kill()
	require.NoError(t, influx.Start(ctx))
	assertWorks(t, influx, influx.Operator)
}

func TestInfluxIsManaged(t *testing.T) {
	ctx := t.Context()
	influx := shared.influx
	other, err := influx.CreateOrg(ctx, "other")
	require.NoError(t, err)
	alerts, err := influx.CreateBucket(ctx, other.ID, "alerts")
	require.NoError(t, err)
	owner, err := influx.CreateUser(ctx, "owner")
	require.NoError(t, err)
	read := lab.Permission{Action: "read", Resource: lab.Resource{Type: "buckets", ID: alerts.ID, OrgID: other.ID}}
	made, err := influx.CreateAuthorization(ctx, lab.Authorization{
		OrgID: other.ID, UserID: owner.ID, Description: "by hand", Permissions: []lab.Permission{read},
	})
	require.NoError(t, err)

	all, err := influx.Authorizations(ctx)
	require.NoError(t, err)
	assert.Contains(t, descriptions(all), "by hand")
	found, err := influx.Authorization(ctx, made.ID)
	require.NoError(t, err)
	assert.Equal(t, []lab.Permission{read}, found.Permissions)
	assert.Equal(t, "by hand", found.Description)
	assert.Empty(t, found.Token, "this version stores tokens hashed")
	status, _, err := influx.QueryPoint(ctx, made.Token, "other", "alerts")
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)

	require.NoError(t, influx.DeleteAuthorization(ctx, made.ID))
	_, err = influx.Authorization(ctx, made.ID)
	var answer *lab.StatusError
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, http.StatusNotFound, answer.Status)
	require.NoError(t, influx.DeleteBucket(ctx, alerts.ID))
	require.NoError(t, influx.DeleteUser(ctx, owner.ID))
	require.NoError(t, influx.DeleteOrg(ctx, other.ID))
}

func descriptions(all []lab.Authorization) []string {
	var texts []string
	for _, one := range all {
		texts = append(texts, one.Description)
	}
	return texts
}

func TestInfluxServesTLS(t *testing.T) {
	authority, err := lab.NewAuthority()
	require.NoError(t, err)
	influx, err := shared.lab.StartInflux(t.Context(), lab.InfluxOptions{Authority: authority})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, influx.Stop()) })
	require.True(t, strings.HasPrefix(influx.URL, "https://127.0.0.1:"))
	_, err = influx.Setup(t.Context(), org, bucket, user)
	require.NoError(t, err)
	assertWorks(t, influx, influx.Operator)

	_, err = http.Get(influx.URL + "/health")
	require.ErrorContains(t, err, "certificate", "who does not know the authority does not trust the server")
}

func TestNothingIsLeftRunning(t *testing.T) {
	ctx := t.Context()
	own, err := lab.New()
	require.NoError(t, err)
	_, err = own.StartInflux(ctx, lab.InfluxOptions{})
	require.NoError(t, err)
	_, err = own.StartVault(ctx, lab.VaultOptions{Storage: "inmem"})
	require.NoError(t, err)
	started, err := own.Processes(ctx)
	require.NoError(t, err)
	require.Len(t, started, 2)

	require.NoError(t, own.Close())
	assertAllGone(t, started)
	assert.NoDirExists(t, own.Dir())
}

// victimProgram makes this test binary start a server and then wait to be killed.
const victimProgram = "LAB_VICTIM_PROGRAM"

func TestServersEndWithTheirProgram(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	program := exec.CommandContext(ctx, os.Args[0])
	program.Env = append(os.Environ(), victimProgram+"=yes")
	program.Stderr = os.Stderr
	out, err := program.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, program.Start())
	t.Cleanup(func() { _ = program.Wait() }) // where the test ends early; its servers end with it
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan(), "the program tells its lab's directory")
	dir := lines.Text()
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	require.True(t, lines.Scan(), "the program tells its server")
	server, err := strconv.Atoi(lines.Text())
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(server, 0), "the server runs")

	require.NoError(t, program.Process.Kill())
	_ = program.Wait()
	assertAllGone(t, []int{server})
}

func startServersAndWaitForDeath() {
	started, err := lab.New()
	if err == nil {
		fmt.Println(started.Dir())
		_, err = started.StartInflux(context.Background(), lab.InfluxOptions{})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	pids, _ := started.Processes(context.Background())
	fmt.Println(pids[0])
	select {} // until it is killed
}

func assertAllGone(t *testing.T, pids []int) {
	t.Helper()
	assert.NoError(t, lab.Await(t.Context(), time.Minute, "the processes to end", func(ctx context.Context) error {
		living, err := lab.Living(ctx, pids)
		if err == nil && len(living) > 0 {
			err = fmt.Errorf("still there: %v", living)
		}
		return err
	}))
}
