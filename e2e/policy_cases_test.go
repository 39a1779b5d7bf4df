package e2e

import (
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	get    = http.MethodGet
	post   = http.MethodPost
	put    = http.MethodPut
	patch  = http.MethodPatch
	remove = http.MethodDelete
)

// policyTests has a case for each policy of docs/policies.md.
var policyTests = map[string]func(*testing.T, *bearer){
	"influxdb-install":    installs,
	"influxdb-reload":     reloads,
	"influxdb-operator":   operates,
	"influxdb-auditor":    audits,
	"influxdb-app":        isApplication,
	"influxdb-app-ttl":    isApplicationWithTTL,
	"influxdb-static-app": isStaticApplication,
	"influxdb-team-a":     isTeam,
}

// overrides are fields that creds and roles know or may come to know.
var overrides = []string{"ttl", "read_buckets", "write_buckets", "read_resources", "write_resources", "permissions", "nonsense"}

func installs(t *testing.T, b *bearer) {
	plugin, err := shared.lab.Plugin(t.Context(), lab.PluginVersion)
	require.NoError(t, err)
	const catalog = "sys/plugins/catalog/secret/"
	// The version stays as it is: another one of the same file would be no plugin.
	registration := map[string]any{"sha256": plugin.SHA256, "command": "vault-plugin-secrets-influxdb_" + plugin.Version, "version": plugin.Version}
	b.may(t, put, catalog+"influxdb", registration)
	b.may(t, get, catalog+"influxdb", map[string]any{"version": plugin.Version})
	if !onOpenBao() { // which has another path: reloads
		b.may(t, put, "sys/plugins/reload/secret/influxdb", nil)
	}
	b.may(t, get, "sys/mounts/influxdb", nil)
	b.may(t, get, "sys/mounts/influxdb/tune", nil)
	b.may(t, post, "sys/mounts/influxdb/tune", map[string]any{"max_lease_ttl": "12h"})
	b.may(t, remove, "sys/mounts/influxdb", nil)
	b.may(t, post, "sys/mounts/influxdb", map[string]any{"type": lab.PluginName})
	b.may(t, remove, catalog+"influxdb", map[string]any{"version": plugin.Version})
	b.may(t, put, catalog+"influxdb", registration)

	b.mayNot(t, put, catalog+"other", registration)
	b.mayNot(t, put, "sys/plugins/catalog/auth/influxdb", registration)
	b.mayNot(t, post, "sys/mounts/other", map[string]any{"type": lab.PluginName})
	b.mayNot(t, remove, "sys/mounts/cubbyhole", nil)
	b.mayNot(t, get, "influxdb/config", nil)
	b.mayNot(t, post, "influxdb/roles/app", map[string]any{"read_buckets": bucket})
	b.mayNot(t, get, "influxdb/creds/app", nil)
}

func reloads(t *testing.T, b *bearer) {
	b.may(t, put, "sys/plugins/reload/backend", map[string]any{"plugin": lab.PluginName})
	b.mayNot(t, put, "sys/plugins/catalog/secret/influxdb", nil)
	b.mayNot(t, post, "sys/mounts/influxdb/tune", map[string]any{"max_lease_ttl": "12h"})
}

