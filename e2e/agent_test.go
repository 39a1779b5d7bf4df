package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A Vault Agent writes a static role's token into a file, and again after each rotation; and it keeps a lease
// alive beyond its ttl, so that the token in the other file goes on working.
func agentFollows(t *testing.T, e *engine) func(*testing.T) {
	// The agent reads again when ttl is over: a minute, however the rotation comes.
	e.staticRole(t, "app", map[string]any{"rotation_period": "1m"})
	const ttl = 30
	e.role(t, "app", bucketRole(map[string]any{"ttl": ttl, "max_ttl": "1h"}))
	a := startAgent(t, e)
	first, leased := a.awaitToken(t, "influxdb.env", ""), a.awaitToken(t, "influxdb-lease.env", "")
	assertWorks(t, e.influx, first)
	assertWorks(t, e.influx, leased)
	e.rotate(t, "app", "1h")
	return func(t *testing.T) {
		second := a.awaitToken(t, "influxdb.env", first)
		assertWorks(t, e.influx, second)
		content, err := os.ReadFile(filepath.Join(a.dir, "influxdb.env"))
		require.NoError(t, err)
		assert.Contains(t, string(content), "INFLUX_HOST="+e.influx.URL+"\nINFLUX_ORG="+org+"\n")

		lease := e.onlyLease(t, "app")
		require.NoError(t, a.program.Await(t.Context(), "a renewal beyond the first ttl", func(context.Context) error {
			issued, expires := e.leaseTimes(t, lease)
			if lived := expires.Sub(issued).Seconds(); lived < 2*ttl {
				return fmt.Errorf("the lease reaches %.0f s", lived)
			}
			return nil
		}))
		assert.Equal(t, leased, a.token(t, "influxdb-lease.env"))
		assertWorks(t, e.influx, leased)
	}
}

// agent is a running Vault Agent, and where it writes.
type agent struct {
	program *lab.Program
	dir     string
}

// startAgent starts the agent that the documentation shows.
func startAgent(t *testing.T, e *engine) agent {
	t.Helper()
	a := newAgent(t, fmt.Sprintf(`path "%[1]s/static-creds/app" { capabilities = ["read"] }
		path "%[1]s/creds/app" { capabilities = ["read"] }`, e.path))
	a.start(t, recipe(t, "vault-agent", a.here(e, "/run/app/")))
	return a
}

// newAgent makes a place for an agent that logs in with a policy.
func newAgent(t *testing.T, policy string) agent {
	t.Helper()
	l, a := newLogin(t, policy), agent{dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "role-id"), []byte(l.roleID), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "secret-id"), []byte(l.secretID), 0o600))
	return a
}

// here is what stands for the documented agent's surroundings, and for where it writes.
func (a agent) here(e *engine, writes string) map[string]string {
	return map[string]string{
		"https://vault.example:8200": shared.vault.Address, `"influxdb/`: `"` + e.path + "/",
		"/etc/vault-agent/": a.dir + "/", writes: a.dir + "/",
	}
}

func (a *agent) start(t *testing.T, config string) {
	t.Helper()
	program, err := shared.lab.StartAgent(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	a.program = program
}

// token is the one in a file that the agent has written; empty when it has not.
func (a agent) token(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(a.dir, file))
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	for line := range strings.Lines(string(content)) {
		if token, found := strings.CutPrefix(line, "INFLUX_TOKEN="); found {
			return strings.TrimSpace(token)
		}
	}
	return ""
}

// awaitToken waits for a token in a file, another than the one that was there.
func (a agent) awaitToken(t *testing.T, file, than string) (token string) {
	t.Helper()
	require.NoError(t, a.program.Await(t.Context(), "a token in "+file, func(context.Context) error {
		if token = a.token(t, file); token == "" || token == than {
			return errors.New("none, or the same; the agent's log:\n" + a.program.Logs())
		}
		return nil
	}))
	return token
}

// onlyLease is the ID of the one lease that a role has.
func (e *engine) onlyLease(t *testing.T, role string) string {
	t.Helper()
	prefix := e.path + "/creds/" + role
	listed, err := e.vault.Logical().ListWithContext(t.Context(), "sys/leases/lookup/"+prefix)
	require.NoError(t, err)
	require.NotNil(t, listed)
	require.Len(t, listed.Data["keys"], 1)
	return prefix + "/" + fmt.Sprint(listed.Data["keys"].([]any)[0])
}
