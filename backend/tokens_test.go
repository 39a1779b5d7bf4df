package backend

import (
	"encoding/json"
	"net/http"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// unvalued requires that an answer holds no token's value.
func (m *testMount) unvalued(server *influxtest.Server, resp *logical.Response) {
	m.t.Helper()
	encoded, err := json.Marshal(resp)
	require.NoError(m.t, err)
	m.silent(server.IssuedTokens(), string(encoded))
}

func tokenList(t *testing.T, resp *logical.Response) ([]string, map[string]map[string]any) {
	t.Helper()
	encoded, err := json.Marshal(resp.Data)
	require.NoError(t, err)
	var list struct {
		Keys    []string                  `json:"keys"`
		KeyInfo map[string]map[string]any `json:"key_info"`
	}
	require.NoError(t, json.Unmarshal(encoded, &list))
	return list.Keys, list.KeyInfo
}

func TestTokensListsWhatThisMountMinted(t *testing.T) {
	m := newMount(t)
	for _, hidden := range []bool{true, false} {
		server := influxtest.New(t, influxtest.HashedTokens(hidden))
		m.configure(server)
		m.write("roles/app", map[string]any{"read_buckets": "metrics", "max_ttl": "1h"})
		keys, _ := tokenList(t, m.ok(logical.ListOperation, "tokens/", nil))
		require.Empty(t, keys)

		leases := []*leased{m.mint("app"), m.mint("app"), m.mint("app")}
		static := handMade(t, server, m.outlived(testUUID, kindStatic).String(), "active")
		handMade(t, server, m.outlived(otherUUID, kindLease).String(), "active")
		clone := handMade(t, server, leases[0].data["description"].(string)+" (cloned)", "active")
		want := []string{leases[0].id, leases[1].id, leases[2].id, static}
		sort.Strings(want)

		resp := m.ok(logical.ListOperation, "tokens/", nil)
		m.unvalued(server, resp)
		keys, info := tokenList(t, resp)
		require.Equal(t, want, keys)
		require.Len(t, info, 4)
		one := info[leases[0].id]
		st, _ := readStamp(live(server)[leases[0].id].Description)
		require.Equal(t, []any{"app", kindLease, influxtest.OrgName, st.Deadline.UTC().Format(time.RFC3339)}, []any{one["role"], one["kind"], one["org"], one["deadline"]})
		issued, err := time.Parse(time.RFC3339, one["issued"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), issued, time.Minute)
		require.Equal(t, kindStatic, info[static]["kind"])

		keys, info = tokenList(t, m.ok(logical.ListOperation, "tokens/", map[string]any{"after": want[0], "limit": "2"}))
		require.Equal(t, want[1:3], keys)
		require.Len(t, info, 2, "of what is shown alone")
		keys, _ = tokenList(t, m.ok(logical.ListOperation, "tokens/", map[string]any{"after": want[3]}))
		require.Empty(t, keys)
		deleteToken(t, server, static)
		deleteToken(t, server, clone)
		tidyUp(t, server, leases...)
	}
}

func TestTokensReadTellsEverythingButTheValue(t *testing.T) {
	m := newMount(t)
	for _, hidden := range []bool{true, false} {
		server := influxtest.New(t, influxtest.HashedTokens(hidden))
		m.configure(server)
		m.write("roles/app", map[string]any{"read_buckets": "metrics"})
		l := m.mint("app")
		resp := m.read("tokens/" + l.id)
		m.unvalued(server, resp)
		require.Equal(t, []any{l.id, "app", kindLease, influxtest.OrgName, l.data["description"]},
			[]any{resp.Data["authorization_id"], resp.Data["role"], resp.Data["kind"], resp.Data["org"], resp.Data["description"]})
		require.Equal(t, l.id, m.read("tokens/" + strings.ToUpper(l.id)).Data["authorization_id"])
		tidyUp(t, server, l)
	}
}

func TestTokensDeleteEndsATokenAtOnce(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l, other := m.mint("app"), m.mint("app")
	require.Nil(t, m.ok(logical.DeleteOperation, "tokens/"+l.id, nil))
	require.NotContains(t, live(server), l.id)
	require.Contains(t, live(server), other.id)
	_, err := l.renew()
	require.ErrorContains(t, err, "can't be renewed")
	require.NoError(t, l.revoke(t.Context()), "its lease ends cleanly")
	status, _ := m.refused(logical.DeleteOperation, "tokens/"+l.id, nil)
	require.Equal(t, http.StatusNotFound, status)
	tidyUp(t, server, other)
}

func TestTokensDeleteMakesRoomForALease(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/one", map[string]any{"read_buckets": "metrics", "max_leases": 1})
	l := m.mint("one")
	m.ok(logical.DeleteOperation, "tokens/"+l.id, nil)
	tidyUp(t, server, m.mint("one"))
}

func TestTokensDeleteThatFailsIsPendingAndAnError(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	server.Refuse(http.MethodDelete, authorizations)
	for _, id := range []string{l.id, strings.ToUpper(l.id)} {
		for range takeOverAttempts { // whoever asks for it waits for the answer: it is never taken over
			status, text := m.refused(logical.DeleteOperation, "tokens/"+id, nil)
			require.Equal(t, http.StatusBadGateway, status)
			require.Contains(t, text, "authorization "+l.id+" is not deleted yet")
		}
	}
	require.Equal(t, []string{l.id}, m.pendingIDs(), "under InfluxDB's own writing of the ID")
	_, err := l.renew()
	require.ErrorContains(t, err, "can't be renewed")
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Empty(t, live(server))
	require.NoError(t, l.revoke(t.Context()))
}

// A deletion that was pending before a restart is struck off by one that succeeds.
func TestTokensDeleteFinishesWhatIsPending(t *testing.T) {
	m := newMount(t)
	l, server := pendingDeletion(t, m)
	server.Intercept(nil)
	m.reload()
	m.ok(logical.DeleteOperation, "tokens/"+l.id, nil)
	require.Empty(t, m.pendingIDs())
	tidyUp(t, server, l)
}

func TestTokensKnowsNoneButThisMountsOwn(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	foreign := []string{
		server.RootID(),
		handMade(t, server, m.outlived(otherUUID, kindLease).String(), "active"),
		handMade(t, server, m.outlived(testUUID, kindLease).String()+" (cloned)", "active"),
		handMade(t, server, "", "active"),
	}
	server.ResetRequests()
	for _, op := range []logical.Operation{logical.ReadOperation, logical.DeleteOperation} {
		for _, id := range foreign {
			status, text := m.refused(op, "tokens/"+id, nil)
			require.Equal(t, http.StatusNotFound, status)
			require.Contains(t, text, "was not made by this mount; it is left alone")
			require.True(t, exists(server, id))
		}
		status, text := m.refused(op, "tokens/00000000000000ff", nil)
		require.Equal(t, http.StatusNotFound, status)
		require.Contains(t, text, "no token of this mount has the authorization ID")
		for _, bad := range []string{"x", "0000000000000000", "../config", "0e9f8a7b6c5d4e3f0", "0e9f8a7b6c5d4e3g", "0e9f8a7b6c5d4e3f/x", strings.Repeat("a", 4000)} {
			status, text := m.refused(op, "tokens/"+bad, nil)
			require.Equal(t, http.StatusBadRequest, status, bad)
			require.Contains(t, text, "authorization_id: must be 16 hexadecimal digits")
		}
	}
	require.Empty(t, deletions(server))
	require.Empty(t, m.pendingIDs())
}

func TestTokensOfOtherKindsAreNotDeletedHere(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for kind, want := range map[string]string{
		kindRoot: "vault write -f influxdb/config/rotate-root",
		"future": "a future token is not deleted here",
	} {
		id := handMade(t, server, m.outlived(testUUID, kind).String(), "active")
		require.Equal(t, kind, m.read("tokens/" + id).Data["kind"])
		status, text := m.refused(logical.DeleteOperation, "tokens/"+id, nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, want)
		require.True(t, exists(server, id))
	}
}

func TestTokensWhenInfluxDBCanNotTell(t *testing.T) {
	m := newMount(t)
	for _, op := range []logical.Operation{logical.ListOperation, logical.ReadOperation, logical.DeleteOperation} {
		status, text := m.refused(op, tokenPath(op, "0e9f8a7b6c5d4e3f"), nil)
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, text, "influxdb is not configured")
	}
	server := m.connected()
	l := m.mint("app")
	server.Fail("", authorizations, 503, "text/plain", "down")
	for _, op := range []logical.Operation{logical.ListOperation, logical.ReadOperation, logical.DeleteOperation} {
		status, text := m.refused(op, tokenPath(op, l.id), nil)
		require.Equal(t, http.StatusBadGateway, status)
		m.silent(server.IssuedTokens(), text)
	}
	server.Intercept(nil)
	tidyUp(t, server, l)
}

// A root token that is shown nothing has no list to give, and says so.
func TestTokensListOfABlindRootTokenWarns(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	l := m.mint("app")
	require.Empty(t, warned(m.ok(logical.ListOperation, "tokens/", nil)))
	m.storedToken(blindToken(server))
	require.Contains(t, warned(m.ok(logical.ListOperation, "tokens/", nil)), "the root token is shown no token at all")
	tidyUp(t, server, l)
}

func tokenPath(op logical.Operation, id string) string {
	if op == logical.ListOperation {
		return "tokens/"
	}
	return "tokens/" + id
}
