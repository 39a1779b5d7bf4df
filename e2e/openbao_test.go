package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// The tests in openbao*_test.go are what docs/openbao.md says: where OpenBao differs from Vault.

// needsOpenBao skips a test on Vault.
func needsOpenBao(t *testing.T) {
	t.Helper()
	if !onOpenBao() {
		t.Skip("it is about OpenBao: HOST=bao runs it")
	}
}

// stale is how long a standby may go on with what was before. It was seen to take 58 to 172 ms.
const stale = time.Minute

// A tool reads what it has just written, at whichever node; a static role's token is the standby's own answer, and late.
// A reload reaches the standbys where its scope is global.
func TestStandbysOfOpenBao(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
	require.NoError(t, err)
	cluster, err := shared.lab.StartCluster(t.Context(), 3, lab.VaultOptions{})
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, node := range cluster.Nodes {
			assert.NoError(t, node.Stop())
		}
	})
	require.NoError(t, cluster.Nodes[0].Register(t.Context(), plugin))
	influx := influxOf(t, lab.InfluxVersion)
	e := engineOnCluster(t, cluster, influx, "influxdb", influx.URL)
	leader, err := cluster.Leader(t.Context())
	require.NoError(t, err)
	standbys := slices.DeleteFunc(slices.Clone(cluster.Nodes), func(node *lab.Vault) bool { return node == leader })

	for round := range 20 {
		role, seconds := fmt.Sprint("app-", round), 60+round
		e.write(t, "config", map[string]any{"request_timeout": seconds - 30})
		e.role(t, role, bucketRole(map[string]any{"ttl": seconds}))
		e.write(t, "static-roles/meter", bucketRole(map[string]any{"rotation_period": 3600 + round, "grace_period": "10m"}))
		for _, node := range standbys {
			at := &engine{path: e.path, influx: influx, vault: node.Client()}
			assert.Equal(t, fmt.Sprint(seconds-30), at.field(t, "config", "request_timeout"))
			assert.Equal(t, fmt.Sprint(seconds), at.field(t, "roles/"+role, "ttl"))
			assert.Equal(t, fmt.Sprint(3600+round), at.field(t, "static-roles/meter", "rotation_period"))
			listed, err := at.vault.Logical().ListWithContext(t.Context(), e.path+"/roles")
			require.NoError(t, err)
			assert.Contains(t, listed.Data["keys"], role)
		}
	}
	active := &engine{path: e.path, influx: influx, vault: leader.Client()} // a standby may answer the previous token for a moment
	now := active.rotate(t, "meter", "1h")
	for _, node := range standbys {
		at := &engine{path: e.path, influx: influx, vault: node.Client()}
		require.NoError(t, lab.Await(t.Context(), stale, "the standby to learn of the rotation", func(ctx context.Context) error {
			then, err := at.standing(ctx, "meter")
			if err == nil && then.token != now.token {
				err = fmt.Errorf("it answers the previous token")
			}
			return err
		}))
	}
	assertReloads(t, e, leader, standbys, plugin)
	e.remove(t, "static-roles/meter")
	require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
}

// field is a field as a path of the mount answers it.
func (e *engine) field(t *testing.T, path, field string) string {
	t.Helper()
	read, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/"+path)
	require.NoError(t, err)
	require.NotNil(t, read, path)
	return fmt.Sprint(read.Data[field])
}

// assertReloads upgrades the plugin of a cluster: without a scope of the node that was asked alone.
func assertReloads(t *testing.T, e *engine, leader *lab.Vault, standbys []*lab.Vault, former lab.Plugin) {
	t.Helper()
	e.role(t, "app", bucketRole(nil))
	held := e.mint(t, "app")
	current, err := shared.lab.Plugin(t.Context(), upgradedVersion)
	require.NoError(t, err)
	require.NoError(t, leader.Register(t.Context(), current))
	require.NoError(t, leader.Client().Sys().TuneMountAllowNilWithContext(t.Context(), e.path, api.TuneMountConfigInput{PluginVersion: &current.Version}))
	runs := func(node *lab.Vault, plugin lab.Plugin) bool {
		found, err := node.PIDsOf(t.Context(), plugin)
		require.NoError(t, err)
		return len(found) > 0
	}
	reload := func(fields map[string]any) {
		_, err := leader.Client().Logical().WriteWithContext(t.Context(), "sys/plugins/reload/backend", fields)
		require.NoError(t, err)
		require.True(t, runs(leader, current), "the new version runs at the node that was asked")
	}
	reload(map[string]any{"plugin": lab.PluginName})
	for _, node := range standbys {
		assert.True(t, runs(node, former), "a standby goes on with the old version")
		assert.False(t, runs(node, current))
	}
	reload(map[string]any{"plugin": lab.PluginName, "scope": "global"})
	for _, node := range standbys {
		require.NoError(t, lab.Await(t.Context(), stale, "the new version at a standby", func(context.Context) error {
			if !runs(node, current) {
				return fmt.Errorf("it does not run")
			}
			return nil
		}))
	}
	assert.Equal(t, 7200, e.renew(t, held.lease, 7200))
	e.revoke(t, held.lease)
	assertGone(t, e.influx, held)
}

