package backend

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/helper/testhelpers/schema"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// ofAnyNode is the one operation that a standby answers itself.
const ofAnyNode = "static-creds/(?P<name>.+) read"

// ofActiveNode are the operations that make or delete tokens, or tell of work that the active node does, and write no
// replicated storage: a performance secondary does them by itself.
var ofActiveNode = map[string]bool{
	"creds/(?P<name>.+) read": true, "creds/(?P<name>.+) update": true, "check read": true,
	"tokens/(?P<authorization_id>.+) delete": true, "tidy update": true, "tidy-status read": true, "entries/(?P<key>.+) delete": true,
}

func boundToActiveNode(path *framework.Path, op logical.Operation) bool {
	return ofActiveNode[pattern(path)+" "+string(op)]
}

// eachOperation visits every operation of every path.
func eachOperation(t *testing.T, paths []*framework.Path, visit func(t *testing.T, path *framework.Path, op logical.Operation, p framework.OperationProperties)) {
	t.Helper()
	require.NotEmpty(t, paths)
	for _, path := range paths {
		require.NotEmpty(t, path.Operations, path.Pattern)
		for op, handler := range path.Operations {
			t.Run(pattern(path)+" "+string(op), func(t *testing.T) { visit(t, path, op, handler.Properties()) })
		}
	}
}

// pattern is a path's pattern as it was written: the framework anchors it at its first use.
func pattern(path *framework.Path) string { return strings.Trim(path.Pattern, "^$") }

func changes(op logical.Operation) bool {
	return op != logical.ReadOperation && op != logical.ListOperation
}

func TestPathsSayWhatTheyAreFor(t *testing.T) {
	for _, path := range newMount(t).paths() {
		require.NotEmpty(t, strings.TrimSpace(path.HelpSynopsis), path.Pattern)
		require.NotEmpty(t, strings.TrimSpace(path.HelpDescription), path.Pattern)
		require.NotNil(t, path.DisplayAttrs, path.Pattern)
		require.Equal(t, operationPrefix, path.DisplayAttrs.OperationPrefix, path.Pattern)
		require.False(t, path.TakesArbitraryInput, path.Pattern)
		if _, creates := path.Operations[logical.CreateOperation]; creates {
			require.NotNil(t, path.ExistenceCheck, path.Pattern)
		}
		for name, field := range path.Fields {
			require.NotEmpty(t, field.Description, "%s: %s", path.Pattern, name)
			require.NotEqual(t, framework.TypeInvalid, field.Type, "%s: %s", path.Pattern, name)
		}
	}
}

func TestOperationsAreDescribed(t *testing.T) {
	eachOperation(t, newMount(t).paths(), func(t *testing.T, path *framework.Path, op logical.Operation, p framework.OperationProperties) {
		require.NotEmpty(t, p.Summary)
		require.NotEmpty(t, schema.GetResponseSchema(t, path, op).Description)
		require.NotEmpty(t, p.Responses, "a schema of its own")
		for status, responses := range p.Responses {
			for _, response := range responses {
				for name, field := range response.Fields {
					require.NotEmpty(t, field.Description, "%d: %s", status, name)
				}
			}
		}
	})
}

func TestOperationsAreForwarded(t *testing.T) {
	eachOperation(t, newMount(t).paths(), func(t *testing.T, path *framework.Path, op logical.Operation, p framework.OperationProperties) {
		bound := boundToActiveNode(path, op)
		require.Equal(t, pattern(path)+" "+string(op) != ofAnyNode, p.ForwardPerformanceStandby, "a tool reads right after it wrote, at whichever node")
		require.Equal(t, changes(op) && !bound, p.ForwardPerformanceSecondary, "replicated storage is the primary's; leases are each cluster's own")
	})
}

func TestSpecialStorage(t *testing.T) {
	m := newMount(t)
	special := m.vault.SpecialPaths()
	require.Equal(t, []string{"config", "connection/", "intention/", "static-role/"}, special.SealWrapStorage)
	require.Equal(t, []string{"pending/"}, special.LocalStorage)
	require.Empty(t, special.Unauthenticated)
	require.Empty(t, special.Root)
}

// anAuthorization stands in an example's path for the ID of a token that lives.
const anAuthorization = "<authorization_id>"

// examples are a path for each pattern, and a body for the operations that need one.
var examples = map[string]struct {
	path   string
	bodies map[logical.Operation]map[string]any
}{
	"check":                           {"check", map[logical.Operation]map[string]any{logical.ReadOperation: {"role": "app"}}},
	"config":                          {"config", nil},
	"config/rotate-root":              {"config/rotate-root", nil},
	"config/setup":                    {"config/setup", nil},
	"roles/?":                         {"roles/", map[logical.Operation]map[string]any{logical.ListOperation: {"limit": "1"}}},
	"roles/(?P<name>.+)":              {"roles/app", map[logical.Operation]map[string]any{logical.CreateOperation: {"read_buckets": "metrics"}, logical.UpdateOperation: {"read_buckets": "metrics"}, logical.PatchOperation: {"ttl": "5m"}}},
	"static-roles/?":                  {"static-roles/", map[logical.Operation]map[string]any{logical.ListOperation: {"limit": "1"}}},
	"static-roles/(?P<name>.+)":       {"static-roles/kept", map[logical.Operation]map[string]any{logical.CreateOperation: aStaticRole, logical.UpdateOperation: aStaticRole, logical.PatchOperation: {"grace_period": "5m"}}},
	"static-creds/(?P<name>.+)":       {"static-creds/kept", nil},
	"rotate-role/(?P<name>.+)":        {"rotate-role/kept", nil},
	"tokens/?":                        {"tokens/", map[logical.Operation]map[string]any{logical.ListOperation: {"limit": "1"}}},
	"tokens/(?P<authorization_id>.+)": {"tokens/" + anAuthorization, nil},
	"tidy":                            {"tidy", map[logical.Operation]map[string]any{logical.UpdateOperation: {"dry_run": true}}},
	"tidy-status":                     {"tidy-status", nil},
	"entries/(?P<key>.+)":             {"entries/" + anUnreadable, nil},
	"creds/(?P<name>.+)":              {"creds/app", map[logical.Operation]map[string]any{logical.ReadOperation: {"ttl": "1m"}, logical.UpdateOperation: {"ttl": 60}}},
}

