package backend

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// strays are the problems of check about static tokens that no role has.
func (m *testMount) strays() []string {
	m.t.Helper()
	var strays []string
	for _, problem := range m.problems() {
		if strings.Contains(problem, "is no token that it has: it came back with an InfluxDB that was restored from a backup") {
			strays = append(strays, problem)
		}
	}
	return strays
}

// A static token that was ended comes back with an InfluxDB that is restored from a backup: check names it, and it is
// deleted through tokens/, which refuses those that a role has.
func TestStaticTokenThatCameBack(t *testing.T) {
	for name, end := range map[string]func(m *testMount){
		"replaced at once": func(m *testMount) { m.write("rotate-role/kept", map[string]any{"grace_period": 0}) },
		"after its grace": func(m *testMount) {
			m.write("rotate-role/kept", map[string]any{"grace_period": "1m"})
			m.minutes(2)
		},
		"with its role": func(m *testMount) { m.ok(logical.DeleteOperation, "static-roles/kept", nil) },
		"with its role, made anew": func(m *testMount) {
			m.ok(logical.DeleteOperation, "static-roles/kept", nil)
			m.write("static-roles/kept", staticFields(nil))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.statically(nil)
			m.write("config", map[string]any{"tidy_interval": 0})
			m.write("static-roles/other", staticFields(nil))
			first := m.readStatic("kept")
			id := first["authorization_id"].(string)
			m.tidies()
			require.Empty(t, m.problems())
			restore := server.Backup()
			end(m)
			require.Equal(t, http.StatusUnauthorized, writes(t, server, first["token"].(string)))
			restore()
			require.Equal(t, http.StatusNoContent, writes(t, server, first["token"].(string)), "it is back")

			m.tidies()
			require.Len(t, m.strays(), 1)
			require.Contains(t, m.strays()[0], fmt.Sprintf(`authorization %s bears the stamp of static role "kept"`, id))
			require.Contains(t, m.strays()[0], "delete tokens/"+id)
			other := m.readStatic("other")["authorization_id"].(string)
			require.Contains(t, m.rejected(logical.DeleteOperation, "tokens/"+other, nil), "rotate-role/other")
			m.crash() // what is known of it lies in storage and InfluxDB
			m.ok(logical.DeleteOperation, "tokens/"+id, nil)
			require.Equal(t, http.StatusUnauthorized, writes(t, server, first["token"].(string)))
			require.Empty(t, m.strays())
			m.tidies()
			require.Empty(t, m.problems())
		})
	}
}

// The previous token of a restored role is still known by its ID, and one that is being made by its nonce.
func TestStaticTokensOfARoleAreNoStrays(t *testing.T) {
	m := newMount(t)
	m.statically(nil)
	first := m.readStatic("kept")["authorization_id"].(string)
	m.write("rotate-role/kept", map[string]any{"grace_period": "1h"})
	for _, id := range []string{first, m.readStatic("kept")["authorization_id"].(string)} {
		require.Contains(t, m.rejected(logical.DeleteOperation, "tokens/"+id, nil), "rotate-role/kept grace_period=0")
	}
	m.tidies()
	require.Empty(t, m.problems())
}

// Whose token it is can't be told while the entry of its role can't be read, nor while a rotation is to be taken back.
func TestStaticTokenIsNoStrayWhileNothingIsKnown(t *testing.T) {
	for _, key := range []string{"static-role/kept", "intention/static/kept"} {
		t.Run(key, func(t *testing.T) {
			m := newMount(t)
			server := m.statically(nil)
			m.write("config", map[string]any{"tidy_interval": 0})
			id := m.readStatic("kept")["authorization_id"].(string)
			restore := server.Backup()
			m.write("rotate-role/kept", map[string]any{"grace_period": 0})
			restore()
			for _, value := range []string{"{", `{"version":1}`} {
				if key == "static-role/kept" && value != "{" {
					continue // that is a role with no token
				}
				require.NoError(t, m.storage.Storage.Put(t.Context(), &logical.StorageEntry{Key: key, Value: []byte(value)}))
				m.reload()
				_, text := m.refused(logical.DeleteOperation, "tokens/"+id, nil)
				require.NotEmpty(t, text)
				require.Contains(t, existing(server), id)
			}
		})
	}
}

// erased is a mount whose InfluxDB was downgraded so that it knows none of its tokens but the root's.
func erased(t *testing.T, plan map[string]any) (*testMount, *influxtest.Server) {
	t.Helper()
	m := newMount(t)
	server := m.statically(plan)
	m.write("config", map[string]any{"tidy_interval": 0})
	m.write("static-roles/other", staticFields(plan))
	server.EraseTokenValues()
	return m, server
}

