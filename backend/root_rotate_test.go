package backend

import (
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// roots are the tokens of this mount's that are stamped as root tokens, by authorization ID.
func roots(server *influxtest.Server) map[string]influxtest.Token {
	found := map[string]influxtest.Token{}
	for id, token := range live(server) {
		if st, ok := readStamp(token.Description); ok && st.Kind == kindRoot {
			found[id] = token
		}
	}
	return found
}

// existing are all tokens of a server, by ID.
func existing(server *influxtest.Server) map[string]influxtest.Token {
	found := map[string]influxtest.Token{}
	for _, token := range server.Tokens() {
		found[token.ID] = token
	}
	return found
}

func eachStorageOfTokens(t *testing.T, test func(t *testing.T, m *testMount, server *influxtest.Server, hashed bool)) {
	for name, hashed := range map[string]bool{"hashed": true, "in clear": false} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			test(t, m, m.connected(influxtest.HashedTokens(hashed)), hashed)
		})
	}
}

func TestRotateRoot(t *testing.T) {
	eachStorageOfTokens(t, func(t *testing.T, m *testMount, server *influxtest.Server, hashed bool) {
		held := m.mint("app")
		old := existing(server)[server.RootID()]
		given := map[string]any{}
		if hashed {
			given["authorization_id"] = server.RootID()
		}
		m.write("config/rotate-root", given)

		require.NotContains(t, existing(server), server.RootID(), "the old one is deleted")
		made := roots(server)
		require.Len(t, made, 1)
		config := m.read("config").Data
		root := made[config["authorization_id"].(string)]
		require.ElementsMatch(t, old.Permissions, root.Permissions)
		require.Equal(t, old.UserID, root.UserID)
		require.Equal(t, old.OrgID, root.OrgID)
		require.Regexp(t, `^admin's Token \[vault:v1:`+testUUID+`:root:-root:[0-9a-f]{16}:0\]$`, root.Description)
		require.Equal(t, m.stored().LastRotation.UTC().Format(time.RFC3339), config["last_vault_rotation"])
		require.Empty(t, m.keys("intention/"))

		m.write("config/rotate-root", nil)
		require.NotContains(t, existing(server), root.ID, "the second rotation needs no ID")
		require.Len(t, roots(server), 1)
		tidyUpHeld(t, m, server, held, m.mint("app"))
		m.silent(server.IssuedTokens())
	})
}

// tidyUpHeld revokes leases and proves that the root token alone is left.
func tidyUpHeld(t *testing.T, m *testMount, server *influxtest.Server, leases ...*leased) {
	t.Helper()
	for _, l := range leases {
		require.NoError(t, l.revoke(t.Context()))
	}
	require.Len(t, live(server), len(roots(server)))
	require.Empty(t, m.pendingIDs())
}

// Where values are hidden nobody knows which authorization the root token is: it has to be named, and is not guessed.
func TestRotateRootWantsItsIDWhereValuesAreHidden(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.mint("app")
	other, _ := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	powerless, _ := server.AddToken(server.OrgID(), server.UserID(), influxtest.InOrg("read", "buckets", server.OrgID()))
	before := server.Tokens()
	text := m.rejected(logical.UpdateOperation, "config/rotate-root", nil)
	require.Contains(t, text, "authorization_id: needed; InfluxDB hides the values of tokens")
	require.Contains(t, text, server.RootID()+` "admin's Token", created 20`)
	require.Contains(t, text, other)
	require.NotContains(t, text, powerless, "what can't be a root token is not named")
	require.Equal(t, before, server.Tokens())
}

