package e2e

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// consumer is a program that docs/recipes.md has a recipe for, and what is tried with it.
type consumer struct {
	program, version, shown string
	// begin starts what end waits for: many wait for Vault's ticks, all at once.
	begin func(t *testing.T, c consumer) (end func(*testing.T))
}

var consumers = []consumer{
	{"Vault Agent", "1.21.1", "a file with a static role's token is written again after each rotation, and at no other read; a lease is renewed beyond its `ttl`", agentTemplates("vault")},
	{"Vault Agent", "1.21.1", "a program has the token in its environment, and is started anew with the next one after each rotation, and at no other read", agentStarts("vault")},
	{"OpenBao Agent", "2.7.2", "the same files", agentTemplates("bao")},
	{"OpenBao Agent", "2.7.2", "the same program", agentStarts("bao")},
	{"consul-template", "0.41.1", "the same as Vault Agent's files", consulTemplate},
	{"Vault Agent", "1.21.1", "the provisioning file for Grafana is written again, and its command run, after each rotation, and at no other read", grafanaFile},
	{"Telegraf", "1.37.2", "no point is lost through three rotations, one of them with `grace_period=0`", telegrafWrites},
	{"Telegraf", "1.37.2", "what `check` says is written to InfluxDB, and each query of the dashboard answers it", telegrafWatches},
	{"External Secrets Operator, etcd, kube-apiserver", "0.16.2, 3.6.8, 1.36.3", "the secret moves once at each of two rotations and at no other of more than ten refreshes; without the recipe's template it moves at each; on `creds` each makes one more lease, which is neither renewed nor revoked, and ends at the latest with its login", externalSecrets},
	{"OpenTofu, Vault provider", "1.12.6, 5.9.0", "apply, an empty plan after it, drift found and mended, both ephemeral resources, and destroy with leases alive: no token is left", openTofu},
	{"hvac, influxdb-client", "2.4.0, 1.50.0", programShown, program("python", "python", "hvac==%s", "influxdb-client==%s")},
	{"node-vault, @influxdata/influxdb-client", "0.12.0, 1.35.0", programShown, program("javascript", "node", "node-vault@%s", "@influxdata/influxdb-client@%s")},
	{"vault-java-driver, influxdb-client-java", "6.2.0, 7.3.0", programShown, program("java", "java", "io.github.jopenlibs:vault-java-driver:%s", "com.influxdb:influxdb-client-java:%s")},
	{"vault/api, influxdb-client-go", "1.23.0, 2.14.0", programShown, programInGo},
}

// TestConsumers runs the recipes with the programs that they are for.
func TestConsumers(t *testing.T) {
	if os.Getenv("CONSUMERS") == "" {
		t.Skip("make consumers runs it")
	}
	t.Parallel()
	for _, c := range consumers {
		t.Run(c.program+" "+c.version, func(t *testing.T) {
			t.Parallel()
			c.begin(t, c)(t)
		})
	}
}

var update = flag.Bool("update", false, "rewrite the generated table of docs/recipes.md")

// The table of docs/recipes.md says what TestConsumers tries.
func TestConsumersTable(t *testing.T) {
	const page, begin, end = "docs/recipes.md", "<!-- consumers -->\n", "<!-- /consumers -->"
	table := "\n| program | version | what was shown |\n| --- | --- | --- |\n"
	for _, c := range consumers {
		table += fmt.Sprintf("| %s | %s | %s |\n", c.program, c.version, c.shown)
	}
	table += "\n"
	before, rest, found := strings.Cut(document(t, page), begin)
	require.True(t, found)
	there, after, found := strings.Cut(rest, end)
	require.True(t, found)
	if *update {
		require.NoError(t, os.WriteFile(filepath.Join("..", page), []byte(before+begin+table+end+after), 0o644))
		return
	}
	assert.Equal(t, table, there, "cd e2e && go test -run TestConsumersTable . -update")
}

// fetching lets one program be built at a time: each build takes every processor, for minutes.
var fetching sync.Mutex

// fetched is the path of a command for a consumer; the test is skipped where this machine can't have it.
func fetched(t *testing.T, args ...string) string {
	t.Helper()
	if os.Getenv("CONSUMERS") == "here" {
		args = append([]string{"--here"}, args...)
	}
	cmd := exec.CommandContext(t.Context(), "../scripts/consumer.sh", args...)
	var says strings.Builder
	cmd.Stderr = io.MultiWriter(&says, os.Stderr) // builds tell how long they take
	fetching.Lock()
	out, err := cmd.Output()
	fetching.Unlock()
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == 3 {
		t.Skip(strings.TrimSpace(says.String()))
	}
	require.NoError(t, err, says.String())
	return strings.TrimSpace(string(out))
}

