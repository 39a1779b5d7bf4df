package e2e

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// selfInit is what the documented server that sets itself up reads.
type selfInit struct {
	dir, address, config string
	influx               *lab.Influx
}

const appPassword = "a password of the test"

func newSelfInit(t *testing.T, influx *lab.Influx) *selfInit {
	t.Helper()
	s := &selfInit{dir: t.TempDir(), address: freePort(t), influx: influx}
	plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
	require.NoError(t, err)
	binary, err := os.ReadFile(plugin.Path)
	require.NoError(t, err)
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	for name, content := range map[string][]byte{
		"unseal.key": key, "influxdb.token": []byte(influx.Operator + "\n"), "influxdb-app.hcl": []byte(documentedPolicies(t)["influxdb-app"]),
		"plugins/vault-plugin-secrets-influxdb_v0.1.0": binary,
	} {
		path := filepath.Join(s.dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o700))
	}
	require.NoError(t, os.Mkdir(filepath.Join(s.dir, "data"), 0o700))
	s.config = recipeOf(t, "docs/openbao.md", "self-init", map[string]string{
		"/etc/openbao/": s.dir + "/", "/var/lib/openbao": s.dir + "/data", "/var/log/openbao/": s.dir + "/",
		"/usr/lib/openbao/plugins": s.dir + "/plugins", "<sha256 of the binary>": plugin.SHA256,
		"127.0.0.1:8200": s.address, "127.0.0.1:8201": freePort(t), "https://influxdb.example:8086": influx.URL,
	})
	return s
}

// start starts the server, and returns a client without a token.
func (s *selfInit) start(t *testing.T, config string) (*lab.Program, *api.Client) {
	t.Helper()
	program, err := shared.lab.StartServer(t.Context(), "disable_mlock = true\n"+config, "APP_PASSWORD="+appPassword)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	client := shared.vault.Client()
	require.NoError(t, client.SetAddress("http://"+s.address))
	client.ClearToken()
	return program, client
}

// isActive is an error until the server serves.
func isActive(client *api.Client) func(context.Context) error {
	return func(ctx context.Context) error {
		health, err := client.Sys().HealthWithContext(ctx)
		if err == nil && (!health.Initialized || health.Sealed || health.Standby) {
			err = errors.New("it does not serve yet")
		}
		return err
	}
}

// The documented server sets itself up while InfluxDB is down, and hands out tokens when that is there.
func TestOpenBaoSetsItselfUp(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	influx := newInflux(t, lab.InfluxOptions{})
	require.NoError(t, influx.Stop())
	s := newSelfInit(t, influx)
	program, client := s.start(t, s.config)
	require.NoError(t, program.Await(t.Context(), "OpenBao to serve", isActive(client)))
	login, err := client.Logical().WriteWithContext(t.Context(), "auth/userpass/login/app", map[string]any{"password": appPassword})
	require.NoError(t, err)
	client.SetToken(login.Auth.ClientToken)
	e := &engine{path: "influxdb", influx: influx, vault: client}
	_, err = client.Logical().ReadWithContext(t.Context(), "influxdb/creds/app")
	answeredWith(t, http.StatusBadGateway, err)

	require.NoError(t, influx.Start(t.Context()))
	m := e.mint(t, "app")
	assert.Equal(t, 300, m.seconds)
	assertWorks(t, influx, m.token)
	require.NoError(t, client.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: m.lease, Sync: true}))
	assertGone(t, influx, m)
	log, err := os.ReadFile(filepath.Join(s.dir, "audit.log"))
	require.NoError(t, err)
	assert.Contains(t, string(log), "influxdb/creds/app", "the stanza makes an audit log")
}

// Without verify_connection=false the server ends while InfluxDB is down, and never starts again on that storage.
func TestOpenBaoDoesNotSetItselfUpTwice(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	influx := newInflux(t, lab.InfluxOptions{})
	require.NoError(t, influx.Stop())
	s := newSelfInit(t, influx)
	const unverified = "verify_connection = false"
	require.Contains(t, s.config, unverified)
	config := strings.Replace(s.config, unverified, "verify_connection = true", 1)
	fails := func(says string) {
		program, client := s.start(t, config)
		require.ErrorContains(t, program.Await(t.Context(), "OpenBao to serve", isActive(client)), "ended")
		assert.Contains(t, program.Logs(), says)
	}
	fails("no usable answer from " + influx.URL)
	require.NoError(t, influx.Start(t.Context()))
	fails("self-initialization failed: refusing to unseal")
}
