package backend

import (
	"context"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	gplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

const testUUID = "9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77"

// mount is the engine as Vault runs it: a backend, its storage, and what it logged.
type mount struct {
	t testing.TB
	// vault is how Vault reaches the backend: directly, or over the plugin protocol.
	vault logical.Backend
	// backend is the one behind it.
	backend *backend
	storage *faultyStorage
	system  *logical.StaticSystemView
	// asked is system, and counts what it is asked.
	asked *askedSystem
	log   *lockedBuffer
	clock *clock
	// contexts holds that of the last request.
	contexts *atomic.Pointer[context.Context]
	// wire says that everything crosses the plugin protocol: numbers come back as float64.
	wire bool
}

// everyHost runs a test with a fresh mount, once directly and once over the plugin protocol.
func everyHost(t *testing.T, test func(t *testing.T, m *mount)) {
	t.Run("direct", func(t *testing.T) { test(t, newDirectMount(t)) })
	t.Run("grpc", func(t *testing.T) { test(t, newPluginMount(t)) })
}

// onWire runs every test over the plugin protocol: make unit runs the package a second time so.
var onWire = os.Getenv("TEST_MOUNT") == "grpc"

// newMount enables the engine at influxdb/ with a default lease of 1 hour and a maximum of 24.
func newMount(t testing.TB) *mount {
	t.Helper()
	if onWire {
		return newPluginMount(t)
	}
	return newDirectMount(t)
}

func newDirectMount(t testing.TB) *mount {
	t.Helper()
	return newNode(t, newFaultyStorage(), &clock{})
}

// newNode is the engine on one node of a cluster: all share storage, and time.
func newNode(t testing.TB, storage *faultyStorage, at *clock) *mount {
	t.Helper()
	m := &mount{t: t, log: &lockedBuffer{}, contexts: &atomic.Pointer[context.Context]{}, clock: at, storage: storage}
	t.Cleanup(func() { assertTokensAreNamed(t, m.log.String()) })
	m.system = &logical.StaticSystemView{
		DefaultLeaseTTLVal: time.Hour,
		MaxLeaseTTLVal:     24 * time.Hour,
		PluginEnvironment:  &logical.PluginEnvironment{},
		VersionString:      "1.21.1",
	}
	m.asked = &askedSystem{StaticSystemView: m.system}
	created, err := m.factory(t.Context(), m.config())
	require.NoError(t, err)
	m.vault = created
	t.Cleanup(func() { m.vault.Cleanup(context.Background()) })
	return m
}

// newPluginMount is newMount with gRPC in between, as between Vault's process and the plugin's.
func newPluginMount(t testing.TB) *mount {
	t.Helper()
	m := newDirectMount(t)
	m.wire = true
	client, _ := gplugin.TestPluginGRPCConn(t, false, map[string]gplugin.Plugin{
		"backend": &plugin.GRPCBackendPlugin{Factory: m.factory, Logger: hclog.NewNullLogger()},
	})
	t.Cleanup(func() { _ = client.Close() })
	raw, err := client.Dispense("backend")
	require.NoError(t, err)
	m.vault = raw.(logical.Backend)
	require.NoError(t, m.vault.Setup(t.Context(), m.config()))
	t.Cleanup(func() { m.vault.Cleanup(context.Background()) })
	return m
}

func (m *mount) factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	// The logger is ours on both ways, so that a test sees every line.
	conf.Logger = hclog.New(&hclog.LoggerOptions{Output: m.log, Level: hclog.Trace, JSONFormat: true})
	created, err := Factory(ctx, conf)
	if err != nil {
		return nil, err
	}
	m.backend = created.(*backend)
	m.backend.now = m.clock.now
	m.backend.System().(*host).age = 0 // a test's Vault may change from one request to the next
	return &witness{created, m.contexts}, nil
}

// witness notes the contexts of requests as the backend sees them: over the wire they end some time after the caller's.
type witness struct {
	logical.Backend
	contexts *atomic.Pointer[context.Context]
}

func (w *witness) HandleRequest(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	w.contexts.Store(&ctx)
	return w.Backend.HandleRequest(ctx, req)
}

