package influx_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// What each answer to a call proves: its kind, and whether it is certain that nothing was changed.
func TestAnswersAreClassified(t *testing.T) {
	const html = "text/html; charset=utf-8"
	tests := []struct {
		says       string
		answer     answer
		kind       influx.Kind
		notApplied bool
		permission string
		text       string // of the error, behind the address
	}{
		{"an unknown token", envelope(401, "unauthorized", "unauthorized access"),
			influx.BadToken, true, "", `401 "unauthorized access"`},
		{"an inactive token", envelope(401, "unauthorized", "token is inactive"),
			influx.InactiveToken, true, "", `401 "token is inactive"`},
		{"a missing permission", envelope(401, "unauthorized", "write:orgs/0a/authorizations is unauthorized"),
			influx.MissingPermission, true, "write:orgs/0a/authorizations", `401 "write:orgs/0a/authorizations is unauthorized"`},
		{"a missing permission for a user", envelope(401, "unauthorized", "read:users/0b is unauthorized"),
			influx.MissingPermission, true, "read:users/0b", `401 "read:users/0b is unauthorized"`},
		{"401 in a proxy's words", answer{status: 401, content: html, body: "<html>log in</html>"},
			influx.NotInfluxDB, false, "", `401 "Unauthorized (text/html, not InfluxDB's own answer)"`},
		{"InfluxDB 3's 401", answer{status: 401, content: jsonType, body: `{"error":"the request was not authenticated"}`},
			influx.NotInfluxDB, false, "", `401 "this is InfluxDB 3, and the configuration is one of InfluxDB 2; write config again"`},
		{"InfluxDB 3's 401 as it is sent", answer{status: 401, body: `{"error": "the request was not authenticated"}`},
			influx.NotInfluxDB, false, "", `401 "this is InfluxDB 3, and the configuration is one of InfluxDB 2; write config again"`},
		{"InfluxDB 3's 401 with its version", answer{status: 401, header: map[string]string{"X-Influxdb-Version": "3.1.0", "X-Influxdb-Build": "Core"}, body: `{"error": "the request was not authenticated"}`},
			influx.NotInfluxDB, false, "", `401 "this is InfluxDB 3.1.0 Core, and the configuration is one of InfluxDB 2; write config again"`},
		{"another error in that form", answer{status: 401, body: `{"error": "no"}`},
			influx.NotInfluxDB, false, "", `401 "Unauthorized (no content, not InfluxDB's own answer)"`},

		{"an inactive user", envelope(403, "forbidden", "User is inactive"),
			influx.InactiveUser, true, "", `403 "User is inactive"`},
		{"a grant beyond one's own", envelope(403, "forbidden", "permission read:buckets is not allowed: read:buckets is unauthorized"),
			influx.Forbidden, true, "read:buckets", `403 "permission read:buckets is not allowed: read:buckets is unauthorized"`},
		{"InfluxDB 3's 403 as it is sent", answer{status: 403, header: map[string]string{influx.ClusterHeader: "c"}, body: `{"error": "unauthorized to perform requested action with the token"}`},
			influx.NotInfluxDB, false, "", `403 "this is InfluxDB 3, and the configuration is one of InfluxDB 2; write config again"`},
		{"403 in a proxy's words", answer{status: 403, content: html, body: "<html>no</html>"},
			influx.NotInfluxDB, false, "", `403 "Forbidden (text/html, not InfluxDB's own answer)"`},

		{"an authorization that is gone", envelope(404, "not found", "authorization not found"),
			influx.Gone, false, "", `404 "authorization not found"`},
		{"the same words under another code", envelope(404, "NotFound", "authorization not found"),
			influx.NotInfluxDB, false, "", `404 "Not Found (application/json, not InfluxDB's own answer)"`},
		{"the same words as text", answer{status: 404, content: "text/plain", body: "not found: authorization not found"},
			influx.NotInfluxDB, false, "", `404 "Not Found (text/plain, not InfluxDB's own answer)"`},
		{"an authorization whose owner is gone", envelope(404, "not found", "user not found"),
			influx.NotFound, false, "", `404 "user not found"`},
		{"an endpoint that is not there", envelope(404, "not found", "path not found"),
			influx.NoSuchPath, false, "", `404 "path not found"`},
		{"a proxy's 404", answer{status: 404, content: html, body: "<html>404</html>"},
			influx.NotInfluxDB, false, "", `404 "Not Found (text/html, not InfluxDB's own answer)"`},
		{"404 without a body", answer{status: 404},
			influx.NotInfluxDB, false, "", `404 "Not Found (no content, not InfluxDB's own answer)"`},
		{"405 without a body", answer{status: 405},
			influx.NoSuchPath, false, "", `405 "Method Not Allowed (no content, not InfluxDB's own answer)"`},
		{"405 in InfluxDB's form", envelope(405, "method not allowed", "allow: GET"),
			influx.NoSuchPath, false, "", `405 "allow: GET"`},

		{"bad content", envelope(400, "invalid", "unable to create token"),
			influx.Invalid, true, "", `400 "unable to create token"`},
		{"an error without a message", answer{status: 400, content: jsonType, body: `{"code":"invalid"}`},
			influx.NotInfluxDB, false, "", `400 "Bad Request (application/json, not InfluxDB's own answer)"`},
		{"an error without a code", answer{status: 400, content: jsonType, body: `{"message":"no"}`},
			influx.NotInfluxDB, false, "", `400 "Bad Request (application/json, not InfluxDB's own answer)"`},
		{"a code that is a number", answer{status: 404, content: jsonType, body: `{"code":404,"message":"authorization not found"}`},
			influx.NotInfluxDB, false, "", `404 "Not Found (application/json, not InfluxDB's own answer)"`},
		{"too much content", answer{status: 413, content: html, body: "<html>413</html>"},
			influx.NotInfluxDB, false, "", `413 "Request Entity Too Large (text/html, not InfluxDB's own answer)"`},
		{"a conflict", envelope(422, "conflict", "onboarding has already been completed"),
			influx.Invalid, true, "", `422 "onboarding has already been completed"`},
		{"an unknown 4xx", envelope(418, "teapot", "short and stout"),
			influx.NotInfluxDB, false, "", `418 "I'm a teapot (application/json, not InfluxDB's own answer)"`},

		{"too many requests", answer{status: 429, content: jsonType, header: map[string]string{"Retry-After": "30"}, body: `{"code":"too many requests","message":"slow down"}`},
			influx.RateLimited, true, "", `429 "slow down"; try again after 30s`},
		{"too many requests, without a body", answer{status: 429, header: map[string]string{"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}},
			influx.RateLimited, false, "", `429 "Too Many Requests (no content, not InfluxDB's own answer)"`},
		{"too many requests, in JSON without words", answer{status: 429, content: jsonType, body: `{}`},
			influx.RateLimited, false, "", `429 "Too Many Requests (application/json, not InfluxDB's own answer)"`},
		{"a deadline that has passed in the server", envelope(408, "internal error", "context deadline exceeded"),
			influx.Unavailable, false, "", `408 "context deadline exceeded"`},
		{"a caller that hung up", envelope(499, "not found", "context canceled"),
			influx.Unavailable, false, "", `499 "context canceled"`},
		{"an internal error", envelope(500, "internal error", "boom"),
			influx.Unavailable, false, "", `500 "boom"`},
		{"a version 2.10 that is starting", answer{status: 503, content: jsonType, header: map[string]string{"X-Influxdb-Version": "v2.10.0"}, body: `{"status":"starting"}` + "\n"},
			influx.Unavailable, true, "", `503 "InfluxDB 2.10.0 is starting"`},
		{"the same without a version", answer{status: 503, content: jsonType, body: `{"status":"starting"}`},
			influx.Unavailable, false, "", `503 "Service Unavailable (application/json, not InfluxDB's own answer)"`},
		{"the same with another status", answer{status: 500, content: jsonType, header: map[string]string{"X-Influxdb-Version": "v2.10.0"}, body: `{"status":"starting"}`},
			influx.Unavailable, false, "", `500 "Internal Server Error (application/json, not InfluxDB's own answer)"`},
		{"another state", answer{status: 503, content: jsonType, header: map[string]string{"X-Influxdb-Version": "v2.10.0"}, body: `{"status":"stopping"}`},
			influx.Unavailable, false, "", `503 "Service Unavailable (application/json, not InfluxDB's own answer)"`},
		{"a bad gateway", answer{status: 502, content: html, body: "<html>502</html>"},
			influx.Unavailable, false, "", `502 "Bad Gateway (text/html, not InfluxDB's own answer)"`},
		{"a server that is starting", answer{status: 503, content: jsonType, header: map[string]string{"Retry-After": "5"}, body: `{"code":"unavailable","message":"starting"}`},
			influx.Unavailable, false, "", `503 "starting"; try again after 5s`},
		{"an error that is no JSON", answer{status: 500, content: jsonType, body: `{"code":`},
			influx.Unavailable, false, "", `500 "Internal Server Error (application/json, not InfluxDB's own answer)"`},
		{"an error without a body", answer{status: 500, content: jsonType},
			influx.Unavailable, false, "", `500 "Internal Server Error (application/json, not InfluxDB's own answer)"`},
		{"a list for an error", answer{status: 500, content: jsonType, body: `["boom"]`},
			influx.Unavailable, false, "", `500 "Internal Server Error (application/json, not InfluxDB's own answer)"`},

		{"a redirect", answer{status: 302, content: html, header: map[string]string{"Location": "https://me:pw@sso.example/login?state=x#y"}, body: "<html>"},
			influx.NotInfluxDB, false, "", `302 "Found to https://sso.example/login, which is not followed; if InfluxDB is there, write its base URL to url"`},
		{"a redirect to nowhere", answer{status: 302, content: html, body: "<html>"},
			influx.NotInfluxDB, false, "", `302 "Found (text/html, not InfluxDB's own answer)"`},
		{"a success that is not one of a deletion", answer{status: 201, content: html, header: map[string]string{"Location": "/"}, body: "<html>"},
			influx.NotInfluxDB, false, "", `201 "Created (text/html, not InfluxDB's own answer)"`},
		{"a body that claims another status", answer{status: 500, content: jsonType, body: `{"statusCode":400,"code":"internal error","message":"no"}`},
			influx.Unavailable, false, "", `500 "no"`},
		{"a body that claims no status", answer{status: 500, content: jsonType, body: `{"statusCode":0,"code":"x","message":"no"}`},
			influx.Unavailable, false, "", `500 "Internal Server Error (application/json, not InfluxDB's own answer)"`},
		{"more than InfluxDB says, such as Cloud's details", answer{status: 404, content: jsonType, body: `{"code":"not found","message":"authorization not found","err":"x","op":"y","header":"z","retryAfter":"w"}`},
			influx.Gone, false, "", `404 "authorization not found"`},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			client := serve(t, test.answer.ServeHTTP)
			e := failed(t, client.DeleteAuthorization(t.Context(), "0c", nil))
			require.Equal(t, test.kind, e.Kind)
			require.True(t, influx.Is(e, test.kind))
			require.Equal(t, test.answer.status, e.Status)
			require.Equal(t, test.notApplied, e.NotApplied())
			own := test.kind != influx.NotInfluxDB && !strings.Contains(test.text, "not InfluxDB's own answer")
			require.Equal(t, own, e.FromInfluxDB())
			require.Equal(t, test.permission, e.Permission)
			require.Equal(t, "DELETE "+client.URL()+"/api/v2/authorizations/0c: "+test.text, e.Error())
		})
	}
}

func TestErrorsSayWhichServerAnswered(t *testing.T) {
	a := envelope(503, "unavailable", "starting")
	a.header = map[string]string{"X-Influxdb-Version": "v2.7.12", "X-Influxdb-Build": "OSS", "Retry-After": "7"}
	client := serve(t, a.ServeHTTP)
	_, err := client.Me(t.Context())
	e := failed(t, err)
	require.Equal(t, "2.7.12", e.Version)
	require.Equal(t, "OSS", e.Build)
	require.Equal(t, 7*time.Second, e.RetryAfter)
}

func TestIsTellsKindsApart(t *testing.T) {
	require.False(t, influx.Is(nil, influx.Unavailable))
	require.False(t, influx.Is(http.ErrServerClosed, influx.Unavailable))
	require.False(t, influx.Is(&influx.Error{Kind: influx.NotFound}, influx.Gone))
}
