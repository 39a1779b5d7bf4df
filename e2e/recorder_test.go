package e2e

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

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
	forward, r := forwardTo(t, influx.URL), &recorder{}
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
