package backend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// A rotation that can't succeed does not begin: the previous token keeps its grace.
func TestStaticRotationOfWhatIsGoneBeginsNot(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "24h"})
	first := m.readStatic("kept")["token"].(string)
	m.write("rotate-role/kept", nil)
	server.RenameBucket(server.BucketID(), "renamed")
	m.write("config", map[string]any{"request_timeout": 11}) // with nothing remembered of names
	m.refused(logical.UpdateOperation, "rotate-role/kept", nil)
	require.Equal(t, http.StatusNoContent, writes(t, server, first))
	require.Len(t, staticTokens(server), 2)
}

// Another node of the cluster has rotated the role: what this one knew of it is read again, and nothing is done twice.
func TestStaticRotationAfterAnotherNodes(t *testing.T) {
	if overGRPC {
		t.Skip("two backends on one storage: over the wire there is one")
	}
	p := newPlannedStatic(t, map[string]any{"rotation_period": "1h"})
	p.pass(time.Minute)
	other := p.in(t)
	other.reload()
	other.minutes(60)
	require.Len(t, staticTokens(p.server), 2, "rotated over there")

	p.vault.InvalidateKey(t.Context(), "static-role/kept")
	require.NotEqual(t, p.seen, p.current())
	p.seen = p.current()
	p.pass(time.Minute)
	require.Empty(t, p.rotated)
	require.Len(t, staticTokens(p.server), 2)
}

// Ten thousand roles of which nothing is due cost a tick no look at any of them.
func TestStaticTickReadsNoRoleThatIsNotDue(t *testing.T) {
	m := newMount(t)
	m.statically(map[string]any{"rotation_period": "1h"})
	role := m.storedStatic("kept")
	for i := range 50 {
		require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage.Storage, fmt.Sprint("other", i), role))
	}
	m.reload()
	require.NoError(t, m.tick())
	reads := 0
	m.storage.failing(func(op, key string) bool {
		if op == "get" && key != "config" && key != "intention/root" {
			reads++
		}
		return false
	})
	require.NoError(t, m.tick())
	require.Zero(t, reads)
}
