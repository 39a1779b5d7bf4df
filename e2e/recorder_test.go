package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// recorder is a reverse proxy in front of an InfluxDB that notes the method of every call.
type recorder struct {
	*httptest.Server

	mu      sync.Mutex
	methods []string
}

func startRecorder(t *testing.T, influx *lab.Influx) *recorder {
	t.Helper()
	target, err := url.Parse(influx.URL)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.methods = append(r.methods, request.Method)
		r.mu.Unlock()
		forward.ServeHTTP(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

// during are the methods of the calls that InfluxDB got while do ran.
func (r *recorder) during(do func()) []string {
	r.mu.Lock()
	r.methods = nil
	r.mu.Unlock()
	do()
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.methods
}
