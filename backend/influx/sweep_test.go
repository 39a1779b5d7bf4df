package influx_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// sweptCall is one of the calls about authorizations, by its HTTP method.
type sweptCall struct {
	call    func(ctx context.Context, c *influx.Client, srv *influxtest.Server, id string) error
	success int
}

var sweptCalls = map[string]sweptCall{
	"POST": {func(ctx context.Context, c *influx.Client, srv *influxtest.Server, _ string) error {
		_, err := c.CreateAuthorization(ctx, order(srv))
		return err
	}, 201},
	"GET": {func(ctx context.Context, c *influx.Client, _ *influxtest.Server, id string) error {
		_, err := c.GetAuthorization(ctx, id)
		return err
	}, 200},
	"PATCH": {func(ctx context.Context, c *influx.Client, _ *influxtest.Server, id string) error {
		return c.SetAuthorizationStatus(ctx, id, false)
	}, 200},
	"DELETE": {func(ctx context.Context, c *influx.Client, _ *influxtest.Server, id string) error {
		return c.DeleteAuthorization(ctx, id, nil)
	}, 204},
}

// statusCodes are the codes of InfluxDB's errors, as influxtest.Contract sees some of them and its source all.
var statusCodes = map[int]string{
	400: "invalid", 401: "unauthorized", 403: "forbidden", 404: "not found", 405: "method not allowed", 413: "request too large",
	422: "unprocessable entity", 429: "too many requests", 500: "internal error", 501: "not implemented", 503: "unavailable",
	408: "internal error", 499: "forbidden", // a request whose caller is gone: any code
}

// refusals are the statuses with which InfluxDB itself says that nothing was done.
var refusals = []int{400, 401, 403, 413, 422, 429}

// sweptBody is what an answer with any status may hold.
type sweptBody struct {
	answer func(status int, id string) answer
	own    func(status int) bool // InfluxDB's own error
	is     influx.Body
	// everywhere: with every status from 200 to 599; else with those alone with which InfluxDB answers at all.
	everywhere bool
}

func (b sweptBody) statuses() []int {
	if !b.everywhere {
		return append(slices.Collect(maps.Keys(statusCodes)), 200, 201, 202, 204, 302, 409, 502)
	}
	all := make([]int, 400)
	for i := range all {
		all[i] = 200 + i
	}
	return all
}

// sides are whether the call was carried out before it was answered so: InfluxDB's own errors say that it was not.
func (b sweptBody) sides() []bool {
	if b.is == influx.AnyBody && b.everywhere {
		return []bool{false, true}
	}
	return []bool{false}
}

func never(int) bool { return false }

// constant is a body that does not depend on the status.
func constant(content, body string) func(int, string) answer {
	return func(status int, _ string) answer { return answer{status: status, content: content, body: body} }
}

var sweptBodies = map[string]sweptBody{
	"a page":               {constant("text/html", "<html>denied</html>"), never, influx.AnyBody, true},
	"nothing":              {constant("", ""), never, influx.AnyBody, true},
	"empty JSON":           {constant(jsonType, "{}"), never, influx.AnyBody, false},
	"null":                 {constant(jsonType, "null"), never, influx.AnyBody, false},
	"JSON of another kind": {constant(jsonType, `{"error":"denied","status":"blocked","message":"denied"}`), never, influx.AnyBody, true},
	"an error with its status for a code": {func(status int, _ string) answer {
		return answer{status: status, content: jsonType, body: fmt.Sprintf(`{"code":%d,"message":"denied"}`, status)}
	}, never, influx.AnyBody, false},
	"InfluxDB's error with another code": {func(status int, _ string) answer {
		return envelope(status, map[bool]string{true: "invalid", false: "unauthorized"}[status == 401], "denied")
	}, func(status int) bool { return status == 408 || status == 499 }, influx.ErrorBody, false},
	"InfluxDB's error as text": {func(status int, _ string) answer {
		return answer{status: status, content: "text/plain", body: envelope(status, statusCodes[status], "denied").body}
	}, never, influx.AnyBody, false},
	"InfluxDB's own error": {func(status int, _ string) answer {
		return envelope(status, statusCodes[status], "denied")
	}, func(status int) bool { return statusCodes[status] != "" }, influx.ErrorBody, true},
	"InfluxDB's own absence": {constant(jsonType, `{"code":"not found","message":"authorization not found"}`),
		func(status int) bool { return status == 404 || status == 408 || status == 499 }, influx.MissingBody, false},
	"InfluxDB 2.10's start": {func(status int, _ string) answer {
		return answer{status: status, content: jsonType, header: map[string]string{"X-Influxdb-Version": "v2.10.0"}, body: `{"status":"starting"}`}
	}, func(status int) bool { return status == 503 }, influx.StartingBody, false},
	"the same without the version": {constant(jsonType, `{"status":"starting"}`), never, influx.AnyBody, false},
	"what was asked for": {func(status int, id string) answer {
		return answer{status: status, content: jsonType, body: `{"id":"` + id + `","token":"` + testToken + `","status":"inactive"}`}
	}, never, influx.ResultBody, false},
	"what was asked for of another": {constant(jsonType, `{"id":"`+unknownID+`","status":"active"}`), never, influx.AnyBody, false},
}

