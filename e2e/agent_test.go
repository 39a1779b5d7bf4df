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

// A program follows a static role, app, and keeps a lease of the role app alive beyond its ttl, so that the token in
// the other file goes on working. It is started once both are there.
func followsAndRenews(t *testing.T, e *engine, start func() follower) func(*testing.T) {
	// It reads again when ttl is over: a minute, however the rotation comes.
	e.staticRole(t, "app", map[string]any{"rotation_period": "1m"})
	const ttl = 30
	e.role(t, "app", bucketRole(map[string]any{"ttl": ttl, "max_ttl": "1h"}))
	f := start()
	first, leased := f.awaitToken(t, "influxdb.env", ""), f.awaitToken(t, "influxdb-lease.env", "")
	assertWorks(t, e.influx, first)
	assertWorks(t, e.influx, leased)
	e.rotate(t, "app", "1h")
	return func(t *testing.T) {
		second := f.awaitToken(t, "influxdb.env", first)
		assertWorks(t, e.influx, second)
		content, err := os.ReadFile(filepath.Join(f.dir, "influxdb.env"))
		require.NoError(t, err)
		assert.Contains(t, string(content), "INFLUX_HOST="+e.influx.URL+"\nINFLUX_ORG="+org+"\n")

		lease := e.onlyLease(t, "app")
		require.NoError(t, f.program.Await(t.Context(), "a renewal beyond the first ttl", func(context.Context) error {
			issued, expires := e.leaseTimes(t, lease)
			if lived := expires.Sub(issued).Seconds(); lived < 2*ttl {
				return fmt.Errorf("the lease reaches %.0f s", lived)
			}
			return nil
		}))
		assert.Equal(t, leased, f.token(t, "influxdb-lease.env"))
		assertWorks(t, e.influx, leased)
	}
}

// agentFollows is followsAndRenews of the agent of a "vault" or a "bao".
func agentFollows(t *testing.T, host string, e *engine) func(*testing.T) {
	return followsAndRenews(t, e, func() follower {
		return startAgent(t, e, host, "agent", map[string]string{"/run/app/": ""})
	})
}

// follower is a running program, and where it writes.
type follower struct {
	program *lab.Program
	dir     string
}

// startAgent starts the agent with a recipe, in which some of what it writes is replaced: "" stands for the directory in
// which the test looks.
func startAgent(t *testing.T, e *engine, host, name string, here map[string]string, more ...string) follower {
	t.Helper()
	f := newAgent(t, `path "`+e.path+`/*" { capabilities = ["read"] }`)
	here["https://vault.example:8200"], here["/etc/vault-agent/"] = shared.vault.Address, f.dir+"/"
	for documented, real := range here {
		if real == "" {
			here[documented] = f.dir + "/"
		}
	}
	config := recipe(t, name, here) + strings.Join(more, "")
	f.startOn(t, host, strings.ReplaceAll(config, "influxdb/", e.path+"/"))
	return f
}

// newAgent makes a place for an agent that logs in with a policy.
func newAgent(t *testing.T, policy string) follower {
	t.Helper()
	l, f := newLogin(t, policy), follower{dir: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "role-id"), []byte(l.roleID), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "secret-id"), []byte(l.secretID), 0o600))
	return f
}

// here is what stands for the documented agent's surroundings, and for where it writes.
func (f follower) here(e *engine, writes string) map[string]string {
	return map[string]string{
		"https://vault.example:8200": shared.vault.Address, `"influxdb/`: `"` + e.path + "/",
		"/etc/vault-agent/": f.dir + "/", writes: f.dir + "/",
	}
}

func (f *follower) start(t *testing.T, config string) {
	t.Helper()
	f.startOn(t, lab.Host(), config)
}

// startOn starts the agent of a "vault" or a "bao".
func (f *follower) startOn(t *testing.T, host, config string) {
	t.Helper()
	program, err := shared.lab.StartAgent(t.Context(), host, config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	f.program = program
}

// token is the one in a file that the program has written; empty when it has not.
func (f follower) token(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(f.dir, file))
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
func (f follower) awaitToken(t *testing.T, file, than string) (token string) {
	t.Helper()
	require.NoError(t, f.program.Await(t.Context(), "a token in "+file, func(context.Context) error {
		if token = f.token(t, file); token == "" || token == than {
			return errors.New("none, or the same; the program's log:\n" + f.program.Logs())
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
