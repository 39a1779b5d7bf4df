package backend

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestMintRefusesAnAnswerWithoutTheStamp(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id, _ := server.AddToken(server.OrgID(), server.UserID())
	server.Fail("POST", "/api/v2/authorizations", 201, "application/json", `{"id":"`+id+`","token":"t","description":"another"}`)
	_, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "did not keep the token's description")
	for _, token := range server.Tokens() {
		require.NotEqual(t, id, token.ID, "deleted")
	}
}

// A caller that hangs up gets no token, and none is left, where the backend learns of it before InfluxDB answers.
func TestMintForACallerThatWentAwayLeavesNoToken(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	server.ResetRequests()
	ctx, cancel := context.WithCancel(t.Context())
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			cancel()
			<-(*m.contexts.Load()).Done()
		}
		next.ServeHTTP(w, r)
	})
	_, err := m.send(ctx, &logical.Request{Operation: logical.ReadOperation, Path: "creds/app"})
	require.ErrorContains(t, err, "cancel") // over the wire an error is its text
	// The plugin may still be at it when Vault has turned away.
	require.Eventually(t, func() bool { return len(deletions(server)) == 1 && len(live(server)) == 1 }, time.Minute, time.Millisecond)
	require.Empty(t, m.pendingIDs())
}

// While the discarded token can't be deleted, it is pending.
func TestMintWritesDownWhatItCouldNotDiscard(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	server.DeleteBucket(server.BucketID())
	server.Refuse("DELETE", "/api/v2/authorizations")
	status, _ := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, 400, status)
	require.Len(t, m.pendingIDs(), 1)
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Len(t, live(server), 1)
}

func TestMintReadsTheConfigurationAgainWhenTheRootTokenIsUnknown(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	_, other := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	posts := 0
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			if posts++; posts == 1 {
				server.SetTokenActive(server.RootID(), true)
				// The root is replaced while the first call is on its way.
				m.storedToken(other)
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(`{"code":"unauthorized","message":"unauthorized access"}`))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	m.mint("app")
	require.Equal(t, 2, posts)
}

// storedToken replaces the root token in storage, as another node would.
func (m *testMount) storedToken(token string) {
	m.t.Helper()
	m.editConfig(func(config map[string]any) {
		config["token"] = token
		config["revision"] = "another-revision"
	})
}

func (m *testMount) editConfig(edit func(map[string]any)) {
	m.t.Helper()
	entry, err := m.storage.Get(context.Background(), "config")
	require.NoError(m.t, err)
	config := map[string]any{}
	require.NoError(m.t, entry.DecodeJSON(&config))
	edit(config)
	entry, err = logical.StorageEntryJSON("config", config)
	require.NoError(m.t, err)
	require.NoError(m.t, m.storage.Put(context.Background(), entry))
	m.vault.InvalidateKey(context.Background(), "config")
}

func TestMintTellsAnUnknownRootToken(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	server.SetTokenActive(server.RootID(), false)
	_, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "inactive or lacks read:orgs/"+server.OrgID()+"/buckets", "a list does not say which")
	server.SetTokenActive(server.RootID(), true)
	m.mint("app")
	server.SetTokenActive(server.RootID(), false)
	status, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, http.StatusBadGateway, status, text)
	m.storedToken("unknown")
	status, text = m.refused(logical.ReadOperation, "creds/app", nil)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, text, `401 "unauthorized access"`)
}

func TestMintWithoutTheMountsUUIDOrLimitsIsAnError(t *testing.T) {
	m := newMount(t)
	m.connected()
	m.uuid = ""
	m.reload()
	_, text := m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "mount's UUID")
	m.uuid = testUUID
	m.reload()

	// Over the plugin protocol a failed look-up reads as 0.
	m.system.MaxLeaseTTLVal = 0
	_, text = m.refused(logical.ReadOperation, "creds/app", nil)
	require.Contains(t, text, "lease times")
	m.system.MaxLeaseTTLVal, m.system.DefaultLeaseTTLVal = time.Hour, 0
	m.write("roles/default", map[string]any{"read_buckets": "metrics", "ttl": "1m"})
	m.write("roles/default", map[string]any{"read_buckets": "metrics", "ttl": "1m"})
	m.system.DefaultLeaseTTLVal = 0
	m.mint("default")
}
