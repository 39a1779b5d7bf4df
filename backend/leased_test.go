package backend

import (
	"context"
	"runtime"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// leased is a lease in Vault's keeping.
type leased struct {
	m      *mount
	secret *logical.Secret
	data   map[string]any
	id     string
}

func (l *leased) revoke(ctx context.Context) error {
	resp, err := l.m.send(ctx, &logical.Request{Operation: logical.RevokeOperation, Path: "creds/x", Secret: l.secret, Data: l.data})
	if err == nil && resp != nil {
		err = resp.Error()
	}
	return err
}

func (l *leased) renew() (*logical.Response, error) {
	return l.m.send(l.m.t.Context(), &logical.Request{Operation: logical.RenewOperation, Path: "creds/x", Secret: l.secret, Data: l.data})
}

// tick is Vault's minute, and waits for the work that it starts.
func (m *mount) tick() error {
	m.t.Helper()
	_, err := m.send(m.t.Context(), &logical.Request{Operation: logical.RollbackOperation})
	idle := func() bool {
		return !m.backend.drains.running.Load() && !m.backend.counts.running.Load() && !m.backend.rotations.running.Load() &&
			!m.backend.tending.running.Load() && !m.backend.retirees.running.Load()
	}
	for range 1000 { // most ticks have nothing to do, and a test may have thousands
		if idle() {
			return err
		}
		runtime.Gosched()
	}
	require.Eventually(m.t, idle, time.Minute, time.Millisecond)
	return err
}

// tidied waits until no run of tidy is under way, and answers what tidy-status says.
func (m *mount) tidied() map[string]any {
	m.t.Helper()
	require.Eventually(m.t, func() bool {
		m.backend.reaper.mu.Lock()
		defer m.backend.reaper.mu.Unlock()
		return m.backend.reaper.state != tidyRunning
	}, time.Minute, time.Millisecond)
	return m.read("tidy-status").Data
}

// pendingIDs are the deletions that storage says are pending.
func (m *mount) pendingIDs() []string {
	m.t.Helper()
	ids, err := m.storage.Storage.List(m.t.Context(), "pending/")
	require.NoError(m.t, err)
	return ids
}

// live are the tokens of this mount that the server holds, by authorization ID.
func live(server *influxtest.Server) map[string]influxtest.Token {
	tokens := map[string]influxtest.Token{}
	for _, token := range server.Tokens() {
		if strings.Contains(token.Description, stampStart+"v1:"+testUUID) {
			tokens[token.ID] = token
		}
	}
	return tokens
}
