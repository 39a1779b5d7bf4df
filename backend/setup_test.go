package backend

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/vault/sdk/helper/testhelpers/schema"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

const setupPath = "/api/v2/setup"

func founded(server *influxtest.Server) map[string]any {
	return map[string]any{"url": server.URL, "username": "admin", "org": "acme", "bucket": "metrics"}
}

func TestSetupOfAFreshInfluxDB(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.Fresh())
	resp := m.write("config/setup", founded(server))
	schema.ValidateResponse(t, schema.GetResponseSchema(t, m.route("config/setup"), logical.UpdateOperation), resp, true)
	require.Equal(t, server.OrgID(), resp.Data["org_id"])
	require.Equal(t, server.RootID(), resp.Data["authorization_id"])
	token := server.RootToken()
	require.Len(t, token, 88, "as long as InfluxDB's own")
	require.NotContains(t, fmt.Sprint(resp.Data), token)

	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	l := m.mint("app")
	config := m.read("config").Data
	require.Equal(t, "acme", config["org"])
	require.Equal(t, "admin", config["root_user"])
	require.Empty(t, m.keys("intention/"))
	m.write("config/rotate-root", nil)
	require.NotContains(t, existing(server), resp.Data["authorization_id"], "the ID is known, though the values are hidden")
	tidyUpHeld(t, m, server, l)
	m.silent(append(server.IssuedTokens(), token))
}

func TestSetupIsRefused(t *testing.T) {
	m := newMount(t)
	fresh := influxtest.New(t, influxtest.Fresh())
	for field, c := range map[string]struct{ value, says any }{
		"url":              {"db:8086", "url: must be an http or https URL"},
		"username":         {"", "username: missing"},
		"org":              {nil, "org: missing"},
		"bucket":           {"", "bucket: missing"},
		"password":         {"short", "password: must have 8 to 72 bytes"},
		"retention_period": {"59m", "retention_period: must be 1h or more, or 0 for ever"},
		"token":            {"mine", "token: unknown field"},
	} {
		data := founded(fresh)
		data[field] = c.value
		require.Contains(t, m.rejected(logical.UpdateOperation, "config/setup", data), c.says)
	}
	for _, r := range fresh.Requests() {
		require.Equal(t, "/ping", r.Path, "nothing else was asked")
	}
	data := founded(fresh)
	data["bucket"] = `a"b` // only InfluxDB itself refuses that
	require.Contains(t, m.rejected(logical.UpdateOperation, "config/setup", data), "InfluxDB refused the setup")

	taken := influxtest.New(t)
	require.Contains(t, m.rejected(logical.UpdateOperation, "config/setup", founded(taken)), "is set up already; write its url and a token of it to config instead")
	require.Len(t, taken.Tokens(), 1)
	m.configure(taken)
	require.Contains(t, m.rejected(logical.UpdateOperation, "config/setup", founded(fresh)), "the mount is connected to "+taken.URL)
}

// setupRecovers asserts that a setup that was carried out is the configuration in the end, by itself or by the same call
// again; and one that was not leaves nothing.
func (m *testMount) setupRecovers(t *testing.T, server *influxtest.Server, again bool, what string) {
	t.Helper()
	if again {
		// The configuration is there by itself where the answer of the last write alone was lost.
		if m.in(t).read("config") == nil {
			require.NoError(t, m.try(logical.UpdateOperation, "config/setup", founded(server)), what)
		}
	} else {
		m.clock.advance(intentionAge)
		_ = m.tick()
		m.tidied()
	}
	if len(server.Tokens()) == 0 {
		require.False(t, again, what)
		require.Empty(t, m.keys("intention/"), what)
		require.Nil(t, m.in(t).read("config"), what)
		return
	}
	require.Equal(t, server.RootToken(), m.in(t).stored().Token, what)
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	m.in(t).mint("app")
	m.clock.advance(intentionAge)
	require.NoError(t, m.tick())
	require.Empty(t, m.keys("intention/"), what)
}

// The earlier call may be carried out while InfluxDB refuses the same one again.
func TestSetupCutOffIsCarriedOutWhileItIsRefusedAgain(t *testing.T) {
	for status, code := range map[int]string{http.StatusUnprocessableEntity: "conflict", http.StatusTooManyRequests: "too many requests"} {
		for _, again := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/again %t", status, again), func(t *testing.T) {
				m := newMount(t)
				server := influxtest.New(t, influxtest.Fresh())
				var first atomic.Pointer[http.Request]
				server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					switch {
					case r.Method != http.MethodPost || r.URL.Path != setupPath:
						next.ServeHTTP(w, r)
					case first.Load() == nil:
						body, _ := io.ReadAll(r.Body)
						earlier := r.Clone(context.Background())
						earlier.Body = io.NopCloser(bytes.NewReader(body))
						first.Store(earlier)
						faulttest.Refused(w, r, next)
					default:
						next.ServeHTTP(httptest.NewRecorder(), first.Load())
						w.Header().Set("Content-Type", "application/json; charset=utf-8")
						w.WriteHeader(status)
						_, _ = fmt.Fprintf(w, `{"code":%q,"message":"refused"}`, code)
					}
				})
				m.refused(logical.UpdateOperation, "config/setup", founded(server))
				require.Empty(t, server.Tokens())
				answered, text := m.refused(logical.UpdateOperation, "config/setup", founded(server))
				require.Equal(t, 400, answered)
				require.Len(t, server.Tokens(), 1)
				server.Intercept(nil)
				m.crash()
				m.setupRecovers(t, server, again, text)
				require.Contains(t, text, "InfluxDB does not show yet what became of it; call config/setup again")
			})
		}
	}
}

// The same call with another address would set two servers up with one token.
func TestSetupCutOffIsFinishedWhereItBegan(t *testing.T) {
	m := newMount(t)
	server, other := influxtest.New(t, influxtest.Fresh()), influxtest.New(t, influxtest.Fresh())
	server.LoseAnswer(http.MethodPost, setupPath)
	status, text := m.refused(logical.UpdateOperation, "config/setup", founded(server))
	require.Equal(t, 502, status)
	require.Contains(t, text, "whether InfluxDB is set up now is not known: call config/setup again")
	require.Contains(t, m.rejected(logical.UpdateOperation, "config/setup", founded(other)), "url: a setup of "+server.URL+" was cut off; finish that one first")
	require.Contains(t, fmt.Sprint(m.read("check").Data["problems"]), "a setup of InfluxDB was cut off")
	server.Intercept(nil)
	m.write("config", map[string]any{"request_timeout": "20s"})
	require.Equal(t, server.RootToken(), m.stored().Token, "a write of the configuration finishes it, and merges")
	require.Equal(t, 20, m.stored().RequestTimeout)
}
