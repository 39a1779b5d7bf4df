package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// The tests in promise_*_test.go are the cases in which a token could outlive its lease, a lease get stuck, or a mount
// stop, though nothing of ours crashed.

// briefVault is a Vault (or an OpenBao) that these tests share, with the build of the plugin whose waits are short.
var briefVault = sync.OnceValues(func() (*lab.Vault, error) {
	plugin, err := shared.lab.TestPlugin(context.Background(), lab.CrashTest)
	if err != nil {
		return nil, err
	}
	vault, err := shared.lab.StartVault(context.Background(), lab.VaultOptions{Storage: "inmem"})
	if err != nil {
		return nil, err
	}
	return vault, vault.Register(context.Background(), plugin)
})

// openVault starts such a Vault of the test's own whose storage can be written behind the engine's back. To reload one
// mount ends the process of all.
func openVault(t *testing.T) *lab.Vault {
	t.Helper()
	return newVaultWith(t, lab.VaultOptions{Storage: "inmem", Config: "raw_storage_endpoint = true\n"}, crashTestPlugin(t))
}

// influxOfHost is the InfluxDB of tests for which one version on each host is enough.
func influxOfHost(t *testing.T) *lab.Influx {
	t.Helper()
	if onOpenBao() {
		return influxOf(t, lab.OldInfluxVersion)
	}
	return influxOf(t, lab.InfluxVersion)
}

// briefEngine mounts the engine in the shared Vault whose waits are short, and connects it.
func briefEngine(t *testing.T, influx *lab.Influx, more map[string]any) *engine {
	t.Helper()
	vault, err := briefVault()
	require.NoError(t, err)
	e := engineIn(t, vault, unique("influxdb"), influx)
	if more != nil {
		e.write(t, "config", more)
	}
	return e
}

// behind is a config that leads to an InfluxDB through a proxy.
func behind(p *proxy, influx *lab.Influx) map[string]any {
	return map[string]any{"url": p.URL, "token": influx.Operator}
}

// pending is how many deletions check counts.
func (e *engine) pending(ctx context.Context) (string, error) {
	checked, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/check")
	if err != nil {
		return "", err
	}
	return fmt.Sprint(checked.Data["pending_deletions"]), nil
}

// assertPending asserts how many deletions are pending.
func (e *engine) assertPending(t *testing.T, want string) {
	t.Helper()
	now, err := e.pending(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want, now, "pending deletions")
}

// awaitOnly waits until InfluxDB has no tokens of the mount but these, and nothing is pending.
func (e *engine) awaitOnly(t *testing.T, ids ...string) {
	t.Helper()
	stamp := "[vault:v1:" + e.mountUUID(t) + ":"
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "nothing else to be left", func(ctx context.Context) error {
		all, err := e.influx.Authorizations(ctx)
		if err != nil {
			return err
		}
		for _, a := range all {
			if strings.Contains(a.Description, stamp) && !slices.Contains(ids, a.ID) {
				return fmt.Errorf("%s is there: %s", a.ID, a.Description)
			}
		}
		left, err := e.pending(ctx)
		if err == nil && left != "0" {
			err = fmt.Errorf("%s deletions are pending", left)
		}
		return err
	}))
}

// mountUUID is what marks the mount's tokens, also where there is no connection yet.
func (e *engine) mountUUID(t *testing.T) string {
	t.Helper()
	checked, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/check")
	require.NoError(t, err)
	mark, _ := checked.Data["mount_uuid"].(string)
	require.NotEmpty(t, mark)
	return mark
}

// answeredWith asserts the status that Vault answered with, and returns what it said.
func answeredWith(t *testing.T, status int, err error) string {
	t.Helper()
	var answer *api.ResponseError
	require.ErrorAs(t, err, &answer)
	assert.Equal(t, status, answer.StatusCode, "%s", answer)
	return answer.Error()
}

// storedAt is where Vault stores an entry of the mount, as sys/raw calls it.
func (e *engine) storedAt(t *testing.T, key string) string {
	t.Helper()
	mount, err := e.vault.Logical().ReadWithContext(t.Context(), "sys/mounts/"+e.path)
	require.NoError(t, err)
	return fmt.Sprint("sys/raw/logical/", mount.Data["uuid"], "/", key)
}

// store puts a text in the place of a stored entry, behind the engine's back.
func (e *engine) store(t *testing.T, key, text string) {
	t.Helper()
	_, err := e.vault.Logical().WriteWithContext(t.Context(), e.storedAt(t, key), map[string]any{"value": text})
	require.NoError(t, err)
}

// stored is an entry as it is stored.
func (e *engine) stored(t *testing.T, key string) string {
	t.Helper()
	read, err := e.vault.Logical().ReadWithContext(t.Context(), e.storedAt(t, key))
	require.NoError(t, err)
	require.NotNil(t, read, "%s is stored", key)
	text, ok := read.Data["value"].(string)
	require.True(t, ok)
	return text
}

// reload has the engine read again what is stored.
func (e *engine) reload(t *testing.T) {
	t.Helper()
	_, err := e.vault.Logical().WriteWithContext(t.Context(), "sys/plugins/reload/backend", map[string]any{"mounts": []string{e.path}})
	require.NoError(t, err)
}

// awaitEnd waits for an authorization to be deleted.
func (e *engine) awaitEnd(t *testing.T, id string) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "the deletion of "+id, func(ctx context.Context) error {
		_, err := e.influx.Authorization(ctx, id)
		var answer *lab.StatusError
		if errors.As(err, &answer) && answer.Status == http.StatusNotFound {
			return nil
		}
		return errors.Join(errors.New("it is there"), err)
	}))
}

// createsToken says that a call is the one that creates an authorization.
func createsToken(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/api/v2/authorizations")
}

// listsTokens says that a call asks for a list of authorizations.
func listsTokens(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/api/v2/authorizations")
}
