package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// v1Commands are typed after docs/v1-clients.md.
func v1Commands(t *testing.T, heading string, here map[string]string) string {
	t.Helper()
	return typed(t, v1Clients, heading, here)
}

// typed are the first commands under a heading of a document, with the host's own one.
func typed(t *testing.T, page, heading string, here map[string]string) string {
	t.Helper()
	commands := replaced(t, blocks(t, page, heading)[0], here)
	if onOpenBao() {
		commands = vaultCommand.ReplaceAllString(commands, "bao$1")
	}
	return commands
}

// folder is where somebody types documented commands.
type folder struct {
	path string
	env  []string
}

// newFolder is an empty one, with the host's command and `influx` at hand.
func newFolder(t *testing.T, env ...string) folder {
	t.Helper()
	path := os.Getenv("PATH")
	for _, name := range []string{lab.Host(), "influx"} {
		binary, err := lab.Binary(t.Context(), name)
		require.NoError(t, err)
		path = filepath.Dir(binary) + string(filepath.ListSeparator) + path
	}
	env = append(env, "PATH="+path, "VAULT_ADDR="+shared.vault.Address, "VAULT_TOKEN="+shared.vault.RootToken()) // OpenBao goes by them, too
	return folder{t.TempDir(), append(withoutServers(os.Environ()), env...)}
}

// tries runs a program there, and returns what it printed.
func (f folder) tries(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = f.path, f.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// runs runs commands, which have to succeed.
func (f folder) runs(t *testing.T, commands string) string {
	t.Helper()
	out, err := f.tries(t.Context(), "bash", "-euo", "pipefail", "-c", commands)
	require.NoError(t, err, "%s\nprinted:\n%s", commands, out)
	return out
}

func TestV1RecipesForCurlAndPython(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", bucketRole(nil))
		f := newFolder(t)
		commands := v1Commands(t, "## curl", map[string]string{" influxdb/creds/": " " + e.path + "/creds/"})
		assert.Contains(t, f.runs(t, commands), "kitchen")
		_, calls, found := strings.Cut(commands, "\n\n")
		require.True(t, found)
		revoke := func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(f.path, "creds.json"))
			require.NoError(t, err)
			var creds struct {
				Lease string `json:"lease_id"`
			}
			require.NoError(t, json.Unmarshal(text, &creds))
			e.revoke(t, creds.Lease)
		}

		t.Run("python", func(t *testing.T) {
			python := fetched(t, "python", "influxdb==5.3.2")
			program := filepath.Join(f.path, "rooms.py")
			require.NoError(t, os.WriteFile(program, []byte(recipeOf(t, v1Clients, "python", nil)), 0o600))
			out, err := f.tries(t.Context(), python, program)
			require.NoError(t, err, out)
			assert.Contains(t, out, "cellar 12.5")
			revoke(t)
			out, err = f.tries(t.Context(), python, program)
			require.Error(t, err)
			assert.Contains(t, out, "InfluxDBClientError: 401")
		})
		revoke(t)
		out, err := f.tries(t.Context(), "bash", "-euo", "pipefail", "-c", "URL="+e.influx.URL+"\n"+calls)
		require.Error(t, err)
		assert.Contains(t, out, "401")
	})
}

// dataSources is the form of Grafana's file, as far as it is about a data source with InfluxQL.
type dataSources struct {
	APIVersion  int `yaml:"apiVersion"`
	DataSources []struct {
		Name     string
		Type     string
		Access   string
		URL      string
		User     string
		JSONData struct {
			Database string `yaml:"dbName"`
			Mode     string `yaml:"httpMode"`
		} `yaml:"jsonData"`
		SecureJSONData struct{ Password string } `yaml:"secureJsonData"`
	} `yaml:"datasources"`
}

// Vault Agent writes the file, and what stands in it works by the calls that Grafana makes.
func TestV1RecipeForGrafana(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		newFolder(t).runs(t, v1Commands(t, "## Grafana", map[string]string{" influxdb/": " " + e.path + "/"}))
		e.deleteStaticRole(t, "grafana")
		e.role(t, "writes", map[string]any{"write_buckets": bucket})
		require.Equal(t, http.StatusNoContent, writeV1(t, e.influx, basic("v1", e.mint(t, "writes").token), bucket).status)
		a := newAgent(t, `path "`+e.path+`/static-creds/grafana" { capabilities = ["read"] }`)
		login, _, found := strings.Cut(recipe(t, "agent", a.here(e, "/run/app/")), "\n# A static role")
		require.True(t, found)
		const directory = "/etc/grafana/provisioning/datasources/"
		a.start(t, login+recipeOf(t, v1Clients, "grafana-v1", map[string]string{
			directory: a.dir + "/", `"influxdb/`: `"` + e.path + "/", `["systemctl", "restart", "grafana-server"]`: `["touch", "` + a.dir + `/restarted"]`,
		}))
		require.NoError(t, a.program.Await(t.Context(), "the restart", func(context.Context) error {
			_, err := os.Stat(filepath.Join(a.dir, "restarted"))
			return err
		}))
		text, err := os.ReadFile(filepath.Join(a.dir, "influxql.yaml"))
		require.NoError(t, err)
		decoder := yaml.NewDecoder(strings.NewReader(string(text)))
		decoder.KnownFields(true)
		var file dataSources
		require.NoError(t, decoder.Decode(&file))
		require.Equal(t, 1, file.APIVersion)
		require.Len(t, file.DataSources, 1)

		source := file.DataSources[0]
		assert.Equal(t, []string{"influxdb", "proxy", "POST"}, []string{source.Type, source.Access, source.JSONData.Mode})
		form := url.Values{"q": {`SELECT mean("temperature") FROM "room" WHERE time > now() - 1h GROUP BY time(10m) fill(null)`}}
		asked := url.Values{"db": {source.JSONData.Database}, "epoch": {"ms"}}
		request, err := http.NewRequestWithContext(t.Context(), source.JSONData.Mode, source.URL+"/query?"+asked.Encode(), strings.NewReader(form.Encode()))
		require.NoError(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth(source.User, source.SecureJSONData.Password)
		assertAnswer(t, http.StatusOK, `"columns":["time","mean"]`, send(t, request))
	})
}
