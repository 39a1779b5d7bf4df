package influx_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// order returns the least that a token can be asked for.
func order(srv *influxtest.Server) influx.NewAuthorization {
	return influx.NewAuthorization{OrgID: srv.OrgID(), Permissions: []influx.Permission{
		{Action: "read", Resource: influx.Resource{Type: "buckets", OrgID: srv.OrgID()}},
	}}
}

// A POST without an answer, and what is known then. It is sent once or not at all, whatever happens; also on
// a connection that served before, where Go would send a GET again.
func TestPOSTWithoutAnAnswer(t *testing.T) {
	const posts = "/api/v2/authorizations"
	tests := []struct {
		says       string
		break_     func(*influxtest.Server, context.CancelFunc)
		timeout    time.Duration
		kind       influx.Kind
		notApplied bool
		text       string
		cause      error
		sent, made int
	}{
		{says: "dropped before it was carried out", kind: influx.Unavailable, text: "EOF", cause: io.EOF, sent: 1,
			break_: func(s *influxtest.Server, _ context.CancelFunc) { s.Refuse("POST", posts) }},
		{says: "dropped after it was carried out", kind: influx.Unavailable, text: "EOF", cause: io.EOF, sent: 1, made: 1,
			break_: func(s *influxtest.Server, _ context.CancelFunc) { s.LoseAnswer("POST", posts) }},
		{says: "stalled for too long", kind: influx.Unavailable, timeout: 3 * time.Second, text: "no answer within 3s",
			cause: context.DeadlineExceeded, sent: 1, made: 1,
			break_: func(s *influxtest.Server, _ context.CancelFunc) { s.Stall("POST", posts) }},
		{says: "given up by its caller", kind: influx.Unavailable, text: "the request was cancelled", cause: context.Canceled, sent: 1, made: 1,
			break_: func(s *influxtest.Server, cancel context.CancelFunc) {
				s.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					cancel()
					<-r.Context().Done()
					next.ServeHTTP(w, r)
				})
			}},
		{says: "given up before it was sent", kind: influx.Unavailable, notApplied: true, text: "the request was cancelled", cause: context.Canceled,
			break_: func(_ *influxtest.Server, cancel context.CancelFunc) { cancel() }},
		{says: "answered by a redirect", kind: influx.NotInfluxDB, sent: 1, text: `307 "Temporary Redirect to http://127.0.0.1:1/api/v2/authorizations, which is not followed; if InfluxDB is there, write its base URL to url"`,
			break_: func(s *influxtest.Server, _ context.CancelFunc) { s.Redirect("POST", posts, "http://127.0.0.1:1") }},
		{says: "answered with an empty success", kind: influx.NotInfluxDB, sent: 1, text: `201 "the answer is not InfluxDB's JSON"`,
			break_: func(s *influxtest.Server, _ context.CancelFunc) { s.Fail("POST", posts, 201, "", "") }},
		{says: "answered with null", kind: influx.NotInfluxDB, sent: 1, text: `201 "the answer holds no token"`,
			break_: func(s *influxtest.Server, _ context.CancelFunc) { s.Fail("POST", posts, 201, jsonType, "null") }},
		{says: "answered without the token's value", kind: influx.NotInfluxDB, sent: 1, text: `201 "the answer holds no token"`,
			break_: func(s *influxtest.Server, _ context.CancelFunc) {
				s.Fail("POST", posts, 201, jsonType, `{"id":"0c","token":""}`)
			}},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			srv := influxtest.New(t)
			client := dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken(), Timeout: test.timeout})
			_, err := client.Ping(t.Context()) // from now on there is a connection that served before
			require.NoError(t, err)
			srv.ResetRequests()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			test.break_(srv, cancel)

			_, err = client.CreateAuthorization(ctx, order(srv))

			e := failed(t, err)
			require.Equal(t, test.kind, e.Kind)
			require.Equal(t, test.notApplied, e.NotApplied())
			require.Equal(t, "POST "+srv.URL+"/api/v2/authorizations: "+test.text, e.Error())
			if test.cause != nil {
				require.ErrorIs(t, err, test.cause)
			}
			require.Len(t, srv.Requests(), test.sent)
			eventually(t, func() bool { return len(srv.Tokens()) == 1+test.made }, "tokens in InfluxDB")
		})
	}
}

func TestNobodyListens(t *testing.T) {
	client := dial(t, influx.Options{URL: deadURL})
	e := failed(t, client.DeleteAuthorization(t.Context(), "0c", nil))
	require.Equal(t, influx.Unavailable, e.Kind)
	require.Zero(t, e.Status)
	require.True(t, e.NotApplied())
	require.ErrorContains(t, e, "connection refused")
}

func TestUnknownHost(t *testing.T) {
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no name server here")
	}}
	client := dial(t, influx.Options{URL: "http://influxdb.invalid:8086"})
	e := failed(t, client.DeleteAuthorization(t.Context(), "0c", nil))
	require.Equal(t, influx.Unavailable, e.Kind)
	require.True(t, e.NotApplied())
	require.ErrorContains(t, e, "lookup influxdb.invalid")
}

// Successes that are none, and how a call for an object takes them.
func TestUnusableSuccesses(t *testing.T) {
	tests := map[string]struct {
		body string
		kind influx.Kind
		text string
	}{
		"a page":                  {"<html>log in</html>", influx.NotInfluxDB, `200 "the answer is not InfluxDB's JSON"`},
		"nothing":                 {"", influx.NotInfluxDB, `200 "the answer is not InfluxDB's JSON"`},
		"JSON of another form":    {`["a"]`, influx.NotInfluxDB, `200 "the answer is not InfluxDB's JSON"`},
		"JSON that ends too soon": {`{"id":"0c","na`, influx.Unavailable, `200 "unexpected EOF"`},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			client := serve(t, answer{status: 200, content: jsonType, body: test.body}.ServeHTTP)
			_, err := client.Me(t.Context())
			e := failed(t, err)
			require.Equal(t, test.kind, e.Kind)
			require.False(t, e.NotApplied())
			require.Equal(t, "GET "+client.URL()+"/api/v2/me: "+test.text, e.Error())
		})
	}
}

func TestAnswersThatAreCutOff(t *testing.T) {
	for says, status := range map[string]int{"a success": 200, "a refusal": 404} {
		t.Run(says, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", jsonType)
				w.Header().Set("Content-Length", "1000")
				w.WriteHeader(status)
				_, _ = w.Write([]byte(`{"code":"not found","message":"authorization not found`))
			})
			_, err := client.GetAuthorization(t.Context(), "0c")
			e := failed(t, err)
			require.NotEqual(t, influx.Gone, e.Kind)
			require.Equal(t, status, e.Status)
			require.False(t, e.NotApplied())
			require.ErrorIs(t, e, io.ErrUnexpectedEOF)
		})
	}
}