// assertVersion asserts that one of the servers' binaries is the version that the table names.
func assertVersion(t *testing.T, binary string, c consumer) {
	t.Helper()
	path, err := lab.Binary(t.Context(), binary)
	require.NoError(t, err)
	out, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(out), c.version)
}

// agentTemplates tries the agent of a host with files.
func agentTemplates(host string) func(*testing.T, consumer) func(*testing.T) {
	return func(t *testing.T, c consumer) func(*testing.T) {
		t.Helper()
		assertVersion(t, host, c)
		return agentFollows(t, host, connectedEngine(t, shared.influx))
	}
}

// agentStarts tries the agent of a host with a program that it starts.
func agentStarts(host string) func(*testing.T, consumer) func(*testing.T) {
	return func(t *testing.T, c consumer) func(*testing.T) {
		t.Helper()
		assertVersion(t, host, c)
		e := connectedEngine(t, shared.influx)
		e.staticRole(t, "app", map[string]any{"rotation_period": overduePeriod})
		f := newAgent(t, e.mayRead(t, "static-creds/app"))
		app := filepath.Join(f.dir, "app")
		const script = "#!/bin/sh\necho INFLUX_TOKEN=$INFLUX_TOKEN >>%s/starts\nexec tail -f /dev/null\n"
		require.NoError(t, os.WriteFile(app, fmt.Appendf(nil, script, f.dir), 0o700))
		f.follow(t, e, host, recipe(t, "agent-exec", map[string]string{"/usr/local/bin/app": app}))
		assertWorks(t, e.influx, f.awaitToken(t, "starts"))
		return func(t *testing.T) {
			f.assertTakesEachOnce(t, "starts")
			assertWorks(t, e.influx, f.awaitToken(t, "starts"))
		}
	}
}

// consulTemplate tries consul-template with a token of Vault's in a file.
func consulTemplate(t *testing.T, c consumer) func(*testing.T) {
	path := fetched(t, "go", "github.com/hashicorp/consul-template", c.version)
	e := connectedEngine(t, shared.influx)
	return followsAndRenews(t, e, func() follower {
		f := follower{dir: t.TempDir(), vault: newWitness(t, e)}
		token := e.tokenFor(t, e.mayRead(t, "static-creds/app", "creds/app"))
		require.NoError(t, os.WriteFile(filepath.Join(f.dir, "token"), []byte(token), 0o600))
		here := f.noting("influxdb.env", "influxdb-lease.env")
		here["https://vault.example:8200"], here["/run/vault/"], here["influxdb/"] = f.vault.URL, f.dir+"/", e.path+"/"
		started, err := shared.lab.StartProgram(path, "consul-template.hcl", recipe(t, "consul-template", here), nil, "-config")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, started.Stop()) })
		f.program = started
		return f
	})
}

// grafanaFile tries the agent with the file that Grafana reads: its command is run for each token once.
func grafanaFile(t *testing.T, c consumer) func(*testing.T) {
	assertVersion(t, "vault", c)
	e := connectedEngine(t, shared.influx)
	newFolder(t).runs(t, typed(t, recipes, "## Grafana", map[string]string{" influxdb/": " " + e.path + "/"}))
	e.deleteStaticRole(t, "grafana")
	_, err := e.vault.Logical().JSONMergePatch(t.Context(), e.path+"/static-roles/grafana",
		map[string]any{"rotation_period": overduePeriod, "grace_period": overduePeriod})
	require.NoError(t, err)
	f := newAgent(t, e.mayRead(t, "static-creds/grafana"))
	login, _, found := strings.Cut(recipe(t, "agent", nil), "\n# A static role")
	require.True(t, found)
	file := recipe(t, "grafana", map[string]string{
		"/etc/grafana/provisioning/datasources/": f.dir + "/", `["systemctl", "restart", "grafana-server"]`: f.takes("influxdb.yaml"),
	})
	f.follow(t, e, "vault", login+file)
	return func(t *testing.T) {
		f.assertTakesEachOnce(t, "influxdb.yaml.taken")
		content, err := os.ReadFile(filepath.Join(f.dir, "influxdb.yaml"))
		require.NoError(t, err)
		assert.Contains(t, string(content), "url: "+e.influx.URL+"\n")
		status, answer, err := e.influx.QueryPoint(t.Context(), f.awaitToken(t, "influxdb.yaml"), org, bucket)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, status, answer)
	}
}

// telegrafWrites tries Telegraf's output.
func telegrafWrites(t *testing.T, c consumer) func(*testing.T) {
	assertVersion(t, "telegraf", c)
	return telegrafLosesNothing(t, connectedEngine(t, shared.influx))
}
