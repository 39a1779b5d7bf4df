// Package influx3test is InfluxDB 3 for tests.
//
// Server answers the endpoints of InfluxDB 3 Core and Enterprise that deal with tokens, with the status codes, headers
// and bodies of Core 3.10.1, and misbehaves on demand (see faults.go). Contract states these answers as tests. The fake
// and a real Core (StartCore) are both held to it, so that the fake cannot drift from what it stands for.
//
// Each rule names its source: "measured" means seen on Core 3.10.1, "read" in its source, "documented" by InfluxData
// about Enterprise, which nobody has run for this; "assumed" is neither.
package influx3test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-influxdb/backend/faulttest"
)

// OperatorName is the name of the first token, which can be replaced and not deleted.
const OperatorName = "_admin"

// Server is a fake InfluxDB 3. All its methods may be called at any time, from any goroutine; those that can fail the
// test (AddToken, DeleteToken, …) only from the test's own.
type Server struct {
	// URL is where the server listens, without a slash at the end.
	URL string
	// Faults are for the requests of all nodes.
	faulttest.Faults

	t           testing.TB
	config      *tls.Config // nil for plain HTTP
	enterprise  bool
	fresh       bool
	withoutAuth bool
	version     string
	lag         time.Duration
	clusterID   string
	done        chan struct{} // closed when the test ends, so that stalled requests let go
	first       *node         // the one at URL

	mu       sync.Mutex // guards what follows; never held while a fault runs
	log      catalogLog
	nodes    []*node // the first, and the second once it was asked for
	halfDone []string
	root     string // the operator token's value, empty while there is none
	issued   []string
	requests []Request
	now      func() time.Time
}

// Request is a request as it arrived, whatever became of it.
type Request struct {
	Method string
	Path   string
	Query  string // as sent, without the question mark
	Body   string
}

// Option changes what New starts.
type Option func(*Server)

// Enterprise makes the server InfluxDB 3 Enterprise: it has tokens for single databases, and a second node.
func Enterprise() Option {
	return func(s *Server) { s.enterprise = true }
}

// Version sets the version that the server says it is, "3.10.1" by default. Before 3.7 answers name no cluster.
func Version(version string) Option {
	return func(s *Server) { s.version = version }
}

// Fresh leaves the server as it is after its installation: without any token, and it makes the first for anybody.
func Fresh() Option {
	return func(s *Server) { s.fresh = true }
}

// TLS makes the server speak https with this configuration. Without a certificate in it the server has one that
// Server.Certificate returns, for 127.0.0.1 and example.com.
func TLS(config *tls.Config) Option {
	return func(s *Server) { s.config = config }
}

// WithoutAuth starts the server as --without-auth does: anybody may do anything, and there are no tokens.
func WithoutAuth() Option {
	return func(s *Server) { s.withoutAuth, s.fresh = true, true }
}

// Lag lets a node learn what another one wrote only when this much time has passed by the server's clock, or at Sync, or
// when it writes itself. That is the catalog sync interval of Enterprise, 10 s or 1 s (the documents disagree). Without
// Lag nodes know at once what others wrote.
func Lag(lag time.Duration) Option {
	return func(s *Server) { s.lag = lag }
}

// New starts a server that has its operator token and the database "_internal". It stops when the test ends, without
// waiting for requests that are still being answered.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, version: "3.10.1", clusterID: newUUID(), done: make(chan struct{}), now: time.Now}
	for _, option := range options {
		option(s)
	}
	t.Cleanup(func() { close(s.done) })
	s.first = s.listen()
	s.URL = s.first.listener.URL
	s.mustWrite(addDatabase(internalDatabase))
	if !s.fresh {
		s.makeOperator()
	}
	return s
}

// listen adds a node, which begins with all that was written. When the test ends, its connections are closed here, where
// httptest.Server.Close would wait for their handlers: a test's own interceptor may be waiting for something that no
// longer comes.
func (s *Server) listen() *node {
	n := newNode(len(s.nodes))
	s.log.catchUp(n)
	n.listener = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(n, w, r) }))
	// Clients that hang up or refuse the certificate are what many tests are about; they are no news.
	n.listener.Config.ErrorLog = log.New(io.Discard, "", 0)
	if s.config != nil {
		n.listener.TLS = s.config.Clone()
		n.listener.StartTLS()
	} else {
		n.listener.Start()
	}
	s.nodes = append(s.nodes, n)
	s.t.Cleanup(func() { _ = n.listener.Config.Close() })
	return n
}

// Node2 starts a second node of the same cluster, once, and returns its URL. Only Enterprise has more than one.
func (s *Server) Node2() string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.enterprise {
		s.t.Fatal("influx3test: Core has one node")
	}
	if len(s.nodes) == 1 {
		s.listen()
	}
	return s.nodes[1].listener.URL
}

// Sync lets all nodes know all that was written, half-done calls too.
func (s *Server) Sync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		s.log.catchUp(n)
	}
}

// Restart is what a start anew does to every node: it reads all that was written, and a wedged one writes again (measured).
// Connections stay.
func (s *Server) Restart() {
	s.Sync()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		n.wedged = false
	}
}

// SetClock has the server read its time from now: in every answer's Date, and for what expires. It is called while the
// server is locked, and must not ask it anything.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// RootToken is the value of the operator token, "_admin", which may do anything; empty while there is none.
func (s *Server) RootToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.root
}

// ClusterID is what every answer has in its header cluster-uuid.
func (s *Server) ClusterID() string { return s.clusterID }

// Certificate is the server's certificate where it speaks https, else nil.
func (s *Server) Certificate() *x509.Certificate { return s.first.listener.Certificate() }

// Requests returns all requests since the start or the last ResetRequests, to whichever node, in the order of their
// arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ResetRequests forgets the requests so far.
func (s *Server) ResetRequests() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// IssuedTokens returns every token value that this server ever made, deleted ones too: what a test searches logs and
// errors for.
func (s *Server) IssuedTokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.issued)
}

func newUUID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: it ends the program first
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:])
}
