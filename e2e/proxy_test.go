package e2e

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// proxy is a reverse proxy in front of a real InfluxDB, as there are many, and as faulty as they can be.
type proxy struct {
	*httptest.Server
	onCall atomic.Pointer[fault]
	// deletions counts those that InfluxDB was asked for through the proxy.
	deletions atomic.Int64
}

// fault answers a call in InfluxDB's place, or hands it on to next.
type fault func(w http.ResponseWriter, r *http.Request, next http.Handler)

var silent = log.New(io.Discard, "", 0)

// forwardTo is a reverse proxy's part in front of a server.
func forwardTo(t *testing.T, address string) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(address)
	require.NoError(t, err)
	return &httputil.ReverseProxy{
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog: silent, // a server that is down, or a program that hangs up as it is stopped, is what a test wants
	}
}

// startProxy serves an InfluxDB under a base path ("" or "/influx"), with TLS where that is given.
func startProxy(t *testing.T, influx *lab.Influx, base string, settings *tls.Config) *proxy {
	t.Helper()
	p := &proxy{}
	forward := http.StripPrefix(base, forwardTo(t, influx.URL))
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			p.deletions.Add(1)
		}
		if answer := p.onCall.Load(); answer != nil {
			(*answer)(w, r, forward)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	p.Config.ErrorLog = silent // and so are refused handshakes
	if settings != nil {
		p.TLS = settings
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(p.Close)
	p.URL += base
	return p
}

// intercept lasts until mend.
func (p *proxy) intercept(with fault) { p.onCall.Store(&with) }

// failing makes the calls fail that concerns says, until mend.
func (p *proxy) failing(with fault, concerns func(*http.Request) bool) {
	p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if concerns(r) {
			with(w, r, next)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// failDeletions lasts until mend.
func (p *proxy) failDeletions(with fault) {
	p.failing(with, func(r *http.Request) bool { return r.Method == http.MethodDelete })
}

// failSetups lasts until mend.
func (p *proxy) failSetups(with fault) {
	p.failing(with, func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/api/v2/setup")
	})
}

func (p *proxy) mend() { p.onCall.Store(nil) }

// answers is a fault that says always the same.
func answers(status int, contentType, body string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// stalls answers nothing until the caller has given up.
func stalls(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body) // before that nobody looks whether the caller is there
	<-r.Context().Done()
}

// hangsUp ends the connection without an answer.
func hangsUp(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// dropsAnswer lets InfluxDB do it, and ends the connection without its answer.
func dropsAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	hangsUp(w, r, next)
}

// losesAnswer lets InfluxDB do it, however soon the caller gives up, and keeps its answer from the caller.
func losesAnswer(w http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
	stalls(w, r, next)
}
