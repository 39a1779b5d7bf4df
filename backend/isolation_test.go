package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// While InfluxDB answers nothing, what waits for it keeps nobody else waiting: not the mount's own reads, not a mint of
// another mount, not the tick, a seal or a write of another node. Whoever had to wait would wait for ever here.
func TestAStalledInfluxDBDelaysNobodyElse(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "1h"})
	m.write("config", map[string]any{"request_timeout": "1m"})
	other := newMount(t)
	other.connected()
	pending, revoked := m.mint("app"), m.mint("app")
	server.Refuse(http.MethodDelete, "/")
	require.Error(t, pending.revoke(t.Context()), "pending from now on")
	release := server.Stall("", "/")
	server.ResetRequests()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{}, 2)
	hang := func(do func()) {
		go func() {
			do()
			ended <- struct{}{}
		}()
	}
	hang(func() {
		_, _ = m.send(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	})
	hang(func() { _ = revoked.revoke(ctx) })
	_, err := m.send(t.Context(), &logical.Request{Operation: logical.RollbackOperation}) // starts a drain
	require.NoError(t, err)
	m.write("tidy", nil)
	require.Eventually(t, func() bool { return len(server.Requests()) >= 4 }, time.Minute, time.Millisecond,
		"the mint, the revocation, the drain and the pass wait for InfluxDB")

	require.Equal(t, server.URL, m.read("config").Data["url"])
	require.NotEmpty(t, m.read("static-creds/kept").Data["token"])
	require.NotEmpty(t, m.read("roles/app").Data)
	require.Equal(t, tidyRunning, m.read("tidy-status").Data["state"])
	require.NoError(t, other.mint("app").revoke(t.Context()))
	_, err = m.send(t.Context(), &logical.Request{Operation: logical.RollbackOperation})
	require.NoError(t, err)
	m.vault.InvalidateKey(t.Context(), "config")
	m.vault.Cleanup(context.Background())
	require.Empty(t, ended, "all of that happened while they waited")

	cancel()
	release()
	<-ended
	<-ended
}
