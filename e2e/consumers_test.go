package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
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
	{"Vault Agent", "1.21.1", "a file with a static role's token is written again after a rotation; a lease is renewed beyond its `ttl`", agentTemplates("vault")},
	{"Vault Agent", "1.21.1", "a program has the token in its environment, and is started anew with the next one after a rotation", agentStarts("vault")},
	{"OpenBao Agent", "2.7.2", "the same files", agentTemplates("bao")},
	{"OpenBao Agent", "2.7.2", "the same program", agentStarts("bao")},
	{"consul-template", "0.41.1", "the same as Vault Agent's files", consulTemplate},
	{"Vault Agent", "1.21.1", "the provisioning file for Grafana", grafanaFile},
	{"Telegraf", "1.37.2", "no point is lost through three rotations, one of them with `grace_period=0`", telegrafWrites},
	{"Telegraf", "1.37.2", "what `check` says is written to InfluxDB, and each query of the dashboard answers it", telegrafWatches},
	{"External Secrets Operator, etcd, kube-apiserver", "0.16.2, 3.6.8, 1.36.3", "the secret moves once at each of two rotations and at no other of more than ten refreshes; without the recipe's template it moves at each", externalSecrets},
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
		e.staticRole(t, "app", map[string]any{"rotation_period": "1m"})
		dir := t.TempDir()
		app := filepath.Join(dir, "app")
		const script = "#!/bin/sh\necho INFLUX_TOKEN=$INFLUX_TOKEN >%[1]s/new && mv %[1]s/new %[1]s/env\nexec tail -f /dev/null\n"
		require.NoError(t, os.WriteFile(app, fmt.Appendf(nil, script, dir), 0o700))
		f := startAgent(t, e, host, "agent-exec", map[string]string{"/usr/local/bin/app": app})
		f.dir = dir
		first := f.awaitToken(t, "env", "")
		assertWorks(t, e.influx, first)
		e.rotate(t, "app", "1h")
		return func(t *testing.T) { assertWorks(t, e.influx, f.awaitToken(t, "env", first)) }
	}
}

// consulTemplate tries consul-template with a token of Vault's in a file.
func consulTemplate(t *testing.T, c consumer) func(*testing.T) {
	path := fetched(t, "go", "github.com/hashicorp/consul-template", c.version)
	e := connectedEngine(t, shared.influx)
	return followsAndRenews(t, e, func() follower {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "token"), []byte(e.tokenFor(t, `path "`+e.path+`/*" { capabilities = ["read"] }`)), 0o600))
		config := recipe(t, "consul-template", map[string]string{
			"https://vault.example:8200": shared.vault.Address, "/run/vault/": dir + "/", "/run/app/": dir + "/", "influxdb/": e.path + "/",
		})
		started, err := shared.lab.StartProgram(path, "consul-template.hcl", config, nil, "-config")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, started.Stop()) })
		return follower{started, dir}
	})
}

// grafanaFile tries the agent with the file that Grafana reads.
func grafanaFile(t *testing.T, c consumer) func(*testing.T) {
	assertVersion(t, "vault", c)
	e := connectedEngine(t, shared.influx)
	e.staticRole(t, "grafana", nil)
	e.staticRole(t, "app", nil)
	e.role(t, "app", bucketRole(nil))
	dir := t.TempDir()
	file := recipe(t, "grafana", map[string]string{
		"/etc/grafana/provisioning/datasources/": dir + "/", `["systemctl", "restart", "grafana-server"]`: `["touch", "` + dir + `/restarted"]`,
	})
	f := startAgent(t, e, "vault", "agent", map[string]string{"/run/app/": ""}, file)
	return func(t *testing.T) {
		require.NoError(t, f.program.Await(t.Context(), "the file, and the restart", func(context.Context) error {
			if _, err := os.Stat(filepath.Join(dir, "restarted")); err != nil {
				return fmt.Errorf("%w; the agent's log:\n%s", err, f.program.Logs())
			}
			return nil
		}))
		content, err := os.ReadFile(filepath.Join(dir, "influxdb.yaml"))
		require.NoError(t, err)
		assert.Contains(t, string(content), "url: "+e.influx.URL+"\n")
		_, token, found := strings.Cut(string(content), "token: ")
		require.True(t, found)
		assertWorks(t, e.influx, strings.TrimSpace(token))
	}
}

// telegrafWrites tries Telegraf's output.
func telegrafWrites(t *testing.T, c consumer) func(*testing.T) {
	assertVersion(t, "telegraf", c)
	return telegrafLosesNothing(t, connectedEngine(t, shared.influx))
}
