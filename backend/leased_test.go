package backend

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// leased is a lease in Vault's keeping.
type leased struct {
	m      *testMount
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
func (m *testMount) tick() error {
	m.t.Helper()
	_, err := m.send(m.t.Context(), &logical.Request{Operation: logical.RollbackOperation})
	m.until(m.idle)
	return err
}

// until waits for something that happens soon: a test may have thousands of ticks, most with nothing to do. A list of a
// stalled InfluxDB takes a minute.
func (m *testMount) until(done func() bool) {
	m.t.Helper()
	limit := time.After(3 * time.Minute)
	for pause := 10 * time.Microsecond; !done(); pause = min(2*pause, time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-limit:
			m.t.Fatal("the backend is still at work after three minutes")
		}
	}
}

// tidied waits until no run of tidy is under way, and answers what tidy-status says.
func (m *testMount) tidied() map[string]any {
	m.t.Helper()
	m.until(m.tidyIsIdle)
	return m.read("tidy-status").Data
}

// pendingIDs are the deletions that storage says are pending.
func (m *testMount) pendingIDs() []string {
	m.t.Helper()
	ids, err := m.storage.Storage.List(m.t.Context(), "pending/")
	require.NoError(m.t, err)
	return ids
}

// live are the tokens of this mount that the server holds, by authorization ID.
func live(server *influxtest.Server) map[string]influxtest.Token {
	tokens := map[string]influxtest.Token{}
	for _, token := range server.Tokens() {
		if strings.Contains(token.Description, "[vault:v1:"+testUUID) {
			tokens[token.ID] = token
		}
	}
	return tokens
}
