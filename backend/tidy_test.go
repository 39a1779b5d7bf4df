package backend

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

const otherUUID = "11111111-2222-3333-4444-555555555555"

// longPast is far enough behind its deadline for any clock.
const longPast = reapGrace + time.Minute

// handMade makes a token with any description and status, as InfluxDB's API lets anyone do.
func handMade(t *testing.T, server *influxtest.Server, description, status string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{
		"orgID": server.OrgID(), "description": description, "status": status,
		"permissions": []any{map[string]any{"action": "read", "resource": map[string]any{"type": "buckets", "orgID": server.OrgID()}}},
	})
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+authorizations, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Token "+server.RootToken())
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusCreated, resp.StatusCode)
	var made struct {
		ID string `json:"id"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&made))
	return made.ID
}

// outlived is the stamp of a token that ought to be gone.
func (m *testMount) outlived(mountUUID, kind string) tokenStamp {
	return tokenStamp{Mount: mountUUID, Kind: kind, Role: "app", Nonce: "00112233445566ff", Deadline: m.clock.now().Add(-longPast)}
}

func exists(server *influxtest.Server, id string) bool {
	for _, token := range server.Tokens() {
		if token.ID == id {
			return true
		}
	}
	return false
}

// tidy runs it by hand to its end.
func (m *testMount) tidy(data map[string]any) map[string]any {
	m.t.Helper()
	m.write("tidy", data)
	return m.tidied()
}

// counts are scanned, matched, deleted and failed; they are float64 over the plugin protocol.
func counts(t *testing.T, status map[string]any) (matched, deleted, failed float64) {
	t.Helper()
	encoded, err := json.Marshal(status)
	require.NoError(t, err)
	var c struct {
		Matched float64 `json:"matched_count"`
		Deleted float64 `json:"deleted_count"`
		Failed  float64 `json:"failed_count"`
	}
	require.NoError(t, json.Unmarshal(encoded, &c))
	return c.Matched, c.Deleted, c.Failed
}

func TestTidyReapsNothingButLeaseTokensPastTheirDeadline(t *testing.T) {
	t.Parallel()
	at := func(m *testMount, d time.Duration) tokenStamp {
		s := m.outlived(testUUID, kindLease)
		s.Deadline = m.clock.now().Add(d)
		return s
	}
	for name, c := range map[string]struct {
		description func(m *testMount) string
		reaped      bool
	}{
		"long past":                  {func(m *testMount) string { return "app " + m.outlived(testUUID, kindLease).String() }, true},
		"nothing but the stamp":      {func(m *testMount) string { return m.outlived(testUUID, kindLease).String() }, true},
		"a probe":                    {func(m *testMount) string { s := m.outlived(testUUID, kindLease); s.Role = probeRole; return s.String() }, true},
		"an older stamp before ours": {func(m *testMount) string { return "[vault:v1:x] " + m.outlived(testUUID, kindLease).String() }, true},
		"5 minutes past, and more":   {func(m *testMount) string { return at(m, -reapGrace-2*time.Second).String() }, true},
		"not yet 5 minutes past":     {func(m *testMount) string { return at(m, -reapGrace+30*time.Second).String() }, false},
		"in time":                    {func(m *testMount) string { return at(m, time.Hour).String() }, false},
		"static":                     {func(m *testMount) string { return m.outlived(testUUID, kindStatic).String() }, false},
		"root":                       {func(m *testMount) string { return m.outlived(testUUID, kindRoot).String() }, false},
		"of a kind to come":          {func(m *testMount) string { return m.outlived(testUUID, "future").String() }, false},
		"of another mount":           {func(m *testMount) string { return m.outlived(otherUUID, kindLease).String() }, false},
		"of a later format": {func(m *testMount) string {
			return strings.Replace(m.outlived(testUUID, kindLease).String(), ":v1:", ":v2:", 1)
		}, false},
		"a clone":         {func(m *testMount) string { return m.outlived(testUUID, kindLease).String() + " (cloned at 2026-11-23)" }, false},
		"a blank behind":  {func(m *testMount) string { return m.outlived(testUUID, kindLease).String() + " " }, false},
		"a line behind":   {func(m *testMount) string { return m.outlived(testUUID, kindLease).String() + "\n" }, false},
		"hand-made":       {func(*testMount) string { return "made by alice" }, false},
		"without a text":  {func(*testMount) string { return "" }, false},
		"names the mount": {func(*testMount) string { return "see [vault:v1:" + testUUID + "]" }, false},
		"no nonce":        {func(*testMount) string { return "[vault:v1:" + testUUID + ":lease:app::1]" }, false},
		"no deadline":     {func(*testMount) string { return "[vault:v1:" + testUUID + ":lease:app:00ff:]" }, false},
		"below zero":      {func(*testMount) string { return "[vault:v1:" + testUUID + ":lease:app:00ff:-1]" }, false},
		"in capitals":     {func(m *testMount) string { return strings.ToUpper(m.outlived(testUUID, kindLease).String()) }, false},
		"a UUID's prefix": {func(m *testMount) string { return m.outlived(testUUID[:35], kindLease).String() }, false},
	} {
		for _, status := range []string{"active", "inactive"} {
			t.Run(name+" "+status, func(t *testing.T) {
				m := newMount(t)
				server := m.connected()
				id := handMade(t, server, c.description(m), status)
				before := len(server.Tokens())

				dry := m.tidy(map[string]any{"dry_run": true})
				require.Equal(t, tidyDone, dry["state"])
				require.Len(t, server.Tokens(), before, "dry_run removes none")
				matched, deleted, _ := counts(t, dry)
				require.Equal(t, c.reaped, matched == 1)
				require.Zero(t, deleted)

				state := m.tidy(nil)
				require.Equal(t, tidyDone, state["state"])
				require.Equal(t, c.reaped, !exists(server, id))
				matched, deleted, failed := counts(t, state)
				require.Equal(t, []float64{matched, 0}, []float64{deleted, failed})
				require.EqualValues(t, before, state["scanned_count"])
			})
		}
	}
}

func TestTidyLeavesALivingLeaseAlone(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	m.clock.advance(time.Hour + deadlineGrace) // its deadline
	require.Equal(t, tidyDone, m.tidy(nil)["state"])
	require.Contains(t, live(server), l.id)
	m.clock.advance(reapGrace + 2*time.Second)
	require.Equal(t, tidyDone, m.tidy(nil)["state"])
	require.Empty(t, live(server))
	require.NoError(t, l.revoke(t.Context()), "a lease that Vault still has ends cleanly")
}

func TestTidyOfAnotherMount(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	ours := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	theirs := handMade(t, server, m.outlived(otherUUID, kindLease).String(), "active")
	static := handMade(t, server, m.outlived(otherUUID, kindStatic).String(), "active")
	living := m.outlived(otherUUID, kindLease)
	living.Deadline = m.clock.now().Add(time.Hour)
	inTime := handMade(t, server, living.String(), "active")

	require.Equal(t, tidyDone, m.tidy(map[string]any{"mount_uuid": strings.ToUpper(otherUUID)})["state"])
	require.False(t, exists(server, theirs))
	for _, id := range []string{ours, static, inTime} {
		require.True(t, exists(server, id))
	}
	require.Equal(t, tidyDone, m.tidy(map[string]any{"mount_uuid": ""})["state"])
	require.False(t, exists(server, ours), "its own where none is given")
}

func TestTidyRefusesABadUUID(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	server.ResetRequests()
	for _, bad := range []string{"x", "influxdb/", otherUUID + "0", otherUUID[:35], "{" + otherUUID + "}", "*", ".*"} {
		status, text := m.refused(logical.UpdateOperation, "tidy", map[string]any{"mount_uuid": bad})
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "mount_uuid: must be a UUID", bad)
	}
	_, text := m.refused(logical.UpdateOperation, "tidy", map[string]any{"mount_uuid": testUUID})
	require.Contains(t, text, "leave mount_uuid out")
	require.Equal(t, tidyIdle, m.tidied()["state"])
	require.Empty(t, server.Requests())
}
