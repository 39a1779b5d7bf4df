package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
	"vault-plugin-secrets-influxdb/e2e/lab"
)

// What a mount that is connected to InfluxDB 3 Core refuses says what to do instead, and leaves nothing behind.
func TestBadInputOnInfluxDB3(t *testing.T) {
	t.Parallel()
	onInfluxDB3(t, func(t *testing.T, e *engine3) {
		before := e.config(t)
		for _, c := range []struct {
			path   string
			fields map[string]any
			says   string
		}{
			{"roles/x", map[string]any{"read_buckets": bucket}, "read_buckets: InfluxDB 3 Core has only admin tokens: write token_type=admin"},
			{"roles/x", map[string]any{"write_databases": "metrics"}, "write_databases: InfluxDB 3 Core has only admin tokens"},
			{"roles/x", map[string]any{"token_type": "admin"}, "allow_privileged=true"},
			{"roles/x", adminRole(map[string]any{"token_type": "operator"}), "token_type: operator is for InfluxDB 2; this is InfluxDB 3 Core: write admin"},
			{"roles/x", adminRole(map[string]any{"org": org}), "org: InfluxDB 3 Core has neither organizations nor users"},
			{"roles/x", map[string]any{"clone_from": "0123456789abcdef"}, "clone_from: this is InfluxDB 3 Core"},
			{"static-roles/x", map[string]any{"authorization_id": "0123456789abcdef", "token": "apiv3_x"}, "authorization_id: InfluxDB 3 Core has no tokens that could be taken over"},
			{"config", map[string]any{"org": org}, "org: InfluxDB 3 Core has no organizations"},
			{"config", map[string]any{"user": user}, "user: InfluxDB 3 Core has no users"},
			{"config", map[string]any{"authorization_id": "0123456789abcdef"}, "authorization_id: InfluxDB 3 Core has no authorizations"},
			{"config", map[string]any{"product": "enterprise"}, "product: this is InfluxDB 3 Core; leave it out"},
			{"config", map[string]any{"token": "apiv3_wrong"}, "does not know it (401)"},
			{"config/rotate-root", map[string]any{"authorization_id": "0123456789abcdef"}, "authorization_id: InfluxDB 3 Core tells itself"},
		} {
			assert.Contains(t, e.refuses(t, c.path, c.fields), c.says, "%s %v", c.path, c.fields)
		}
		assert.Equal(t, before, e.config(t))
		assert.Empty(t, e.held(t, ""), "nothing is left behind")
	})
}

// A server without authentication has no tokens to manage.
func TestAnInfluxDB3WithoutAuthentication(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *influx3{
		"fake": func(t *testing.T) *influx3 { return newFake3(t, influx3test.WithoutAuth()) },
		"core": func(t *testing.T) *influx3 {
			return newCore3(t, lab.Influx3Options{Fresh: true, Args: []string{"--without-auth"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			influx := start(t)
			e := &engine{path: mountEngine(t), vault: shared.vault.Client()}
			assert.Contains(t, e.refuses(t, "config", map[string]any{"url": influx.url, "token": "apiv3_any"}), "--without-auth")
			assert.Contains(t, e.refuses(t, "config/setup", map[string]any{"url": influx.url}), "url: this InfluxDB makes no tokens (")
		})
	}
}

// A mount goes from InfluxDB 2 to InfluxDB 3 and back once nothing is out, and says what is to be changed.
func TestAMountGoesFromInfluxDB2To3AndBack(t *testing.T) {
	t.Parallel()
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		e := &engine3{connectedEngine(t, influxOfHost(t)), influx}
		to3 := map[string]any{"url": influx.url, "token": influx.operator, "org": ""}
		e.role(t, "app", bucketRole(nil))
		m := e.mint(t, "app")
		assert.Contains(t, e.refuses(t, "config", map[string]any{"url": influx.url, "token": influx.operator}), "org: InfluxDB 3 Core has no organizations; leave it out, or clear it with an empty value")
		assert.Contains(t, e.refuses(t, "config", to3), "this is another InfluxDB than "+e.influx.URL)
		e.revoke(t, m.lease)
		e.write(t, "config", to3)
		assert.Equal(t, "core", e.config(t)["product"])
		_, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
		assert.Contains(t, answeredWith(t, http.StatusBadRequest, err), "read_buckets: InfluxDB 3 Core has only admin tokens")
		e.role(t, "three", adminRole(nil))
		m3 := e.mint(t, "three")
		influx.assertWorks(t, m3.token)

		back := leadingTo(e.influx, map[string]any{"org": org})
		assert.Contains(t, e.refuses(t, "config", back), "this is another InfluxDB than "+influx.url)
		e.revoke(t, m3.lease)
		e.assertEnded(t, m3)
		e.write(t, "config", back)
		assertWorks(t, e.influx, e.mint(t, "app").token)
		require.Empty(t, e.problems(t))
	})
}
