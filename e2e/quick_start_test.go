package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// What README.md and docs/install.md have a newcomer type is run here as it is written, in a copy of this repository.
// Only the two ports are others, so that nothing on this machine is in the way.

func TestQuickStart(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	n.startServers(t)
	n.types(t, serversToTry(t)[2])
	shown := n.types(t, quickStart(t))
	assert.Contains(t, shown, "influxdb/creds/app/", "a lease")
	assert.Len(t, n.authorizations(t), 1, "what was revoked is gone: the operator token is left")

	used := n.types(t, blocks(t, "README.md", "### Using a token")[0])
	assert.Contains(t, used, "kitchen", "the point is written and read")
	assert.Contains(t, used, "unauthorized access", "and the token is refused once it is revoked")

	n.upgrades(t)
	assert.Len(t, n.authorizations(t), 1)
}

// A fresh InfluxDB can be set up by the engine instead, which spares one command and one step.
func TestQuickStartWithASetup(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	n.startServers(t)
	exports, _, found := strings.Cut(serversToTry(t)[2], "(umask")
	require.True(t, found)
	n.types(t, exports)
	registered, rest, found := strings.Cut(quickStart(t), "\n# 3.")
	require.True(t, found)
	_, roleAndToken, found := strings.Cut(rest, "\n# 4.")
	require.True(t, found)

	n.types(t, registered)
	n.types(t, serversToTry(t)[3])
	shown := n.types(t, "# 4."+roleAndToken)
	assert.Contains(t, shown, "influxdb/creds/app/", "a lease")
}

// `make dev` has done the first four steps. The upgrade works on its Vault, too.
func TestQuickStartAfterMakeDev(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), quickStartLimit)
	defer cancel()
	dev := playground(ctx, t)
	dev.Cancel = func() error { return dev.Process.Signal(os.Interrupt) } // so that it takes its servers along
	dev.WaitDelay = time.Minute
	out, err := dev.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, dev.Start())
	t.Cleanup(func() {
		cancel()
		_ = dev.Wait()
	})
	invitation := readUntil(t, bufio.NewReader(out), "Ctrl-C stops both servers")

	n := newNewcomer(t)
	for _, export := range regexp.MustCompile(`(?m)^ +(export .*)$`).FindAllStringSubmatch(invitation, -1) {
		n.types(t, export[1])
	}
	_, fromFive, found := strings.Cut(quickStart(t), "\n# 5.")
	require.True(t, found)
	assert.Contains(t, n.types(t, "# 5."+fromFive), "influxdb/creds/app/", "a lease")

	const pluginDirectory = "vault read -field=plugin_directory sys/config/state/sanitized"
	assert.Contains(t, document(t, "docs/install.md"), "`"+pluginDirectory+"`")
	n.types(t, `export PLUGIN_DIR="$(`+pluginDirectory+`)"`)
	n.upgrades(t)
}

func TestQuickStartIsAtTheTop(t *testing.T) {
	before, _, found := strings.Cut(document(t, "README.md"), quickStart(t))
	require.True(t, found)
	assert.LessOrEqual(t, strings.Count(before, "\n")+strings.Count(quickStart(t), "\n"), 40)
}

// upgrades runs the upgrade, across which a lease goes on.
func (n *newcomer) upgrades(t *testing.T) {
	t.Helper()
	n.types(t, "LEASE=$(vault read -field=lease_id influxdb/creds/app)")
	upgrade := blocks(t, "docs/install.md", "## Upgrading")
	require.Len(t, upgrade, 2)
	assert.Contains(t, n.types(t, upgrade[0]), "\"v0.2.0\"\n\"v0.2.0\"\n", "the new version is the mount's, and runs")
	n.types(t, upgrade[1])
	n.types(t, `vault lease renew "$LEASE"; vault lease revoke -sync "$LEASE"; vault read influxdb/creds/app`)
	n.types(t, "vault lease revoke -sync -prefix influxdb/creds/app")
}

