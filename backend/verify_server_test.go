package backend

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// InfluxDB Cloud has neither of them.
func TestServerWithoutPingAndMe(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	server.Fail("", "/ping", 404, "application/json", `{"code":"not found","message":"path not found"}`)
	server.Fail("", "/api/v2/me", 404, "application/json", `{"code":"not found","message":"path not found"}`)
	m.configure(server)
	data := m.read("config").Data
	require.Equal(t, []any{"", "admin", server.UserID()}, []any{data["server_version"], data["root_user"], data["root_user_id"]})
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	tidyUp(t, server, m.mint("app"))
}

// Each step that InfluxDB does not answer is told as what it is.
func TestVerificationThatBreaksOff(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	for _, step := range []string{"GET /ping", "GET /api/v2/me", "GET /api/v2/orgs", "POST /api/v2/authorizations", "DELETE /api/v2/authorizations"} {
		method, path, _ := strings.Cut(step, " ")
		server.Fail(method, path, 503, "", "")
		status, text := m.refused(logical.UpdateOperation, "config", connectionTo(server))
		require.Equal(t, 502, status, step)
		require.Contains(t, text, "url: no usable answer from "+server.URL+": "+method+" "+server.URL+path, step)
		require.Empty(t, m.snapshot(), step)
		server.Intercept(nil)
	}
}

// saying answers every request as a proxy or another server would.
func saying(status int, contentType, body string, headers ...string) faulttest.Interceptor {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func TestKindsOfServers(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	other := influxtest.New(t)
	const html, text = "<html>hello</html>", "text/html; charset=utf-8"
	notInfluxDB := "url: what answers at " + other.URL + " is not InfluxDB ("
	for name, c := range map[string]struct {
		answer faulttest.Interceptor
		status int
		says   string
	}{
		"InfluxDB 1.8":               {saying(204, "", "", "X-Influxdb-Version", "1.8.10", "X-Influxdb-Build", "OSS"), 400, "url: this is InfluxDB 1.8.10 OSS; only InfluxDB 2.x, Cloud 2 and InfluxDB 3 Core and Enterprise have tokens that can be managed"},
		"InfluxDB 3 Core":            {saying(200, "application/json", `{"version":"3.1.0"}`, "X-Influxdb-Version", "v3.1.0", "X-Influxdb-Build", "Core"), 400, "org: InfluxDB 3 Core has no organizations; leave it out, or clear it with an empty value"},
		"InfluxDB 3 in the body":     {saying(200, "application/json", `{"version":"3.4.2"}`), 400, "url: this is InfluxDB 3.4.2; only"},
		"InfluxDB 3, no token":       {saying(401, "application/json", `{"error":"the request was not authenticated"}`, "X-Influxdb-Version", "3.0.0", "X-Influxdb-Build", "Enterprise"), 400, "token: InfluxDB 3.0.0 at " + other.URL + " does not know it (401)"},
		"InfluxDB 3 without headers": {saying(401, "application/json", `{"error": "the request was not authenticated"}`), 400, "token: InfluxDB 3 at " + other.URL + " does not know it (401)"},
		"a page on 200":              {saying(200, text, html), 400, notInfluxDB},
		"a page on 404":              {saying(404, text, html), 400, notInfluxDB},
		"a page on 401":              {saying(401, text, html), 400, notInfluxDB},
		"a page on 403":              {saying(403, text, html), 400, notInfluxDB},
		"a redirect":                 {saying(302, text, html, "Location", "/login"), 400, "url: " + other.URL + " redirects to " + other.URL + "/login (302), where nothing is sent; if InfluxDB is there, write its base URL to url" + unchangedText},
		"a redirect to https":        {saying(301, text, html, "Location", "https://db:8086/ping?token=x"), 400, "url: " + other.URL + " redirects to https://db:8086 (301)"},
		"JSON of something else":     {saying(404, "application/json", `{"detail":"Not Found"}`), 400, notInfluxDB},
		"a page on 502":              {saying(502, text, html), 502, "url: no usable answer from " + other.URL + ": "},
		"overloaded":                 {saying(503, "application/json", `{"code":"unavailable","message":"later"}`), 502, "url: no usable answer from " + other.URL + ": "},
		"too many requests":          {saying(429, "application/json", `{"code":"too many requests","message":"later"}`, "Retry-After", "7"), 502, "url: no usable answer from " + other.URL + ": "},
		"a connection that is cut":   {faulttest.Refused, 502, "url: no usable answer from " + other.URL + ": "},
		"a 400 to everything":        {saying(400, "text/plain", "no"), 400, "url: "},
		"InfluxDB 2 with a bad page": {saying(200, "application/json", `{"id":[]}`, "X-Influxdb-Version", "v2.7.12"), 400, notInfluxDB},
		"an answer that is cut off":  {saying(200, "application/json", `{"id":`, "X-Influxdb-Version", "v2.7.12"), 502, "url: no usable answer from " + other.URL + ": "},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			other.Intercept(c.answer)
			other.ResetRequests()
			before := m.snapshot()
			status, text := m.refused(logical.UpdateOperation, "config", map[string]any{"url": other.URL, "token": other.RootToken()})
			require.Equal(t, c.status, status, text)
			require.True(t, strings.HasPrefix(text, c.says), text)
			if strings.HasPrefix(name, "a redirect") {
				require.Len(t, other.Requests(), 1, "the root token was not sent")
			}
			if c.status == 502 || strings.HasPrefix(c.says, "url: what") {
				require.True(t, strings.HasSuffix(text, unchangedText), text)
			}
			require.NotContains(t, text, "hello", "a page is not repeated")
			require.Equal(t, before, m.snapshot())
		})
	}
	m.silent(append(other.IssuedTokens(), server.IssuedTokens()...))
	tidyUp(t, server, m.mint("app"))
}

func TestNobodyListens(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	const dead = "http://127.0.0.1:1"
	status, text := m.refused(logical.PatchOperation, "config", map[string]any{"url": dead, "token": server.RootToken()})
	require.Equal(t, 502, status)
	require.True(t, strings.HasPrefix(text, "url: no usable answer from "+dead+": GET "+dead+"/ping: "), text)
	require.True(t, strings.HasSuffix(text, unchangedText), text)
	require.Equal(t, server.URL, m.stored().URL)
	tidyUp(t, server, m.mint("app"))
}
