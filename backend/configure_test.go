package backend

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

const untried = "verify_connection: the settings were stored without being tried"

func TestConfigUntried(t *testing.T) {
	influxtest.NotOnCloud(t, "it does not tell its version")
	m := newMount(t)
	server := influxtest.New(t)
	for _, no := range []any{false, "false", "0"} {
		require.Equal(t, untried, warned(m.write("config", connectionTo(server, map[string]any{"verify_connection": no}))))
	}
	require.Empty(t, server.Requests(), "nothing is asked")
	data := m.read("config").Data
	require.NotContains(t, data, "verify_connection")
	require.Equal(t, []any{"acme", "", "", "", "", ""},
		[]any{data["org"], data["org_id"], data["user"], data["root_user"], data["root_user_id"], data["server_version"]})

	// It mints all the same: what was not looked up then is looked up now.
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	tidyUp(t, server, m.mint("app"))
	for _, yes := range []any{true, nil, ""} {
		require.Empty(t, warned(m.write("config", map[string]any{"verify_connection": yes})))
		require.Equal(t, "2.9.1", m.read("config").Data["server_version"])
	}
}

// What was found out stays as long as what it was found with.
func TestConfigUntriedKeepsWhatIsKnown(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	known := m.stored().Found
	m.write("config", map[string]any{"verify_connection": false, "request_timeout": "1m", "external_url": "http://a"})
	require.Equal(t, known, m.stored().Found)
	for field, value := range map[string]any{"url": server.URL + "/", "token": "other", "org": "other", "org_id": server.OrgID(), "user": "admin", "user_id": server.UserID()} {
		m.configure(server, map[string]any{"user": ""})
		require.NotNil(t, m.stored().Found)
		m.write("config", map[string]any{"verify_connection": false, field: value})
		require.Nil(t, m.stored().Found, field)
	}
}

// A connection that was never tried and names no organization can't mint, and says what is missing.
func TestConfigUntriedWithoutOrg(t *testing.T) {
	influxtest.NotOnCloud(t, "its tokens reach one organization")
	m := newMount(t)
	server := influxtest.New(t)
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	m.write("config", connectionTo(server, map[string]any{"verify_connection": false, "org": ""}))
	require.Equal(t, "org: not given, and config has no default; set org or org_id", m.rejected(logical.ReadOperation, "creds/app", nil))
	for field, c := range map[string]struct{ value, says string }{
		"org":     {"acne", `org: no organization "acne", which config names, that the root token can see`},
		"org_id":  {"03a2bbf46309a000", "org_id: no organization has the ID 03a2bbf46309a000, which config names"},
		"user":    {"nobody", `user: no user "nobody", which config names, that the root token can see`},
		"user_id": {"03a2bbf46309a000", "unable to create token"},
	} {
		m.write("config", connectionTo(server, map[string]any{"verify_connection": false, "user": "", "user_id": ""}))
		m.write("config", map[string]any{"verify_connection": false, field: c.value})
		require.Contains(t, m.rejected(logical.ReadOperation, "creds/app", nil), c.says)
	}
	for _, good := range []map[string]any{{"org_id": server.OrgID()}, {"org": "acme", "user": "admin"}, {"user_id": server.UserID()}} {
		m.write("config", connectionTo(server, map[string]any{"verify_connection": false, "user": "", "user_id": ""}))
		good["verify_connection"] = false
		m.write("config", good)
		tidyUp(t, server, m.mint("app"))
	}
}

func (m *testMount) try(op logical.Operation, path string, data map[string]any) error {
	resp, err := m.request(op, path, data)
	if err == nil && resp != nil {
		err = resp.Error()
	}
	return err
}

func TestConcurrentConfigWrites(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id := m.stored().ID
	var writers sync.WaitGroup
	failures := make(chan error, 60)
	for i := range 20 {
		writers.Go(func() {
			// Two fields that belong together, so that a mixture of two writes would show.
			failures <- m.try(logical.UpdateOperation, "config", map[string]any{
				"external_url": fmt.Sprintf("http://host-%d", i), "max_open_connections": i + 1,
			})
			failures <- m.try(logical.ReadOperation, "config", nil)
			failures <- m.try(logical.ReadOperation, "creds/app", nil)
		})
	}
	writers.Wait()
	close(failures)
	for err := range failures {
		require.NoError(t, err)
	}
	got := m.stored()
	require.Equal(t, fmt.Sprintf("http://host-%d", got.MaxOpenConnections-1), got.ExternalURL)
	require.Equal(t, id, got.ID)
	require.Equal(t, []string{"config", "role/app"}, m.keys(""))
	require.Len(t, live(server), 20)
}

// A configuration that takes long to try holds nobody up but the next one, which can give up waiting.
func TestConfigWriteThatTakesLong(t *testing.T) {
	m := newMount(t)
	server, slow := m.connected(), influxtest.New(t)
	release := slow.Stall("GET", "/ping")
	defer release()
	done := make(chan error, 1)
	go func() { done <- m.try(logical.UpdateOperation, "config", connectionTo(slow)) }()
	require.Eventually(t, func() bool { return len(slow.Requests()) == 1 }, time.Minute, time.Millisecond)

	l := m.mint("app")
	require.Equal(t, server.URL, m.read("config").Data["url"])
	m.write("roles/other", map[string]any{"read_buckets": "metrics"})
	for _, op := range []logical.Operation{logical.UpdateOperation, logical.DeleteOperation} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := m.backend.HandleRequest(ctx, &logical.Request{Operation: op, Path: "config", Storage: m.storage, MountPoint: "influxdb/"})
		require.ErrorIs(t, err, context.Canceled)
	}
	require.NoError(t, l.revoke(t.Context()))
	release()
	require.NoError(t, <-done)
	require.Equal(t, slow.URL, m.stored().URL)
	require.Empty(t, live(server))
}
