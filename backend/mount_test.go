package backend

import (
	"context"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	gplugin "github.com/hashicorp/go-plugin"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/plugin"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
	"vault-plugin-secrets-influxdb/backend/token"
)

const testUUID = "9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77"

// Texts that several messages end in or are.
const (
	unchangedText = "; the stored configuration is unchanged"
	noLimitsText  = "Vault did not tell the mount's lease times; try again"
)

// testMount is the engine as Vault runs it: a backend, its storage, and what it logged.
type testMount struct {
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
	// uuid is Vault's of the mount.
	uuid string
	// contexts holds that of the last request.
	contexts *atomic.Pointer[context.Context]
}

// overGRPC runs every test over the plugin protocol, where numbers come back as float64: make unit runs most of the package
// a second time so.
var overGRPC = os.Getenv("TEST_MOUNT") == "grpc"

// atLength reports whether what takes the same steps hundreds of times takes all of them: neither with the race detector nor
// over the plugin protocol, which see each step in fewer of them. make unit runs those tests once more without both, by
// their names in AT_LENGTH of the Makefile.
func atLength() bool { return !testing.Short() && !overGRPC && !withRace }

// everyHost runs a test with a fresh mount.
func everyHost(t *testing.T, test func(t *testing.T, m *testMount)) { test(t, newMount(t)) }

// newMount enables the engine at influxdb/ with a default lease of 1 hour and a maximum of 24.
func newMount(t testing.TB) *testMount {
	t.Helper()
	if overGRPC {
		return newPluginMount(t)
	}
	return newDirectMount(t)
}

func newDirectMount(t testing.TB) *testMount {
	t.Helper()
	return newNode(t, newFaultyStorage(), &clock{})
}