// OpenBao itself refuses a body with many strings; the same names in one string come through to the engine, which has a
// limit of its own.
func TestOpenBaoTakesFewStrings(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	e := connectedEngine(t, shared.influx)
	var names []string
	for i := range 1001 {
		names = append(names, fmt.Sprintf("bucket-%d", i))
	}
	writes := func(buckets any) map[string]any { return map[string]any{"read_buckets": buckets, "verify": false} }
	const refused = "refused JSON input due to high complexity"
	assert.Contains(t, e.refuses(t, "roles/many", writes(names[:1000])), refused)
	e.role(t, "many", writes(names[:998])) // and the names of the fields
	e.role(t, "many", writes(strings.Join(names[:1000], ",")))
	assert.Len(t, e.readRole(t, "many")["read_buckets"], 1000)
	said := e.refuses(t, "roles/many", writes(strings.Join(names, ",")))
	assert.NotContains(t, said, refused)
	assert.Contains(t, said, "1000", "the engine's own words: %s", said)

	objects := func(count int) string {
		one := `{"action":"read","resource":{"type":"buckets","name":"metrics"}}`
		return "[" + strings.Repeat(one+",", count-1) + one + "]"
	}
	var list []any
	for range 143 {
		list = append(list, raw("read", "type", "buckets", "name", bucket))
	}
	assert.Contains(t, e.refuses(t, "roles/many", map[string]any{"permissions": list}), refused)
	e.role(t, "many", map[string]any{"permissions": list[:142]})
	e.role(t, "many", map[string]any{"permissions": objects(143)})
}

// readRole is a role as it reads back.
func (e *engine) readRole(t *testing.T, name string) map[string]any {
	t.Helper()
	read, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/roles/"+name)
	require.NoError(t, err)
	return read.Data
}

// inNamespace is a mount in a namespace of OpenBao.
func inNamespace(t *testing.T, vault *lab.Vault, namespace, path string) *engine {
	t.Helper()
	client := vault.Client()
	client.SetNamespace(namespace)
	e := &engine{path: path, influx: influxOfHost(t), vault: client}
	require.NoError(t, client.Sys().MountWithContext(t.Context(), path, &api.MountInput{
		Type: lab.PluginName, Config: api.MountConfigInput{DefaultLeaseTTL: "1h", MaxLeaseTTL: "24h"},
	}))
	e.write(t, "config", leadingTo(e.influx, map[string]any{"org": org, "request_timeout": patient}))
	e.role(t, "app", bucketRole(nil))
	return e
}

// newNamespace makes a namespace in another one; "" is the root.
func newNamespace(t *testing.T, vault *lab.Vault, in, name string) string {
	t.Helper()
	client := vault.Client()
	client.SetNamespace(in)
	_, err := client.Logical().WriteWithContext(t.Context(), "sys/namespaces/"+name, nil)
	require.NoError(t, err)
	return strings.TrimPrefix(in+"/"+name, "/")
}