func quickStart(t *testing.T) string { return blocks(t, "README.md", "## Quick start")[0] }

// serversToTry are the two servers' terminals, the third one, and the setup by the engine.
func serversToTry(t *testing.T) []string {
	t.Helper()
	found := blocks(t, "README.md", "### Servers to try it on")
	require.Len(t, found, 4)
	return found
}

var (
	shellBlock  = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	nextHeading = regexp.MustCompile(`(?m)^##+ `)
)

// blocks are the shell commands under a heading of a document.
func blocks(t *testing.T, path, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(document(t, path), "\n"+heading+"\n")
	require.True(t, found, "%s has no heading %q", path, heading)
	if end := nextHeading.FindStringIndex(section); end != nil {
		section = section[:end[0]]
	}
	var commands []string
	for _, block := range shellBlock.FindAllStringSubmatch(section, -1) {
		commands = append(commands, block[1])
	}
	require.NotEmpty(t, commands, "%s: %s", path, heading)
	return commands
}

func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", path))
	require.NoError(t, err)
	return string(text)
}

// newcomer has a checkout and a terminal.
type newcomer struct {
	checkout      string
	env           []string
	vault, influx string // where the servers listen
	// reloadOfOpenBao is the command of docs/openbao.md.
	reloadOfOpenBao string
	in              io.Writer
	out             *bufio.Reader
}

// The ports that the documents name.
const (
	documentedVault  = "127.0.0.1:8200"
	documentedInflux = "127.0.0.1:8086"
)

// quickStartLimit bounds what somebody types; a busy machine needs minutes for two builds of the plugin.
const quickStartLimit = 30 * time.Minute

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	n := &newcomer{
		checkout: checkout(t), vault: freePort(t), influx: freePort(t),
		reloadOfOpenBao: strings.TrimSpace(blocks(t, "docs/openbao.md", "## Upgrading")[0]),
	}
	n.env = append(withoutServers(os.Environ()), n.here("VAULT_DEV_LISTEN_ADDRESS=")+n.vault)
	ctx, cancel := context.WithTimeout(t.Context(), quickStartLimit)
	terminal := exec.CommandContext(ctx, "bash", "-euo", "pipefail")
	terminal.Dir, terminal.Env = n.checkout, n.env
	in, err := terminal.StdinPipe()
	require.NoError(t, err)
	out, err := terminal.StdoutPipe()
	require.NoError(t, err)
	terminal.Stderr = terminal.Stdout
	n.in, n.out = in, bufio.NewReader(out)
	require.NoError(t, terminal.Start())
	t.Cleanup(func() {
		cancel()
		_ = terminal.Wait()
	})
	// docs/install.md has this for macOS.
	n.types(t, `command -v sha256sum >/dev/null || sha256sum() { shasum -a 256 "$@"; }`)
	return n
}

// types runs commands in the newcomer's terminal, and answers what they print. One that fails ends the test.
func (n *newcomer) types(t *testing.T, commands string) string {
	t.Helper()
	const done = "-- these commands are done --"
	_, err := fmt.Fprintf(n.in, "%s\necho %q\n", n.here(commands), done)
	require.NoError(t, err)
	var shown strings.Builder
	for {
		line, err := n.out.ReadString('\n')
		if last, found := strings.CutSuffix(strings.TrimSpace(line), done); found { // the answer before may not end its line
			return shown.String() + last
		}
		shown.WriteString(line)
		require.NoError(t, err, "a command failed:\n%s\nIt printed:\n%s", commands, &shown)
	}
}

// here are documented commands with this test's ports; on OpenBao, with what README.md and docs/openbao.md have instead.
func (n *newcomer) here(commands string) string {
	commands = strings.NewReplacer(documentedVault, n.vault, documentedInflux, n.influx).Replace(commands)
	if !onOpenBao() {
		return commands
	}
	const reload = "plugin reload -type=secret -plugin=influxdb"
	commands = strings.ReplaceAll(commands, "vault "+reload, n.reloadOfOpenBao)
	return strings.ReplaceAll(vaultCommand.ReplaceAllString(commands, "bao$1"), "VAULT_", "BAO_")
}

