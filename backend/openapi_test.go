package backend

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestHelp(t *testing.T) {
	m := newMount(t)
	resp := m.ok(logical.HelpOperation, "", nil)
	require.Contains(t, resp.Data["help"], "hands out InfluxDB API tokens")
	for _, path := range m.paths() {
		at, _ := example(t, path, logical.ReadOperation)
		resp := m.ok(logical.HelpOperation, at, nil)
		require.Contains(t, resp.Data["help"], strings.TrimSpace(path.HelpSynopsis), at)
		for name := range path.Fields {
			require.Contains(t, resp.Data["help"], name, at)
		}
	}
}

func TestOpenAPI(t *testing.T) {
	m := newMount(t)
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
		"get /check", "get /config", "post /config", "patch /config", "delete /config", "post /config/rotate-root", "post /config/setup", "get /roles/",
		"get /roles/{name}", "post /roles/{name}", "patch /roles/{name}", "delete /roles/{name}",
		"get /creds/{name}", "post /creds/{name}", "get /static-roles/", "get /static-roles/{name}", "post /static-roles/{name}",
		"patch /static-roles/{name}", "delete /static-roles/{name}", "get /static-creds/{name}", "post /rotate-role/{name}", "get /tokens/", "get /tokens/{authorization_id}",
		"delete /tokens/{authorization_id}", "post /tidy", "get /tidy-status", "delete /entries/{key}",
	} {
		method, path, _ := strings.Cut(want, " ")
		require.Contains(t, document.Paths[path], method, want)
	}
	require.Len(t, document.Paths, len(m.paths()), "every path is in the document")
}
