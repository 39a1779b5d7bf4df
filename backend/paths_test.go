package backend

import (
	"encoding/json"
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

// mints are the paths that make tokens and write no replicated storage: a standby hands them on, and a performance
// secondary answers by itself.
var mints = map[string]bool{"creds/(?P<name>.+)": true, "check": true}

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
	for _, path := range newMount(t).backend.Paths {
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
	eachOperation(t, newMount(t).backend.Paths, func(t *testing.T, path *framework.Path, op logical.Operation, p framework.OperationProperties) {
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
	eachOperation(t, newMount(t).backend.Paths, func(t *testing.T, path *framework.Path, op logical.Operation, p framework.OperationProperties) {
		minting := mints[pattern(path)]
		require.Equal(t, changes(op) || minting, p.ForwardPerformanceStandby, "what writes or mints is the active node's")
		require.Equal(t, changes(op) && !minting, p.ForwardPerformanceSecondary, "replicated storage is the primary's; leases are each cluster's own")
	})
}

func TestSpecialStorage(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
		special := m.vault.SpecialPaths()
		require.Equal(t, []string{"config", "connection/"}, special.SealWrapStorage)
		require.Equal(t, []string{"pending/"}, special.LocalStorage)
		require.Empty(t, special.Unauthenticated)
		require.Empty(t, special.Root)
	})
}

// examples are a path for each pattern, and a body for the operations that need one.
var examples = map[string]struct {
	path   string
	bodies map[logical.Operation]map[string]any
}{
	"check":              {"check", map[logical.Operation]map[string]any{logical.ReadOperation: {"role": "app"}}},
	"config":             {"config", nil},
	"roles/?":            {"roles/", map[logical.Operation]map[string]any{logical.ListOperation: {"limit": "1"}}},
	"roles/(?P<name>.+)": {"roles/app", map[logical.Operation]map[string]any{logical.CreateOperation: {"read_buckets": "metrics"}, logical.UpdateOperation: {"read_buckets": "metrics"}, logical.PatchOperation: {"ttl": "5m"}}},
	"creds/(?P<name>.+)": {"creds/app", map[logical.Operation]map[string]any{logical.ReadOperation: {"ttl": "1m"}, logical.UpdateOperation: {"ttl": 60}}},
}

func example(t *testing.T, path *framework.Path, op logical.Operation) (string, map[string]any) {
	t.Helper()
	e, known := examples[pattern(path)]
	require.True(t, known, "give an example of %q in paths_test.go", pattern(path))
	return e.path, e.bodies[op]
}

func TestUnknownFieldsAreRefused(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
		server := m.connected()
		eachOperation(t, m.backend.Paths, func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
			at, _ := example(t, path, op)
			require.Contains(t, m.in(t).rejected(op, at, map[string]any{"no_such_field": "x"}), "no_such_field: unknown field; allowed here: ")
		})
		require.Empty(t, live(server))
	})
}

// What is answered is what the OpenAPI document promises.
func TestResponsesMatchTheirSchemas(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
		server := influxtest.New(t, influxtest.HashedTokens(true))
		eachOperation(t, m.backend.Paths, func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
			m := m.in(t)
			m.configure(server)
			m.write("roles/app", map[string]any{"read_buckets": "metrics", "permissions": `[{"action":"read","resource":{"type":"tasks"}}]`})
			at, body := example(t, path, op)
			resp := m.ok(op, at, body)
			want := schema.GetResponseSchema(t, path, op)
			schema.ValidateResponse(t, want, resp, true)
			if resp == nil { // Vault answers 204
				require.Contains(t, path.Operations[op].Properties().Responses, http.StatusNoContent)
			}
			if op == logical.ReadOperation && !mints[pattern(path)] {
				require.NotNil(t, resp)
				for name := range want.Fields {
					require.Contains(t, resp.Data, name, "promised")
				}
			}
		})
	})
}

func TestStandbysHandOn(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
		server := m.connected()
		server.ResetRequests()
		before := m.storage.writeCount()
		m.system.ReplicationStateVal = consts.ReplicationPerformanceStandby
		eachOperation(t, m.backend.Paths, func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
			m := m.in(t)
			at, body := example(t, path, op)
			if !changes(op) && !mints[pattern(path)] {
				m.ok(op, at, body)
				return
			}
			_, text := m.refused(op, at, body)
			require.Contains(t, text, logical.ErrReadOnly.Error(), "Vault forwards on these words")
		})
		require.Empty(t, server.Requests())
		require.Equal(t, before, m.storage.writeCount())
	})
}

func TestSecondariesMintAndHandWritesOn(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
		server := m.connected()
		m.system.ReplicationStateVal = consts.ReplicationPerformanceSecondary
		eachOperation(t, m.backend.Paths, func(t *testing.T, path *framework.Path, op logical.Operation, _ framework.OperationProperties) {
			m := m.in(t)
			at, body := example(t, path, op)
			if !changes(op) || mints[pattern(path)] {
				m.ok(op, at, body)
				return
			}
			before := m.storage.writeCount()
			_, text := m.refused(op, at, body)
			require.Contains(t, text, logical.ErrReadOnly.Error())
			require.Equal(t, before, m.storage.writeCount())
		})
		require.Len(t, live(server), 2, "minted by GET and by POST")

		m.system.LocalMountVal = true
		m.write("roles/local", map[string]any{"read_buckets": "metrics"})
	})
}

func TestHelp(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
		resp := m.ok(logical.HelpOperation, "", nil)
		require.Contains(t, resp.Data["help"], "hands out InfluxDB v2 API tokens")
		for _, path := range m.backend.Paths {
			at, _ := example(t, path, logical.ReadOperation)
			resp := m.ok(logical.HelpOperation, at, nil)
			require.Contains(t, resp.Data["help"], strings.TrimSpace(path.HelpSynopsis), at)
			for name := range path.Fields {
				require.Contains(t, resp.Data["help"], name, at)
			}
		}
	})
}

func TestOpenAPI(t *testing.T) {
	everyHost(t, func(t *testing.T, m *mount) {
		encoded, err := json.Marshal(m.ok(logical.HelpOperation, "", nil).Data["openapi"])
		require.NoError(t, err)
		var document struct {
			Paths map[string]map[string]json.RawMessage `json:"paths"`
		}
		require.NoError(t, json.Unmarshal(encoded, &document))
		ids := map[string]string{}
		for path, methods := range document.Paths {
			for method, raw := range methods {
				var op struct {
					OperationID string         `json:"operationId"`
					Summary     string         `json:"summary"`
					Responses   map[string]any `json:"responses"`
				}
				if method != "get" && method != "post" && method != "patch" && method != "delete" {
					continue // a description of the path
				}
				require.NoError(t, json.Unmarshal(raw, &op))
				at := method + " " + path
				require.True(t, strings.HasPrefix(op.OperationID, operationPrefix+"-"), "%s: %q", at, op.OperationID)
				require.Empty(t, ids[op.OperationID], "%s has the same ID", at)
				ids[op.OperationID] = at
				require.NotEmpty(t, op.Summary, at)
				require.NotEmpty(t, op.Responses, at)
			}
		}
		for _, want := range []string{
			"get /check", "get /config", "post /config", "patch /config", "delete /config", "get /roles/",
			"get /roles/{name}", "post /roles/{name}", "patch /roles/{name}", "delete /roles/{name}",
			"get /creds/{name}", "post /creds/{name}",
		} {
			method, path, _ := strings.Cut(want, " ")
			require.Contains(t, document.Paths[path], method, want)
		}
		require.Len(t, document.Paths, len(m.backend.Paths), "every path is in the document")
	})
}