func (m *mount) config() *logical.BackendConfig {
	return &logical.BackendConfig{
		StorageView: m.storage,
		System:      m.asked,
		Logger:      hclog.NewNullLogger(),
		BackendUUID: testUUID,
		Config:      map[string]string{"plugin_name": "influxdb"},
	}
}

// reload starts the backend afresh on the same storage, as an unseal or a plugin reload does.
func (m *mount) reload() {
	m.t.Helper()
	m.vault.Cleanup(context.Background())
	created, err := m.factory(m.t.Context(), m.config())
	require.NoError(m.t, err)
	m.vault = created
}

// request sends one request and fails the test on nothing: it answers what Vault would be answered.
func (m *mount) request(op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	m.t.Helper()
	return m.send(m.t.Context(), &logical.Request{Operation: op, Path: path, Data: data})
}

func (m *mount) send(ctx context.Context, req *logical.Request) (*logical.Response, error) {
	req.Storage = m.storage
	req.MountPoint = "influxdb/"
	if req.DisplayName == "" {
		req.DisplayName = "token-alice"
	}
	if req.Operation == logical.UpdateOperation {
		checked, exists, err := m.vault.HandleExistenceCheck(ctx, req)
		if err != nil {
			return nil, err
		}
		if checked && !exists {
			req.Operation = logical.CreateOperation
		}
	}
	return m.vault.HandleRequest(ctx, req)
}

// ok sends a request that has to succeed.
func (m *mount) ok(op logical.Operation, path string, data map[string]any) *logical.Response {
	m.t.Helper()
	resp, err := m.request(op, path, data)
	require.NoError(m.t, err)
	if resp != nil {
		require.NoError(m.t, resp.Error())
	}
	return resp
}

func (m *mount) write(path string, data map[string]any) *logical.Response {
	m.t.Helper()
	return m.ok(logical.UpdateOperation, path, data)
}

func (m *mount) read(path string) *logical.Response {
	m.t.Helper()
	return m.ok(logical.ReadOperation, path, nil)
}

// refused sends a request that has to fail, and answers the HTTP status and the text that a caller sees.
func (m *mount) refused(op logical.Operation, path string, data map[string]any) (int, string) {
	m.t.Helper()
	resp, err := m.request(op, path, data)
	return refusal(m.t, resp, err)
}

func refusal(t testing.TB, resp *logical.Response, err error) (int, string) {
	t.Helper()
	if err == nil {
		require.NotNil(t, resp, "accepted")
		require.Error(t, resp.Error(), "accepted")
		return 400, resp.Error().Error()
	}
	var coded logical.HTTPCodedError
	if c, ok := err.(logical.HTTPCodedError); ok { //nolint:errorlint // Vault too looks at the outermost error alone
		coded = c
		return coded.Code(), err.Error()
	}
	return 500, err.Error()
}

// configure connects the mount to an InfluxDB.
func (m *mount) configure(server *influxtest.Server, more ...map[string]any) {
	m.t.Helper()
	m.write("config", connection(server, more...))
}

func connection(server *influxtest.Server, more ...map[string]any) map[string]any {
	data := map[string]any{"url": server.URL, "token": server.RootToken(), "org": influxtest.OrgName}
	for _, fields := range more {
		for key, value := range fields {
			data[key] = value
		}
	}
	return data
}

// connected is a mount with a connection and a role app that reads and writes metrics.
func (m *mount) connected(options ...influxtest.Option) *influxtest.Server {
	m.t.Helper()
	server := influxtest.New(m.t, options...)
	m.configure(server)
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "write_buckets": "metrics", "ttl": "5m", "max_ttl": "1h"})
	return server
}

// mint reads creds and keeps the lease as Vault would.
func (m *mount) mint(role string) *leased {
	m.t.Helper()
	return m.leased(m.read("creds/" + role))
}

func (m *mount) leased(resp *logical.Response) *leased {
	m.t.Helper()
	require.NotNil(m.t, resp)
	require.NotNil(m.t, resp.Secret)
	resp.Secret.IssueTime = m.clock.now()
	return &leased{m: m, secret: resp.Secret, data: resp.Data, id: resp.Data["authorization_id"].(string)}
}