func operates(t *testing.T, b *bearer) {
	b.may(t, get, "influxdb/config", nil)
	b.may(t, post, "influxdb/config", map[string]any{"request_timeout": "5s"})
	b.may(t, patch, "influxdb/config", map[string]any{"request_timeout": "10s"})
	b.may(t, post, "influxdb/roles/new", map[string]any{"read_buckets": bucket})
	b.may(t, post, "influxdb/roles/new", map[string]any{"read_resources": "authorizations", "allow_privileged": true})
	b.may(t, patch, "influxdb/roles/new", map[string]any{"ttl": "5m"})
	b.may(t, get, "influxdb/roles/new", nil)
	b.may(t, get, "influxdb/check", nil)
	b.may(t, list, "influxdb/roles", nil)
	b.may(t, remove, "influxdb/roles/new", nil)
	lease := b.leaseOf(t, "app")
	b.may(t, list, "sys/leases/lookup/influxdb/creds/app", nil)
	b.may(t, put, "sys/leases/revoke/"+lease, nil)
	b.leaseOf(t, "app")
	b.may(t, put, "sys/leases/revoke-prefix/influxdb/creds/app", nil)
	b.may(t, put, "sys/leases/revoke-prefix/influxdb/creds", nil)
	b.may(t, get, "sys/leases", map[string]any{"type": "irrevocable"})
	made := b.mint(t, "app")
	b.may(t, list, "influxdb/tokens", nil)
	b.may(t, get, "influxdb/tokens/"+made.id, nil)
	b.may(t, remove, "influxdb/tokens/"+made.id, nil)
	b.may(t, put, "influxdb/tidy", map[string]any{"dry_run": true})
	b.may(t, get, "influxdb/tidy-status", nil)

	b.may(t, post, "influxdb/static-roles/new", map[string]any{"read_buckets": bucket})
	b.may(t, patch, "influxdb/static-roles/new", map[string]any{"rotation_period": "24h"})
	b.may(t, get, "influxdb/static-roles/new", nil)
	b.may(t, list, "influxdb/static-roles", nil)
	b.may(t, put, "influxdb/rotate-role/new", nil)
	b.may(t, post, "influxdb/rotate-role/new", map[string]any{"grace_period": "0"})
	b.mayNot(t, get, "influxdb/static-creds/new", nil)
	b.may(t, remove, "influxdb/static-roles/new", nil)
	// The policy lets them through; the engine says what it needs, and the shared InfluxDB stays as it is.
	for path, needs := range map[string]string{"influxdb/config/rotate-root": "authorization_id: needed", "influxdb/config/setup": "username: missing"} {
		_, said := b.try(t, put, path, nil)
		assert.Contains(t, said, needs)
	}

	b.mayNotAny(t, []string{get, post, put}, "influxdb/creds/app")
	b.mayNot(t, put, "sys/leases/revoke-force/influxdb/creds", nil)
	b.mayNot(t, put, "sys/leases/revoke-force/influxdb/creds/app", nil)
	b.mayNot(t, put, "sys/leases/revoke-prefix/auth", nil)
	b.mayNot(t, put, "sys/leases/revoke-prefix/influxdb-of-others/creds/app", nil)
	b.mayNot(t, remove, "sys/mounts/influxdb", nil)
	b.may(t, remove, "influxdb/config", nil)
	b.may(t, post, "influxdb/config", leadingTo(b.influx, map[string]any{"org": org}))
}

func audits(t *testing.T, b *bearer) {
	made := b.mint(t, "app")
	b.may(t, list, "influxdb/tokens", nil)
	b.may(t, get, "influxdb/tokens/"+made.id, nil)
	b.may(t, get, "influxdb/tidy-status", nil)
	b.mayNot(t, remove, "influxdb/tokens/"+made.id, nil)
	b.mayNot(t, put, "influxdb/tidy", map[string]any{"dry_run": true})
	b.mayNot(t, get, "sys/leases", map[string]any{"type": "irrevocable"})
	b.may(t, get, "influxdb/config", nil)
	b.may(t, get, "influxdb/roles/app", nil)
	b.may(t, list, "influxdb/roles", nil)
	b.may(t, list, "sys/leases/lookup/influxdb/creds/app", nil)

	b.may(t, get, "influxdb/static-roles/app", nil)
	b.may(t, list, "influxdb/static-roles", nil)

	b.mayNotAny(t, []string{post, put, patch, remove}, "influxdb/config", "influxdb/roles/app", "influxdb/static-roles/app")
	b.mayNot(t, put, "influxdb/rotate-role/app", nil)
	b.mayNot(t, get, "influxdb/static-creds/app", nil)
	b.mayNotAny(t, []string{get, post}, "influxdb/creds/app")
	b.mayNot(t, put, "sys/leases/revoke/"+b.leaseOf(t, "app"), nil)
	b.mayNot(t, put, "sys/leases/revoke-prefix/influxdb/creds/app", nil)
}

func isApplication(t *testing.T, b *bearer) {
	for _, field := range overrides {
		b.mayNot(t, get, "influxdb/creds/app", map[string]any{field: "60"})
	}
	for _, method := range []string{post, put} {
		b.mayNot(t, method, "influxdb/creds/app", nil)
		b.mayNot(t, method, "influxdb/creds/app", map[string]any{"ttl": "60"})
	}
	b.assertApplication(t)
}

func isApplicationWithTTL(t *testing.T, b *bearer) {
	b.may(t, get, "influxdb/creds/app", map[string]any{"ttl": "60"})
	for _, method := range []string{post, put} {
		b.may(t, method, "influxdb/creds/app", nil)
		b.may(t, method, "influxdb/creds/app", map[string]any{"ttl": "60"})
	}
	for _, field := range overrides[1:] {
		b.mayNot(t, get, "influxdb/creds/app", map[string]any{field: "60"})
		b.mayNot(t, post, "influxdb/creds/app", map[string]any{field: "60"})
		b.mayNot(t, post, "influxdb/creds/app", map[string]any{"ttl": "60", field: "60"})
	}
	b.assertApplication(t)
}

