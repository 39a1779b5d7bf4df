package influxtest

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

// call asks the server. The token "" sends no Authorization header; a token with a space in it is sent as the
// whole header. A body is sent as it is when it is a string, else as JSON.
func (s *suite) call(method, path, token string, body any) response {
	s.Helper()
	var content string
	switch b := body.(type) {
	case nil:
	case string:
		content = b
	default:
		text, err := json.Marshal(b)
		require.NoError(s.T, err)
		content = string(text)
	}
	// Not the test's context: that has ended when the test cleans up.
	request, err := http.NewRequestWithContext(context.Background(), method, s.URL+path, strings.NewReader(content))
	require.NoError(s.T, err)
	switch {
	case strings.Contains(token, " "):
		request.Header.Set("Authorization", token)
	case token != "":
		request.Header.Set("Authorization", "Token "+token)
	}
	return s.send(request)
}

// operator asks the server with the operator token.
func (s *suite) operator(method, path string, body any) response {
	s.Helper()
	return s.call(method, path, s.OperatorToken, body)
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

// fails requires an error with exactly this status, code and message.
func (r response) fails(status int, code, message string) {
	r.s.Helper()
	require.Equal(r.s.T, message, r.errorIs(status, code), r.about)
}

// errorIs requires an error with this status and code, and returns its message.
func (r response) errorIs(status int, code string) string {
	r.s.Helper()
	var e envelope
	r.is(status).into(&e)
	require.Equal(r.s.T, code, e.Code, "%s: %s", r.about, r.body)
	require.Equal(r.s.T, code, r.header.Get("X-Platform-Error-Code"), r.about)
	return e.Message
}

// lacks requires the 401 for a missing permission.
func (r response) lacks(permission Permission) {
	r.s.Helper()
	r.fails(401, "unauthorized", permission.String()+" is unauthorized")
}
