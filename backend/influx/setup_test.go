package influx_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// testToken is what clients of servers that look at no token send. It looks like InfluxDB's: 88 characters.
const testToken = "aVeryRecognizableTokenThatMustNotAppearInAnyErrorOrLogLine-0123456789_abcdefghijklmnopq=="

// dial makes a client and closes it at the end of the test.
func dial(t testing.TB, o influx.Options) *influx.Client {
	t.Helper()
	if o.Token == "" {
		o.Token = testToken
	}
	client, err := influx.New(o)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return client
}

// connect makes a client of a fake InfluxDB, with its operator token.
func connect(t testing.TB, srv *influxtest.Server) *influx.Client {
	t.Helper()
	return dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken()})
}

// serve starts a server that answers everything so, whatever is asked, and makes a client of it.
func serve(t testing.TB, handler http.HandlerFunc) *influx.Client {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	client := dial(t, influx.Options{URL: srv.URL})
	t.Cleanup(client.Close) // before srv.Close, which waits for connections
	return client
}

// answer is a fixed HTTP answer.
type answer struct {
	status  int
	header  map[string]string
	content string // Content-Type; empty sends none
	body    string
}

func (a answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = nil // else net/http guesses one
	if a.content != "" {
		w.Header().Set("Content-Type", a.content)
	}
	for key, value := range a.header {
		w.Header().Set(key, value)
	}
	w.WriteHeader(a.status)
	_, _ = w.Write([]byte(a.body))
}

const jsonType = "application/json; charset=utf-8"

// envelope is InfluxDB's own form of an error.
func envelope(status int, code, message string) answer {
	return answer{status: status, content: jsonType, body: `{"code":"` + code + `","message":"` + message + `"}`}
}

// failed takes the *Error out of an error; there must be one.
func failed(t testing.TB, err error) *influx.Error {
	t.Helper()
	var e *influx.Error
	require.Error(t, err)
	require.True(t, errors.As(err, &e), "%T: %v", err, err)
	return e
}

// deadURL is an address where nobody listens.
const deadURL = "http://127.0.0.1:1" // below the ports that are given out

// eventually waits for what happens in another goroutine.
func eventually(t testing.TB, condition func() bool, about string) {
	t.Helper()
	require.Eventually(t, condition, 30*time.Second, time.Millisecond, about)
}