// Whatever answers a call, and whether the call was carried out or not: it is sent once, and what it proves is what
// Rules say, no more and no less. This stands in for every proxy.
func TestWhatEveryAnswerProves(t *testing.T) {
	for method, call := range sweptCalls {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			sweep(t, method, call)
		})
	}
}

func sweep(t *testing.T, method string, call sweptCall) {
	srv := influxtest.New(t)
	client := connect(t, srv)
	seen := map[influx.Proof]bool{}
	for says, body := range sweptBodies {
		for _, status := range body.statuses() {
			for _, carriedOut := range body.sides() {
				about := fmt.Sprintf("%s %d %s, carried out: %v", method, status, says, carriedOut)
				id, _ := srv.AddToken(srv.OrgID(), srv.UserID())
				srv.ResetRequests()
				before := len(srv.Tokens())
				srv.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					if carriedOut {
						next.ServeHTTP(httptest.NewRecorder(), r)
					}
					body.answer(status, id).ServeHTTP(w, r)
				})

				err := call.call(t.Context(), client, srv, id)

				require.Len(t, srv.Requests(), 1, about)
				made := map[bool]int{true: map[string]int{"POST": 1, "DELETE": -1}[method]}[carriedOut]
				require.Len(t, srv.Tokens(), before+made, about)
				seen[judged(t, about, method, call, status, body, err)] = true
				deleteAll(srv)
			}
		}
	}
	for _, rule := range influx.Rules {
		require.True(t, seen[rule.Proves] || !slices.Contains(rule.Methods, method), rule)
	}
}

// judged requires what an answer has to prove, says so twice over, and returns it.
func judged(t *testing.T, about, method string, call sweptCall, status int, body sweptBody, err error) influx.Proof {
	t.Helper()
	if status == call.success && (body.is == influx.ResultBody || method == "DELETE") {
		require.NoError(t, err, about)
		require.Equal(t, influx.Applied, proofIn(method, status, influx.ResultBody), about)
		return influx.Applied
	}
	e := failed(t, err)
	require.Equal(t, status, e.Status, about)
	own := body.own(status)
	gone := own && status == 404 && body.is == influx.MissingBody && method != "POST"
	notApplied := own && (slices.Contains(refusals, status) || body.is == influx.StartingBody)
	require.Equal(t, own, e.FromInfluxDB(), about)
	require.Equal(t, gone, e.Kind == influx.Gone, about)
	require.Equal(t, notApplied, e.NotApplied(), about)
	if status >= 400 && status < 500 && !own {
		require.NotContains(t, []influx.Kind{influx.Invalid, influx.MissingPermission, influx.Forbidden, influx.NotFound, influx.BadToken,
			influx.InactiveToken, influx.InactiveUser}, e.Kind, about)
	}
	proof := influx.Unproven
	switch {
	case gone:
		proof = influx.Absent
	case notApplied:
		proof = influx.NotApplied
	}
	if own {
		require.Equal(t, proof, proofIn(method, status, body.is), about)
	}
	return proof
}

// proofIn is what Rules say.
func proofIn(method string, status int, body influx.Body) influx.Proof {
	for _, r := range influx.Rules {
		if r.Body == body && slices.Contains(r.Statuses, status) && slices.Contains(r.Methods, method) {
			return r.Proves
		}
	}
	return influx.Unproven
}

// deleteAll deletes all tokens but the root, so that the fake stays fast.
func deleteAll(srv *influxtest.Server) {
	for _, token := range srv.Tokens() {
		if token.ID != srv.RootID() {
			srv.DeleteToken(token.ID)
		}
	}
}
