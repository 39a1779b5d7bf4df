package backend

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/problem"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// One process serves all mounts: a panic ends one request, and tells nobody what it held.
func TestPanics(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		server := m.connected()
		now := m.backend.mount.Now
		m.backend.mount.Now = func() time.Time { panic(canary) }
		for _, op := range []logical.Operation{logical.ReadOperation, logical.UpdateOperation} {
			status, text := m.refused(op, "creds/app", nil)
			require.Equal(t, 500, status)
			require.Equal(t, background.ErrPanicked.Error(), text)
		}
		m.backend.mount.Now = now
		m.silent([]string{canary})
		require.Contains(t, m.log.String(), `"@message":"panic"`)
		require.Contains(t, m.log.String(), "mint.go", "where it was")
		tidyUp(t, server, m.mint("app"))
	})
}

func TestPanicsOfTheOtherWaysIn(t *testing.T) {
	m := newDirectMount(t) // the panic is in what would be Vault's own process
	m.connected()
	m.storage.failing(func(string, string) bool { panic(canary) })
	_, _, err := m.vault.HandleExistenceCheck(t.Context(), &logical.Request{Operation: logical.UpdateOperation, Path: "roles/app", Storage: m.storage})
	require.EqualError(t, err, background.ErrPanicked.Error())
	m.storage = newFaultyStorage()

	connections := m.backend.connections
	m.backend.connections = nil
	m.backend.InvalidateKey(t.Context(), "config")
	require.Equal(t, 2, strings.Count(m.log.String(), `"@message":"panic"`))
	m.silent([]string{canary})
	m.backend.connections = connections
}

// Another node has written the configuration: nothing that is cached of the old one is used.
func TestInvalidate(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		m.connected()
		l := m.mint("app")
		before := m.connection()
		m.vault.InvalidateKey(t.Context(), "role/app")
		require.Same(t, before, m.connection())
		m.vault.InvalidateKey(t.Context(), "config")
		require.NotSame(t, before, m.connection())
		require.NoError(t, l.revoke(t.Context()))
	})
}

// Whether a role exists is not for its body to say, however wrong that is.
func TestExistence(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		m.connected()
		for path, want := range map[string]bool{"config": true, "roles/app": true, "roles/other": false, "roles/a..b": false} {
			for _, data := range []map[string]any{nil, {"url": []any{canary}, "token": map[string]any{"x": canary}, "ttl": "soon", "nonsense": canary}} {
				checked, exists, err := m.vault.HandleExistenceCheck(t.Context(), &logical.Request{
					Operation: logical.UpdateOperation, Path: path, Data: data, Storage: m.storage, MountPoint: "influxdb/",
				})
				require.NoError(t, err)
				require.True(t, checked)
				require.Equal(t, want, exists, path)
			}
		}
		m.silent([]string{canary})
	})
}

func TestWhatNoPathTakes(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		m.connected()
		for path, op := range map[string]logical.Operation{
			"": logical.ReadOperation, "nonsense": logical.ReadOperation, "configs": logical.ReadOperation, "creds/": logical.ListOperation,
			"config/": logical.ReadOperation, "roles/a\nb": logical.ReadOperation,
		} {
			_, text := m.refused(op, path, map[string]any{"x": canary})
			require.Contains(t, text, logical.ErrUnsupportedPath.Error(), path)
		}
		for path, op := range map[string]logical.Operation{
			"config": logical.ListOperation, "roles/": logical.ReadOperation, "roles/app": logical.ListOperation,
			"creds/app": logical.DeleteOperation, "creds/other": logical.PatchOperation,
		} {
			_, text := m.refused(op, path, nil)
			require.Contains(t, text, logical.ErrUnsupportedOperation.Error(), path)
		}
	})
}

// What is repeated of a caller's own words is cut, and never in the middle of a character.
func TestClip(t *testing.T) {
	require.Equal(t, "short", problem.Clip("short"))
	require.Equal(t, strings.Repeat("a", 64)+"…", problem.Clip(strings.Repeat("a", 65)))
	require.Equal(t, strings.Repeat("a", 63)+"…", problem.Clip(strings.Repeat("a", 63)+"ää"))
}

// A value that is no JSON can't come from outside, and is refused all the same.
func TestMistyped(t *testing.T) {
	schema := &framework.FieldSchema{Type: framework.TypeString}
	require.Equal(t, "must be a string", typeError(schema, func() {}))
	require.Empty(t, typeError(schema, nil))
	require.Equal(t, 0, sizeOf(func() {}))
}

// A request may have millions of fields that nobody knows: what is said of them is bounded.
func TestUnknownFieldsAreNamedUpToABound(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		data := map[string]any{}
		for n := range 10_000 {
			data[fmt.Sprintf("field-%05d", n)] = n
		}
		text := m.rejected(logical.UpdateOperation, "config", data)
		lines := strings.Split(text, "\n")
		require.Len(t, lines, maxProblems+1)
		require.True(t, slices.IsSorted(lines[:maxProblems]))
		require.Equal(t, "the fields that follow were not looked at", lines[maxProblems])
	})
}