// aStaticRole has a schedule, so that its creds have every field.
var aStaticRole = map[string]any{"read_buckets": "metrics", "rotation_schedule": "0 3 * * *", "rotation_window": "2h"}

// anUnreadable is the key of an entry that can't be read, in an example's path.
const anUnreadable = "pending/nonce-0123456789abcdef"

// withToken puts a token that lives into the path of an example that wants one, and revokes it afterwards; and it stores
// the entry that an example removes.
func (m *testMount) withToken(at string) string {
	m.t.Helper()
	if strings.Contains(at, anUnreadable) {
		require.NoError(m.t, m.storage.Put(m.t.Context(), &logical.StorageEntry{Key: anUnreadable, Value: []byte("{")}))
	}
	if !strings.Contains(at, anAuthorization) {
		return at
	}
	l := m.mint("app")
	m.t.Cleanup(func() { require.NoError(m.t, l.revoke(context.Background())) })
	return strings.ReplaceAll(at, anAuthorization, l.id)
}

func example(t *testing.T, path *framework.Path, op logical.Operation) (string, map[string]any) {
	t.Helper()
	e, known := examples[pattern(path)]
	require.True(t, known, "give an example of %q in paths_test.go", pattern(path))
	return e.path, e.bodies[op]
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	eachOperation(t, m.paths(), func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
		at, _ := example(t, path, op)
		require.Contains(t, m.in(t).rejected(op, at, map[string]any{"no_such_field": "x"}), "no_such_field: unknown field; allowed here: ")
	})
	require.Empty(t, live(server))
}

// What is answered is what the OpenAPI document promises.
func TestResponsesMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := influxtest.New(t, influxtest.HashedTokens(true))
	eachOperation(t, m.paths(), func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
		if pattern(path) == "config/setup" { // wants a fresh InfluxDB: see setup_test.go
			return
		}
		m := m.in(t)
		m.configure(server, map[string]any{"authorization_id": server.RootID()})
		m.write("roles/app", map[string]any{"read_buckets": "metrics", "permissions": `[{"action":"read","resource":{"type":"tasks"}}]`})
		m.write("static-roles/kept", aStaticRole)
		at, body := example(t, path, op)
		resp := m.ok(op, m.withToken(at), body)
		m.tidied()
		want := schema.GetResponseSchema(t, path, op)
		schema.ValidateResponse(t, want, resp, true)
		if resp == nil { // Vault answers 204
			require.Contains(t, path.Operations[op].Properties().Responses, http.StatusNoContent)
		}
		if op == logical.ReadOperation && !boundToActiveNode(path, op) {
			require.NotNil(t, resp)
			for name := range want.Fields {
				require.Contains(t, resp.Data, name, "promised")
			}
		}
	})
}

func TestStandbysHandOn(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	token := m.mint("app")
	m.write("static-roles/kept", aStaticRole)
	server.ResetRequests()
	before := m.storage.writeCount()
	m.system.ReplicationStateVal = consts.ReplicationPerformanceStandby
	eachOperation(t, m.paths(), func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
		m := m.in(t)
		at, body := example(t, path, op)
		at = strings.ReplaceAll(at, anAuthorization, token.id)
		if pattern(path)+" "+string(op) == ofAnyNode {
			m.ok(op, at, body)
			return
		}
		_, text := m.refused(op, at, body)
		require.Contains(t, text, logical.ErrReadOnly.Error(), "Vault forwards on these words")
	})
	require.Empty(t, server.Requests(), "a standby asks InfluxDB nothing")
	require.Equal(t, before, m.storage.writeCount())
}

func TestSecondariesMintAndHandWritesOn(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("static-roles/kept", aStaticRole)
	m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
	eachOperation(t, m.paths(), func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
		m := m.in(t)
		at, body := example(t, path, op)
		if !changes(op) || boundToActiveNode(path, op) {
			m.ok(op, m.withToken(at), body)
			m.tidied()
			return
		}
		before := m.storage.writeCount()
		_, text := m.refused(op, at, body)
		require.Contains(t, text, logical.ErrReadOnly.Error())
		require.Equal(t, before, m.storage.writeCount())
	})
	require.Len(t, live(server), 3, "minted by GET and by POST, beside the static role's")

	m.system.LocalMountVal = true
	m.write("roles/local", map[string]any{"read_buckets": "metrics"})
}
