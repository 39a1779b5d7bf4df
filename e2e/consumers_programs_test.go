package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// programShown is what the programs of one's own show.
const programShown = "a token is read, a point written and read with it, the lease renewed and revoked"

// program tries one of the documented programs with a kind of interpreter, and packages of the versions in the table.
func program(name, kind string, packages ...string) func(*testing.T, consumer) func(*testing.T) {
	return func(t *testing.T, c consumer) func(*testing.T) {
		t.Helper()
		args := []string{kind}
		for i, version := range strings.Split(c.version, ", ") {
			args = append(args, fmt.Sprintf(packages[i], version))
		}
		command := fetched(t, args...)
		return func(t *testing.T) {
			assertProgram(t, name, func(file string) *exec.Cmd { return exec.CommandContext(t.Context(), command, file) })
		}
	}
}

// programInGo tries the program in Go, with the modules that the tests need anyway.
func programInGo(t *testing.T, c consumer) func(*testing.T) {
	versions := strings.Split(c.version, ", ")
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "github.com/hashicorp/vault/api", "github.com/influxdata/influxdb-client-go/v2").Output()
	require.NoError(t, err)
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		require.True(t, strings.HasSuffix(line, " v"+versions[i]), "%s", line)
	}
	return func(t *testing.T) {
		assertProgram(t, "go", func(file string) *exec.Cmd { return exec.CommandContext(t.Context(), "go", "run", file) })
	}
}

// programFiles are the names that the programs have as files.
var programFiles = map[string]string{"python": "main.py", "javascript": "main.js", "java": "Main.java", "go": "main.go"}

// assertProgram runs a documented program, and asserts that its point is there, and that neither a lease nor a token is
// left.
func assertProgram(t *testing.T, name string, command func(file string) *exec.Cmd) {
	t.Helper()
	e := connectedEngine(t, shared.influx)
	e.role(t, "app", bucketRole(map[string]any{"ttl": "5m", "max_ttl": "1h"}))
	token := e.tokenFor(t, `path "`+e.path+`/creds/app" { capabilities = ["read"] }
		path "sys/leases/renew" { capabilities = ["update"] }
		path "sys/leases/revoke" { capabilities = ["update"] }`)
	file := filepath.Join(t.TempDir(), programFiles[name])
	require.NoError(t, os.WriteFile(file, []byte(recipe(t, name, map[string]string{"influxdb/creds/app": e.path + "/creds/app"})), 0o600))
	cmd := command(file)
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+shared.vault.Address, "VAULT_TOKEN="+token)
	var says strings.Builder
	cmd.Stderr = &says
	out, err := cmd.Output()
	require.NoError(t, err, says.String())
	assert.Contains(t, string(out), "temperature 21.5\n")
	assert.True(t, strings.HasSuffix(string(out), "lease 300\n"), string(out))
	e.awaitNoTokenOf(t, "app", tickLimit)
	assert.Zero(t, e.leases(t.Context(), t, "app"))
}

// tokenFor is a token of Vault's with a policy.
func (e *engine) tokenFor(t *testing.T, policy string) string {
	t.Helper()
	name := unique("consumer")
	require.NoError(t, e.vault.Sys().PutPolicyWithContext(t.Context(), name, policy))
	made, err := e.vault.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{Policies: []string{name}, TTL: "1h", NoParent: true})
	require.NoError(t, err)
	return made.Auth.ClientToken
}