// newNode is the engine on one node of a cluster: all share storage, and time.
func newNode(t testing.TB, storage *faultyStorage, at *clock) *testMount {
	t.Helper()
	m := &testMount{t: t, log: &lockedBuffer{}, contexts: &atomic.Pointer[context.Context]{}, clock: at, storage: storage, uuid: testUUID}
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
func newPluginMount(t testing.TB) *testMount {
	t.Helper()
	m := newDirectMount(t)
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

func (m *testMount) factory(ctx context.Context, conf *logical.BackendConfig) (logical.Backend, error) {
	// The logger is ours on both ways, so that a test sees every line.
	conf.Logger = hclog.New(&hclog.LoggerOptions{Output: m.log, Level: hclog.Trace, JSONFormat: true})
	created, err := m.open(ctx, conf)
	if err != nil {
		return nil, err
	}
	m.backend = created
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

func (m *testMount) config() *logical.BackendConfig {
	return &logical.BackendConfig{
		StorageView: m.storage,
		System:      m.asked,
		Logger:      hclog.NewNullLogger(),
		BackendUUID: m.uuid,
		Config:      map[string]string{"plugin_name": "influxdb"},
	}
}

// reload starts the backend afresh on the same storage, as an unseal or a plugin reload does.
func (m *testMount) reload() {
	m.t.Helper()
	m.vault.Cleanup(context.Background())
	created, err := m.factory(m.t.Context(), m.config())
	require.NoError(m.t, err)
	m.vault = created
}

// crash is the end of the process; the next one reads storage afresh. Over the plugin protocol there is no next one.
func (m *testMount) crash() {
	if !overGRPC {
		m.reload()
	}
}

// request sends one request and fails the test on nothing: it answers what Vault would be answered.
func (m *testMount) request(op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	m.t.Helper()
	return m.send(m.t.Context(), &logical.Request{Operation: op, Path: path, Data: data})
}

func (m *testMount) send(ctx context.Context, req *logical.Request) (*logical.Response, error) {
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
func (m *testMount) ok(op logical.Operation, path string, data map[string]any) *logical.Response {
	m.t.Helper()
	resp, err := m.request(op, path, data)
	require.NoError(m.t, err)
	if resp != nil {
		require.NoError(m.t, resp.Error())
	}
	return resp
}

func (m *testMount) write(path string, data map[string]any) *logical.Response {
	m.t.Helper()
	return m.ok(logical.UpdateOperation, path, data)
}

func (m *testMount) read(path string) *logical.Response {
	m.t.Helper()
	return m.ok(logical.ReadOperation, path, nil)
}

// refused sends a request that has to fail, and answers the HTTP status and the text that a caller sees.
func (m *testMount) refused(op logical.Operation, path string, data map[string]any) (int, string) {
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
func (m *testMount) configure(server *influxtest.Server, more ...map[string]any) {
	m.t.Helper()
	server.SetClock(m.clock.now)
	m.write("config", connectionTo(server, more...))
}

func connectionTo(server *influxtest.Server, more ...map[string]any) map[string]any {
	data := map[string]any{"url": server.URL, "token": server.RootToken(), "org": influxtest.OrgName}
	for _, fields := range more {
		for key, value := range fields {
			data[key] = value
		}
	}
	return data
}

// connected is a mount with a connection and a role app that reads and writes metrics.
func (m *testMount) connected(options ...influxtest.Option) *influxtest.Server {
	m.t.Helper()
	server := influxtest.New(m.t, options...)
	m.configure(server)
	m.write("roles/app", map[string]any{"read_buckets": "metrics", "write_buckets": "metrics", "ttl": "5m", "max_ttl": "1h"})
	return server
}

// mint reads creds and keeps the lease as Vault would.
func (m *testMount) mint(role string) *leased {
	m.t.Helper()
	return m.leased(m.read("creds/" + role))
}

func (m *testMount) leased(resp *logical.Response) *leased {
	m.t.Helper()
	require.NotNil(m.t, resp)
	require.NotNil(m.t, resp.Secret)
	resp.Secret.IssueTime = m.clock.now()
	return &leased{m: m, secret: resp.Secret, data: resp.Data, id: resp.Data["authorization_id"].(string)}
}

// What follows is all that the tests of this package know of the inside of a backend, but for its constants: the rest
// goes through HandleRequest, storage, the clock and the fake InfluxDB.

// open makes a backend with the test's time, and a Vault that may change from one request to the next.
func (m *testMount) open(ctx context.Context, conf *logical.BackendConfig) (*backend, error) {
	b := newBackend(conf, m.clock.now)
	m.systemView(b).Age = 0
	return b, b.setup(ctx, conf)
}

func (m *testMount) systemView(b *backend) *mount.SystemView {
	return b.mount.System.(*mount.SystemView)
}

// cacheSystemView has what Vault is asked cached for the whole test.
func (m *testMount) cacheSystemView() { m.systemView(m.backend).Age = time.Hour }

func (m *testMount) paths() []*framework.Path { return m.backend.Paths }

func (m *testMount) route(path string) *framework.Path { return m.backend.Route(path) }

// idle says that no background job but tidy is under way.
func (m *testMount) idle() bool {
	return !slices.ContainsFunc(m.backend.jobs.table, func(j *job) bool { return j.Running() })
}

// formerAreIdle says that the connections that are current no longer are not being looked at.
func (m *testMount) formerAreIdle() bool {
	return !slices.ContainsFunc(m.backend.jobs.table, func(j *job) bool { return j.name == formerConnections && j.Running() })
}

// tidyIsIdle says that no run of tidy is under way.
func (m *testMount) tidyIsIdle() bool { return m.backend.tidier.Status().State != tidy.Running }

// liveCount is how many live tokens max_leases counts, over all roles.
func (m *testMount) liveCount() int {
	count, _ := m.backend.leases.Last(m.clock.now())
	return count
}

// countLive has max_leases count a token that is nowhere.
func (m *testMount) countLive(role, id string, deadline time.Time) {
	reservation, _ := m.backend.leases.Reserve(role, 0, m.clock.now())
	reservation.Commit(lease.Data{AuthorizationID: id, Role: role, Deadline: deadline}, deadline.Sub(m.clock.now()), m.clock.now())
}

// rotateStatics is the part of a tick that is the static roles'.
func (m *testMount) rotateStatics(ctx context.Context) error {
	return m.backend.statics.Periodic(ctx, m.storage, "influxdb/")
}

// loadStatics reads all static roles, as after a start.
func (m *testMount) loadStatics(ctx context.Context) error {
	m.backend.statics.Reload(store.StaticRolePrefix)
	return m.backend.statics.Load(ctx, m.storage)
}

// tokenStamp is what the description of a token says of it.
type tokenStamp = token.Stamp

var readStamp = token.ParseStamp

// The kinds of tokens and the states of tidy, how long the engine waits, and the bounds of what it does.
const (
	tidyIdle      = tidy.Idle
	tidyRunning   = tidy.Running
	tidyDone      = tidy.Done
	tidyFailed    = tidy.Failed
	tidyBlind     = tidy.Blind
	tidyCancelled = tidy.Cancelled

	firstTidy        = 3 * time.Minute
	formerInterval   = time.Hour
	unprovenAge      = 30 * 24 * time.Hour
	firstPause       = time.Minute
	lastPause        = 30 * time.Minute
	takeOverAttempts = 3
	takeOverAge      = 2 * time.Minute
	readAgain        = 300
	readSoon         = 5
	deletionsAtOnce  = revoke.Concurrency
	enoughFailures   = 2 * revoke.Concurrency
	maxDryRuns       = 100

	kindLease     = token.Lease
	kindStatic    = token.Static
	kindRoot      = token.Root
	probeRole     = token.ProbeRole
	deadlineGrace = mount.DeadlineMargin
	reapGrace     = mount.TidyMargin
	nonceAge      = mount.UnknownAge
	intentionAge  = mount.InterruptedAge
)

// connection is the current connection in use.
func (m *testMount) connection() *connection.Connection {
	m.t.Helper()
	c, err := m.backend.connections.Current(m.t.Context(), m.storage, "influxdb/")
	require.NoError(m.t, err)
	return c
}
