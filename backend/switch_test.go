package backend

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Connections that are current no longer, and what they are kept for.

func TestConfigDeleted(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id, l, late := m.stored().ID, m.mint("app"), m.mint("app")
	for range 2 { // a second time does no harm
		require.Nil(t, m.ok(logical.DeleteOperation, "config", nil))
		require.Nil(t, m.read("config"))
		require.Equal(t, "influxdb is not configured: write url, token and org to influxdb/config first", m.rejected(logical.ReadOperation, "creds/app", nil))
		require.Equal(t, []string{"connection/" + id, "role/app"}, m.keys(""))
	}
	resp, err := late.renew()
	require.NoError(t, err)
	require.NoError(t, resp.Error())
	require.NoError(t, l.revoke(t.Context()))
	m.reload()
	require.NoError(t, late.revoke(t.Context()), "nothing but storage is needed")
	require.Empty(t, live(server))
}

func TestConfigDeletedIsRevived(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id, l := m.stored().ID, m.mint("app")
	m.ok(logical.DeleteOperation, "config", nil)
	require.Contains(t, m.rejected(logical.PatchOperation, "config", map[string]any{"url": server.URL}), "token: missing", "nothing is left to merge with")

	m.configure(server, map[string]any{"url": proxied(t, server)})
	require.Equal(t, id, m.stored().ID)
	require.Nil(t, m.stored().Former)
	require.Empty(t, m.keys("connection/"))
	tidyUp(t, server, l, m.mint("app"))
}

// Back and forth between two InfluxDBs: each keeps its ID, and each lease is revoked where it was minted.
func TestEachInfluxDBKeepsItsOwnID(t *testing.T) {
	m := newMount(t)
	server, other := m.connected(), influxtest.New(t)
	id, l := m.stored().ID, m.mint("app")
	m.ok(logical.DeleteOperation, "config", nil)
	m.configure(other)
	otherID, otherLease := m.stored().ID, m.mint("app")
	require.NotEqual(t, id, otherID)
	require.Equal(t, []string{"connection/" + id}, m.keys("connection/"))

	m.configure(server, map[string]any{"abandon_previous": true})
	require.Equal(t, id, m.stored().ID)
	require.Equal(t, []string{"connection/" + otherID}, m.keys("connection/"))
	tidyUp(t, server, l)
	tidyUp(t, other, otherLease)
	m.configure(other)
	require.Equal(t, otherID, m.stored().ID)
	require.Nil(t, m.stored().Former, "given up no longer")
}

// The live tokens of a role are counted per InfluxDB, and the old count stands until the switch is done.
func TestSwitchStartsTheCountOfLiveTokensAfresh(t *testing.T) {
	m := newMount(t)
	m.connected()
	other := influxtest.New(t)
	m.write("roles/few", map[string]any{"read_buckets": "metrics", "max_leases": 2})
	full := func() {
		t.Helper()
		status, _ := m.refused(logical.ReadOperation, "creds/few", nil)
		require.Equal(t, 429, status)
	}
	m.mint("few")
	m.mint("few")
	full()
	abandoning := connectionTo(other, map[string]any{"abandon_previous": true})
	m.storage.failOn("put", "config")
	require.Error(t, m.try(logical.UpdateOperation, "config", abandoning))
	m.storage.failing(nil)
	full()
	m.write("config", abandoning)
	tidyUp(t, other, m.mint("few"), m.mint("few"))
	m.mint("few")
	m.mint("few")
	full()
}

func TestSwitchNeedsTheMountsLimits(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.system.MaxLeaseTTLVal = 0 // over the plugin protocol a look-up that failed
	require.ErrorContains(t, m.try(logical.DeleteOperation, "config", nil), noLimitsText)
	require.ErrorContains(t, m.try(logical.UpdateOperation, "config", connectionTo(influxtest.New(t))), noLimitsText)
	require.Equal(t, server.URL, m.stored().URL)
	require.Empty(t, m.keys("connection/"))
}

// The mount's limit can be lowered after a long lease was made: the connection is kept for that one too.
func TestFormerConnectionsStayForTheLongestLease(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/long", map[string]any{"read_buckets": "metrics"})
	l := m.mint("long")
	m.system.MaxLeaseTTLVal = time.Hour
	id := m.stored().ID
	m.ok(logical.DeleteOperation, "config", nil)
	retired, err := store.FormerConnections.Get(t.Context(), m.storage.Storage, id)
	require.NoError(t, err)
	require.WithinDuration(t, m.clock.now().Add(24*time.Hour+deadlineGrace+time.Hour), retired.Former.KeepUntil, 30*time.Second)
	tidyUp(t, server, l)
}
