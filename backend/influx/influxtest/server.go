// Package influxtest is InfluxDB for tests.
//
// Server answers the endpoints of InfluxDB OSS 2 that deal with tokens, organizations, users and buckets, with
// the status codes, headers, bodies and messages of influxd 2.9.1, and misbehaves on demand (see faults.go).
// Contract states these answers as tests. The fake and real influxd (2.9.1 and 2.7.12) are both held to it, so
// that the fake cannot drift from what it stands for.
//
// Each rule names its source: "measured" means seen on influxd 2.9.1, a file name means read in its source.
package influxtest

import (
	"crypto/tls"
	"crypto/x509"
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

// What a new Server holds, as influxd does after its setup. There are also the system buckets "_monitoring" and
// "_tasks", which influxd makes for every organization.
const (
	OrgName    = "acme"
	UserName   = "admin"
	BucketName = "metrics"
)

// Server is a fake InfluxDB. All its methods may be called at any time, from any goroutine; those that can fail
// the test (Add…, Delete…, Rename…, Set…) only from the test's own.
type Server struct {
	// URL is where the server listens, without a slash at the end.
	URL string
	faulttest.Faults

	t        testing.TB
	listener *httptest.Server
	hashed   bool
	cloud    bool
	fresh    bool // guarded by mu once the server runs
	version  string
	// rootValue is what the operator token is to be; empty for one of the server's own making.
	rootValue string
	done      chan struct{} // closed when the test ends, so that stalled requests let go

	rootID, orgID, userID, bucketID string

	mu       sync.Mutex // guards what follows; never held while a fault runs
	store    *store
	requests []Request
	now      func() time.Time
}

// Request is a request as it arrived, whatever became of it.
type Request struct {
	Method string
	Path   string
	Query  string // as sent, without the question mark
}

// Option changes what New starts.
type Option func(*Server)

// TLS makes the server speak https with this configuration. Without a certificate in it the server has one that
// Server.Certificate returns, for 127.0.0.1 and example.com.
func TLS(config *tls.Config) Option {
	return func(s *Server) { s.listener.TLS = config }
}

// HashedTokens says whether a token's value is stored hashed, as influxd 2.9 does unless told otherwise and no
// version before 2.8 can. Hashed is the default: an authorization that is read or listed then has an empty
// "token". With false it has the value, as in 2.7.
func HashedTokens(hashed bool) Option {
	return func(s *Server) {
		if s.hashed = hashed; !hashed {
			NotOnCloud(s.t, "it shows a token's value once")
		}
	}
}

// Version sets the version that the server says it is, "v2.9.1" by default.
func Version(version string) Option {
	return func(s *Server) {
		s.version = version
		NotOnCloud(s.t, "it does not tell its version")
	}
}

// RootToken gives the operator token this value, as a container does that sets itself up with one: another server may
// have the same.
func RootToken(value string) Option {
	return func(s *Server) { s.rootValue = value }
}

// Fresh leaves the server as it is after its installation: it holds nothing and waits for its setup.
func Fresh() Option {
	return func(s *Server) {
		s.fresh = true
		NotOnCloud(s.t, "it has no setup")
	}
}

// New starts a server with one organization, user, bucket and operator token. It stops when the test ends,
// without waiting for requests that are still being answered. With TEST_INFLUXDB=cloud in the environment it is Cloud.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, hashed: true, version: "v2.9.1", done: make(chan struct{}), store: newStore(), now: time.Now}
	s.cloud = onCloud()
	s.listener = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	// Clients that hang up or refuse the certificate are what many tests are about; they are no news.
	s.listener.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, option := range options {
		option(s)
	}
	if !s.fresh {
		s.setUp()
	}
	if s.listener.TLS != nil {
		s.listener.StartTLS()
	} else {
		s.listener.Start()
	}
	s.URL = s.listener.URL
	t.Cleanup(s.close)
	return s
}

// close ends the server. It closes the connections itself where httptest.Server.Close would wait for their
// handlers: a test's own interceptor may be waiting for something that no longer comes.
func (s *Server) close() {
	close(s.done)
	_ = s.listener.Config.Close()
}

// SetClock has every answer's Date say what now returns, so that a test's clock is the server's as well.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = now
}

// RootToken is the value of the operator token: everything, in every organization.
func (s *Server) RootToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.store.issued[0]
}

// RootID is the operator token's authorization ID.
func (s *Server) RootID() string { return s.rootID }

// OrgID is the ID of the organization OrgName.
func (s *Server) OrgID() string { return s.orgID }

// UserID is the ID of the user UserName, who owns the operator token.
func (s *Server) UserID() string { return s.userID }

// BucketID is the ID of the bucket BucketName.
func (s *Server) BucketID() string { return s.bucketID }

// Certificate is the server's certificate where it speaks https, else nil.
func (s *Server) Certificate() *x509.Certificate { return s.listener.Certificate() }

// Requests returns all requests since the start or the last ResetRequests, in the order of their arrival.
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

// IssuedTokens returns every token value that this server ever made, deleted ones too: what a test searches logs
// and errors for.
func (s *Server) IssuedTokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.store.issued)
}