// A downgrade of InfluxDB leaves dead tokens under living IDs: a pass tries one by its value, then all, and replaces those
// that are dead at once.
func TestDeadStaticTokensAreReplaced(t *testing.T) {
	m, server := erased(t, nil)
	before := map[string]map[string]any{"kept": m.readStatic("kept"), "other": m.readStatic("other")}
	require.Equal(t, http.StatusUnauthorized, writes(t, server, before["kept"]["token"].(string)))
	m.tidies()
	for name, old := range before {
		now := m.readStatic(name)
		require.NotEqual(t, old["token"], now["token"], name)
		require.Equal(t, http.StatusNoContent, writes(t, server, now["token"].(string)), name)
		require.NotContains(t, existing(server), old["authorization_id"], "what is left of the old one")
		require.Contains(t, fmt.Sprint(m.problems()), fmt.Sprintf(`static role %q: at `, name))
	}
	require.Contains(t, fmt.Sprint(m.problems()), "InfluxDB did not know its token any more, although it had its authorization")
	require.Len(t, staticTokens(server), 2)
	m.tidies()
	require.Empty(t, m.problems(), "the next look finds them well")
}

// tokensSent counts the requests by the tokens that they are made with, but the root's.
func tokensSent(server *influxtest.Server) func() map[string]int {
	var mu sync.Mutex
	sent := map[string]int{}
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if value := strings.TrimPrefix(r.Header.Get("Authorization"), "Token "); value != "" && value != server.RootToken() {
			mu.Lock()
			sent[value]++
			mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
	return func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(sent)
	}
}

// A pass tries one role's token at a time while nothing is wrong, each in its turn.
func TestOneStaticTokenIsTriedAtATime(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	m.write("config", map[string]any{"tidy_interval": 0})
	for _, name := range []string{"a", "z"} {
		m.write("static-roles/"+name, staticFields(nil))
	}
	sent := tokensSent(server)
	for passes := range 6 {
		require.Equal(t, min(3, passes), len(sent()))
		m.tidies()
	}
	for _, name := range []string{"a", "kept", "z"} {
		require.Equal(t, 2, sent()[m.readStatic(name)["token"].(string)], name)
	}
}

// Once the server's version went down all are tried, whatever became of the one.
func TestStaticTokensAreTriedAfterADowngrade(t *testing.T) {
	influxtest.NotOnCloud(t, "it does not tell its version")
	m := newMount(t)
	server := m.statically(nil)
	m.write("config", map[string]any{"tidy_interval": 0})
	m.write("static-roles/other", staticFields(nil))
	config := m.stored()
	config.Found.ServerVersion = "99.1.0"
	require.NoError(t, store.Config.Put(t.Context(), m.storage.Storage, config))
	m.reload()
	sent := tokensSent(server)
	m.tidies()
	require.Len(t, sent(), 2)
	m.tidies()
	total := 0
	for _, n := range sent() {
		total += n
	}
	require.Equal(t, 3, total, "its version is known now")
}

// Nothing but InfluxDB's own word for a token that it does not know makes one dead, and only where the InfluxDB that made
// it is seen.
func TestStaticTokensThatAreNotDead(t *testing.T) {
	for name, c := range map[string]struct {
		status            int
		contentType, body string
	}{
		"may not read":       {401, "application/json; charset=utf-8", `{"code":"unauthorized","message":"read:authorizations/0000000000000001 is unauthorized"}`},
		"inactive":           {401, "application/json; charset=utf-8", `{"code":"unauthorized","message":"token is inactive"}`},
		"another refusal":    {401, "application/json; charset=utf-8", `{"code":"unauthorized","message":"session expired"}`},
		"user inactive":      {403, "application/json; charset=utf-8", `{"code":"forbidden","message":"user is inactive"}`},
		"a proxy's":          {401, "text/html", "<h1>401 unauthorized access</h1>"},
		"a proxy's own JSON": {401, "application/json", `{"message":"unauthorized access"}`},
		"forbidden by proxy": {403, "text/html", "no"},
		"out of order":       {500, "application/json; charset=utf-8", `{"code":"internal error","message":"unauthorized access"}`},
		"no such":            {404, "application/json; charset=utf-8", `{"code":"not found","message":"authorization not found"}`},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := m.statically(nil)
			first := m.readStatic("kept")
			server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !strings.HasSuffix(r.Header.Get("Authorization"), " "+first["token"].(string)) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", c.contentType)
				w.WriteHeader(c.status)
				_, _ = fmt.Fprint(w, c.body)
			})
			m.tidies()
			require.Equal(t, first["token"], m.readStatic("kept")["token"])
		})
	}
}

// Another InfluxDB that comes to the address in the middle of a pass knows none of the tokens: that makes none dead.
func TestStaticTokensAreNotDeadOnAnotherInfluxDB(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	other := influxtest.New(t, influxtest.RootToken(server.RootToken()))
	first := m.readStatic("kept")
	var switched atomic.Bool
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if strings.HasSuffix(r.Header.Get("Authorization"), " "+first["token"].(string)) {
			switched.Store(true)
		}
		if switched.Load() {
			influxtest.Instead(other)(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
	m.tidies()
	require.True(t, switched.Load())
	server.Intercept(nil)
	require.Equal(t, first, m.readStatic("kept"))
	require.NotContains(t, fmt.Sprint(m.problems()), "did not know its token")
}

// Where values are shown none is tried: the list tells.
func TestStaticTokensAreNotTriedWhereValuesAreShown(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil, influxtest.HashedTokens(false))
	sent := tokensSent(server)
	m.tidies()
	require.Empty(t, sent())
}
