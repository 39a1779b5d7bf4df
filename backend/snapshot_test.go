package backend

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// in is the same mount for a test inside the test.
func (m *testMount) in(t testing.TB) *testMount {
	inner := *m
	inner.t = t
	return &inner
}

// snapshot is all that lies in storage, by key, read past the faults.
func (m *testMount) snapshot() map[string]string {
	m.t.Helper()
	keys, err := logical.CollectKeys(m.t.Context(), m.storage.Storage)
	require.NoError(m.t, err)
	all := map[string]string{}
	for _, key := range keys {
		entry, err := m.storage.Storage.Get(m.t.Context(), key)
		require.NoError(m.t, err)
		all[key] = string(entry.Value)
	}
	return all
}

// keys are the keys of a snapshot that begin with a prefix.
func (m *testMount) keys(prefix string) []string {
	m.t.Helper()
	all := slices.Sorted(maps.Keys(m.snapshot()))
	return slices.DeleteFunc(all, func(key string) bool { return !strings.HasPrefix(key, prefix) })
}

// stored is the current connection as it lies in storage.
func (m *testMount) stored() *store.Connection {
	m.t.Helper()
	config, err := store.Config.Get(m.t.Context(), m.storage.Storage)
	require.NoError(m.t, err)
	require.NotNil(m.t, config)
	return config
}

// rejected sends a request that has to be answered with 400 and to change nothing, and gives the text.
func (m *testMount) rejected(op logical.Operation, path string, data map[string]any) string {
	m.t.Helper()
	before := m.snapshot()
	status, text := m.refused(op, path, data)
	require.Equal(m.t, 400, status, text)
	require.Equal(m.t, before, m.snapshot(), "nothing is stored")
	return text
}

// silent fails the test when one of the secrets stands in the log or in one of the texts.
func (m *testMount) silent(secrets []string, texts ...string) {
	m.t.Helper()
	for _, text := range append(texts, m.log.String()) {
		for _, secret := range secrets {
			require.NotContains(m.t, text, secret)
		}
	}
}

// warned is the warnings of an answer, a line each.
func warned(resp *logical.Response) string {
	if resp == nil {
		return ""
	}
	return strings.Join(resp.Warnings, "\n")
}

// tidyUp revokes what is left and proves that no token of the mount survives.
func tidyUp(t *testing.T, server *influxtest.Server, leases ...*leased) {
	t.Helper()
	for _, l := range leases {
		require.NoError(t, l.revoke(context.Background()))
	}
	require.Empty(t, live(server))
}