// vaultCommand is the command, and not the name of the plugin's file.
var vaultCommand = regexp.MustCompile(`\bvault([ )])`)

// startServers types what the first two terminals are for, and waits for the servers.
func (n *newcomer) startServers(t *testing.T) {
	t.Helper()
	found := serversToTry(t)
	require.Contains(t, found[0], documentedInflux)
	n.leaveRunning(t, found[0])
	n.leaveRunning(t, found[1])
	// From 2.10 on InfluxDB's /health answers 200 some time before the API is there.
	for url, ready := range map[string]int{"http://" + n.vault + "/v1/sys/health": http.StatusOK, "http://" + n.influx + "/ping": http.StatusNoContent} {
		require.NoError(t, lab.Await(t.Context(), quickStartLimit, url, func(ctx context.Context) error {
			status, _, err := readPage(ctx, url, "")
			if err == nil && status != ready {
				err = fmt.Errorf("%s answers %d", url, status)
			}
			return err
		}))
	}
}

// leaveRunning types commands of which the last does not end, in a terminal of its own. That is closed with all that
// runs in it when the test ends, and, because its input closes then, when this program is killed.
func (n *newcomer) leaveRunning(t *testing.T, commands string) {
	t.Helper()
	terminal := exec.Command("bash", "-c", "{ "+n.here(commands)+"\n} </dev/null & cat >/dev/null; kill -s KILL -- -$$")
	terminal.Dir, terminal.Env = n.checkout, n.env
	terminal.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var shown bytes.Buffer
	terminal.Stdout, terminal.Stderr = &shown, &shown
	in, err := terminal.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, terminal.Start())
	t.Cleanup(func() {
		assert.NoError(t, in.Close())
		_ = terminal.Wait() // until all of it has ended: each of them holds the output open
		if t.Failed() {
			t.Logf("%s\nprinted:\n%s", commands, &shown)
		}
	})
}

// authorizations are what InfluxDB lists to the operator.
func (n *newcomer) authorizations(t *testing.T) []any {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(n.checkout, "operator.token"))
	require.NoError(t, err)
	status, body, err := readPage(t.Context(), "http://"+n.influx+"/api/v2/authorizations", strings.TrimSpace(string(token)))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	var list struct {
		Authorizations []any `json:"authorizations"`
	}
	require.NoError(t, json.Unmarshal(body, &list))
	return list.Authorizations
}

// readPage reads a page, with an InfluxDB token where one is given.
func readPage(ctx context.Context, url, token string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Token "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// checkout is a copy of this repository, without what was built in it.
func checkout(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	entries, err := os.ReadDir("..")
	require.NoError(t, err)
	for _, entry := range entries {
		from, to := filepath.Join("..", entry.Name()), filepath.Join(directory, entry.Name())
		switch {
		case entry.Name() == "bin" || entry.Name() == ".git":
		case entry.IsDir():
			require.NoError(t, os.CopyFS(to, os.DirFS(from)))
		case entry.Type().IsRegular():
			content, err := os.ReadFile(from)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(to, content, 0o600))
		}
	}
	return directory
}

// withoutServers is an environment that leads to no Vault and no InfluxDB. Which programs to use it may still say.
func withoutServers(environ []string) []string {
	var clean []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		switch prefix, _, _ := strings.Cut(name, "_"); prefix {
		case "VAULT", "BAO", "INFLUX", "INFLUXD":
			if !strings.HasSuffix(name, "_BIN") {
				continue
			}
		}
		clean = append(clean, entry)
	}
	return clean
}

// freePort is an address of this machine that nothing listens on.
func freePort(t *testing.T) string {
	t.Helper()
	address, err := lab.FreeAddress()
	require.NoError(t, err)
	return address
}