// assertApplication is what both policies of applications promise: a token of their role, its renewal and its
// end, and nothing else.
func (b *bearer) assertApplication(t *testing.T) {
	t.Helper()
	own := b.mintAs(t, b.client, "app")
	assertWorks(t, b.influx, own.token)
	_, err := b.client.Sys().RenewWithContext(t.Context(), own.lease, 0)
	assert.NoError(t, err, "Vault's default policy")
	assert.NoError(t, b.client.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: own.lease, Sync: true}))
	assertGone(t, b.influx, own)

	b.mayNot(t, get, "influxdb/creds/other", nil)
	b.mayNot(t, get, "influxdb/creds/app2", nil)
	b.mayNot(t, put, "sys/leases/revoke/"+b.leaseOf(t, "other"), nil)
	b.mayNot(t, put, "sys/leases/revoke-prefix/influxdb/creds/app", nil)
	b.mayNot(t, list, "sys/leases/lookup/influxdb/creds/app", nil)
	b.mayNot(t, list, "influxdb/roles", nil)
	b.mayNotAny(t, []string{get, post, patch, remove}, "influxdb/roles/app", "influxdb/config")
}

func isStaticApplication(t *testing.T, b *bearer) {
	b.may(t, get, "influxdb/static-creds/app", nil)
	b.mayNot(t, get, "influxdb/static-creds/other", nil)
	b.mayNot(t, put, "influxdb/rotate-role/app", nil)
	b.mayNotAny(t, []string{get, post, patch, remove}, "influxdb/static-roles/app")
	b.mayNot(t, get, "influxdb/creds/app", nil)
	b.mayNot(t, list, "influxdb/static-roles", nil)
}

func isTeam(t *testing.T, b *bearer) {
	const own = "influxdb/roles/team-a-writer"
	b.may(t, post, own, map[string]any{"write_buckets": bucket, "ttl": "5m"})
	b.may(t, put, own, map[string]any{"write_buckets": bucket, "read_resources": "dashboards"})
	b.may(t, get, own, nil)
	b.may(t, list, "influxdb/roles", nil)
	b.may(t, get, "influxdb/creds/team-a-writer", nil)
	b.may(t, post, "influxdb/creds/team-a-writer", map[string]any{"ttl": "60"})
	b.may(t, put, "sys/leases/revoke-prefix/influxdb/creds/team-a-writer", nil)
	b.may(t, remove, own, nil)

	for _, field := range []string{"allow_privileged", "Allow_Privileged", "verify", "org", "org_id", "user", "user_id"} {
		for _, value := range []any{"true", "", true, false, nil} {
			b.mayNot(t, post, own, map[string]any{"read_buckets": bucket, field: value})
		}
	}
	everywhere := []any{map[string]any{"action": "read", "resource": map[string]any{"type": "dashboards", "orgID": "*"}}}
	b.may(t, post, own, map[string]any{"permissions": []any{map[string]any{"action": "read", "resource": map[string]any{"type": "dashboards"}}}})
	_, refused := b.try(t, post, own, map[string]any{"permissions": everywhere})
	assert.Contains(t, refused, "set allow_privileged", "the engine keeps the team in its organization")
	b.mayNot(t, patch, own, map[string]any{"ttl": "5m"})
	for _, method := range []string{get, post, patch, remove} {
		b.mayNot(t, method, "influxdb/roles/app", map[string]any{"read_buckets": bucket})
		b.mayNot(t, method, "influxdb/config", map[string]any{"request_timeout": "5s"})
	}
	b.mayNot(t, get, "influxdb/creds/app", nil)
	b.mayNot(t, put, "sys/leases/revoke-prefix/influxdb/creds/app", nil)
	b.mayNot(t, put, "sys/leases/revoke/"+b.leaseOf(t, "app"), nil)

	// What a privileged role needs can be said nowhere else.
	b.may(t, post, own+"?allow_privileged=true", map[string]any{"read_buckets": bucket})
	assert.Equal(t, false, b.readRole(t, "team-a-writer")["allow_privileged"], "the query of a write is not read")
	_, said := b.try(t, post, own, map[string]any{"read_resources": "authorizations"})
	assert.Contains(t, said, "set allow_privileged=true")
	b.role(t, "team-a-writer", map[string]any{"read_resources": "authorizations", "allow_privileged": true})
	b.may(t, post, own, map[string]any{"read_buckets": bucket})
	assert.Equal(t, false, b.readRole(t, "team-a-writer")["allow_privileged"], "a write replaces the whole role")
}

func (b *bearer) readRole(t *testing.T, name string) map[string]any {
	t.Helper()
	read, err := b.vault.Logical().ReadWithContext(t.Context(), b.path+"/roles/"+name)
	require.NoError(t, err)
	require.NotNil(t, read)
	return read.Data
}