// Namespaces, and namespaces in them, have mounts of their own; a mount that moves from one into another loses its leases
// and nothing else.
func TestNamespacesOfOpenBao(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	vault := newVault(t) // a reload ends the process that all mounts share, and with it other tests' calls
	team := newNamespace(t, vault, "", unique("team"))
	child := newNamespace(t, vault, team, "child")
	for _, namespace := range []string{team, child} {
		t.Run(fmt.Sprint(strings.Count(namespace, "/")), func(t *testing.T) {
			e := inNamespace(t, vault, namespace, "influxdb")
			m := e.mint(t, "app")
			assert.Contains(t, m.description, namespace+"/influxdb/creds/app", "the namespace belongs to the mount's path")
			e.assertLeases(t)
			e.write(t, "static-roles/meter", bucketRole(nil))
			assertWorks(t, e.influx, e.rotate(t, "meter", "0").token)
			assertCounts(t, e.tidy(t, nil), 0, 0)
			assert.Empty(t, e.problems(t))
			e.remove(t, "static-roles/meter")
			uuid := e.uuid(t)
			require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
			assertGone(t, e.influx, m)
			assertNothingOf(t, e.influx, uuid)
		})
	}
	e := inNamespace(t, vault, team, "influxdb")
	e.write(t, "static-roles/meter", bucketRole(nil))
	for _, namespace := range []string{child, "", team} { // down, up to the root, and back
		before, meter, uuid := e.mint(t, "app"), e.stands(t, "meter"), e.uuid(t)
		from := strings.TrimPrefix(e.vault.Namespace()+"/"+e.path, "/")
		to := unique("moved")
		require.NoError(t, vault.Client().Sys().RemountWithContext(t.Context(), from, strings.TrimPrefix(namespace+"/"+to, "/")))
		e.vault.SetNamespace(namespace)
		e.path = to
		assertGone(t, e.influx, before)
		e.assertLostUntilReload(t)
		assert.Equal(t, uuid, e.uuid(t))
		assert.Equal(t, meter, e.stands(t, "meter"))
		assertWorks(t, e.influx, e.rotate(t, "meter", "0").token)
		e.assertLeases(t)
	}
	e.remove(t, "static-roles/meter")
	require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
}

// assertLostUntilReload asserts that the plugin goes on with the storage of the namespace that it was in, finds nothing there
// and writes where nobody looks, until it is reloaded.
func (e *engine) assertLostUntilReload(t *testing.T) {
	t.Helper()
	config, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/config")
	require.NoError(t, err)
	require.Nil(t, config, "docs/openbao.md says that a reload is needed")
	lostRole := unique("lost")
	e.role(t, lostRole, bucketRole(nil))
	_, err = e.vault.Logical().WriteWithContext(t.Context(), "sys/plugins/reload/backend", map[string]any{"mounts": e.path, "scope": "global"})
	require.NoError(t, err)
	require.NoError(t, lab.Await(t.Context(), stale, "the mount's configuration", func(ctx context.Context) error {
		config, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/config")
		if err == nil && config == nil {
			err = errors.New("there is none")
		}
		return err
	}))
	lost, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/roles/"+lostRole)
	require.NoError(t, err)
	assert.Nil(t, lost)
}

// A namespace that is deleted takes its leases along without a revocation: the log names the mount, and another mount's
// tidy ends the tokens.
func TestOpenBaoDeletesANamespace(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	vault, err := briefVault()
	require.NoError(t, err)
	name := newNamespace(t, vault, "", unique("gone"))
	e := inNamespace(t, vault, name, "influxdb")
	m, uuid := e.mint(t, "app"), e.mountUUID(t)
	_, err = vault.Client().Logical().DeleteWithContext(t.Context(), "sys/namespaces/"+name)
	require.NoError(t, err)
	require.NoError(t, lab.Await(t.Context(), stale, "the namespace to go", func(ctx context.Context) error {
		if !strings.Contains(vault.Logs(), "run tidy mount_uuid="+uuid+" on another mount after the last deadline") {
			return fmt.Errorf("no line names its mount")
		}
		return nil
	}))
	assertWorks(t, e.influx, m.token)

	other := briefEngine(t, e.influx, nil)
	other.outlive(t, m)
	assertCounts(t, other.tidy(t, map[string]any{"mount_uuid": uuid}), 1, 1)
	assertGone(t, e.influx, m)
}

// OpenBao makes no audit log at a request, unless its configuration says that it may.
func TestOpenBaoMakesNoAuditLogAtARequest(t *testing.T) {
	t.Parallel()
	needsOpenBao(t)
	address := freePort(t)
	program, err := shared.lab.StartServer(t.Context(), fmt.Sprintf(`
storage "inmem" {}
listener "tcp" {
  address     = %q
  tls_disable = true
}
`, address))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, program.Stop()) })
	client := shared.vault.Client()
	require.NoError(t, client.SetAddress("http://"+address))
	var made *api.InitResponse
	require.NoError(t, program.Await(t.Context(), "OpenBao to be initialized", func(ctx context.Context) (err error) {
		made, err = client.Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
		return err
	}))
	client.SetToken(made.RootToken)
	_, err = client.Sys().UnsealWithContext(t.Context(), made.KeysB64[0])
	require.NoError(t, err)
	require.NoError(t, program.Await(t.Context(), "OpenBao to serve", isActive(client)))
	err = client.Sys().EnableAuditWithOptionsWithContext(t.Context(), "other", &api.EnableAuditOptions{
		Type: "file", Options: map[string]string{"file_path": "stdout"},
	})
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusBadRequest, refused.StatusCode, "%s", refused)
}
