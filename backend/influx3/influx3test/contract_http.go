package influx3test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// response is a server's answer, read whole.
type response struct {
	s      *suite
	about  string // what was asked, for messages
	status int
	header http.Header
	body   string
}

// request makes a request. The token "" sends no Authorization header; a token with a space in it is sent as the whole
// header. A body is sent as it is when it is a string, else as JSON and called so.
func (s *suite) request(method, path, token string, body any) *http.Request {
	s.Helper()
	content, kind := "", ""
	switch b := body.(type) {
	case nil:
	case string:
		content = b
	default:
		text, err := json.Marshal(b)
		require.NoError(s.T, err)
		content, kind = string(text), "application/json"
	}
	// Not the test's context: that has ended when the test cleans up.
	request, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, strings.NewReader(content))
	require.NoError(s.T, err)
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	switch {
	case strings.Contains(token, " "):
		request.Header.Set("Authorization", token)
	case token != "":
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return request
}

// call asks the server.
func (s *suite) call(method, path, token string, body any) response {
	s.Helper()
	return s.send(s.request(method, path, token, body))
}

// operator asks the server with the operator token.
func (s *suite) operator(method, path string, body any) response {
	s.Helper()
	return s.call(method, path, s.OperatorToken, body)
}

// typed asks the server with the operator token and a body of this Content-Type.
func (s *suite) typed(path, kind, body string) response {
	s.Helper()
	request := s.request("POST", path, s.OperatorToken, body)
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	return s.send(request)
}

func (s *suite) send(request *http.Request) response {
	s.Helper()
	answer, err := s.client.Do(request)
	require.NoError(s.T, err)
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	require.NoError(s.T, err)
	return response{s, request.Method + " " + request.URL.RequestURI(), answer.StatusCode, answer.Header, string(body)}
}

// is requires a status.
func (r response) is(status int) response {
	r.s.Helper()
	require.Equal(r.s.T, status, r.status, "%s: %s", r.about, r.body)
	return r
}

// into decodes the body.
func (r response) into(v any) {
	r.s.Helper()
	require.NoError(r.s.T, json.Unmarshal([]byte(r.body), v), "%s: %s", r.about, r.body)
}

// refuses requires a refusal as handlers write it: a bare text without a Content-Type.
func (r response) refuses(status int, body string) {
	r.s.Helper()
	r.is(status)
	require.Equal(r.s.T, body, r.body, r.about)
	require.NotContains(r.s.T, r.header, "Content-Type", r.about)
}

// isUnauthenticated requires the refusal of a token.
func (r response) isUnauthenticated() {
	r.s.Helper()
	r.refuses(401, `{"error": "the request was not authenticated"}`)
	require.NotContains(r.s.T, r.header, "X-Influxdb-Version", r.about)
}