func TestRotateRootRefusesWhatIsNotTheRoot(t *testing.T) {
	eachStorageOfTokens(t, func(t *testing.T, m *testMount, server *influxtest.Server, hashed bool) {
		alike, value := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
		powerless, _ := server.AddToken(server.OrgID(), server.UserID(), influxtest.InOrg("read", "buckets", server.OrgID()))
		others, _ := server.AddToken(server.OrgID(), server.AddUser("bob"), influxtest.OperatorPermissions()...)
		off, _ := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
		server.SetTokenActive(off, false)
		before, stored := server.Tokens(), *m.stored()
		says := map[string]string{
			powerless: "it may not write authorizations", others: "it belongs to another user", off: "it is inactive",
			alike: "the root token still worked while that one was switched off", "0000000000000001": "no authorization has the ID", "x": "16 hexadecimal digits",
		}
		if !hashed {
			for _, id := range []string{powerless, others, off, alike} {
				says[id] = "its value is another one"
			}
		}
		for id, reason := range says {
			status, text := m.refused(logical.UpdateOperation, "config/rotate-root", map[string]any{"authorization_id": id})
			require.Equal(t, 400, status, text)
			require.Contains(t, text, "authorization_id: ")
			require.Contains(t, text, reason)
			now := *m.stored()
			now.Revision = stored.Revision
			require.Equal(t, stored, now, "the root token was not changed")
			require.Empty(t, m.keys("intention/"))
		}
		require.Equal(t, statuses(before), statuses(server.Tokens()), "nothing was made, deleted or left switched off")
		require.Equal(t, http.StatusOK, asks(t, server, value))
		tidyUpHeld(t, m, server, m.mint("app"))
	})
}

// statuses are the tokens with their status, by ID.
func statuses(tokens []influxtest.Token) map[string]string {
	all := map[string]string{}
	for _, token := range tokens {
		all[token.ID] = token.Status
	}
	return all
}

// asks asks a server who a token is, and answers the HTTP status.
func asks(t *testing.T, server *influxtest.Server, token string) int {
	t.Helper()
	return statusOf(t, http.MethodGet, server.URL+"/api/v2/me", token)
}

// statusOf is how a call without a body is answered to a token.
func statusOf(t *testing.T, method, url, token string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Token "+token)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestRotateRootWithoutRightsSaysWhatIsMissing(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	id, value := server.AddToken(server.OrgID(), server.UserID(), append(influxtest.MintingPermissions(server.OrgID(), server.UserID()),
		influxtest.InOrg("read", "buckets", server.OrgID()))...)
	m.configure(server, map[string]any{"token": value, "org": "", "org_id": server.OrgID()})
	status, text := m.refused(logical.UpdateOperation, "config/rotate-root", map[string]any{"authorization_id": id})
	require.Equal(t, 400, status)
	require.Contains(t, text, "authorization_id: the root token may not read "+id+", and it has to read its own authorization")
	require.Contains(t, m.rejected(logical.UpdateOperation, "config/rotate-root", nil), "the root token is not shown the list of tokens")
	require.Contains(t, existing(server), id)
}

// What a rotation can't delete is pending, and done later.
func TestRotateRootWhileTheOldOneCannotBeDeleted(t *testing.T) {
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	server.Refuse(http.MethodDelete, authorizations+"/"+server.RootID())
	require.Contains(t, warned(m.write("config/rotate-root", nil)), "an old one, "+server.RootID()+", still works")
	require.Equal(t, []string{server.RootID()}, m.pendingIDs())
	require.Empty(t, m.keys("intention/"))
	require.Contains(t, existing(server), server.RootID())
	server.Intercept(nil)
	require.NoError(t, m.tick())
	require.NotContains(t, existing(server), server.RootID())
	require.Empty(t, m.pendingIDs())
}

// A mistaken entry never deletes the token that all others depend on.
func TestThePendingDeletionOfTheRootIsDropped(t *testing.T) {
	m := newMount(t)
	server := m.connected(influxtest.HashedTokens(false))
	m.write("config/rotate-root", nil)
	config := m.stored()
	require.NoError(t, store.PendingDeletions.Put(t.Context(), m.storage, config.AuthorizationID, pendingOf(config.ID, config.AuthorizationID, "")))
	require.NoError(t, store.PendingDeletions.Put(t.Context(), m.storage, "nonce-"+config.RootNonce, pendingOf(config.ID, "", config.RootNonce)))
	m.reload()
	m.clock.advance(2 * nonceAge)
	require.NoError(t, m.tick())
	require.Empty(t, m.pendingIDs())
	require.Contains(t, existing(server), config.AuthorizationID)
	tidyUpHeld(t, m, server, m.mint("app"))
}

// pendingOf is a deletion by ID or by nonce, written down long ago.
func pendingOf(connection, id, nonce string) *store.Pending {
	return &store.Pending{AuthorizationID: id, Nonce: nonce, Connection: connection, Role: "app", Since: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)}
}
