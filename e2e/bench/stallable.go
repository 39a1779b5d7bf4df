package main

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

var quiet = log.New(io.Discard, "", 0)

// stallable stands before an InfluxDB. Stalled, it accepts what comes and answers nothing.
type stallable struct {
	url     string
	forward http.Handler

	mu sync.Mutex
	// stalled is closed when it flows again; nil while it flows.
	stalled chan struct{}
	// refusing has deletions answered with 503.
	refusing bool
	// waiting counts the requests that wait, by method.
	waiting map[string]int
}

func newStallable(target string) (*stallable, error) {
	address, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &stallable{url: "http://" + listener.Addr().String(), waiting: map[string]int{}, forward: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(address) },
		Transport: newHTTPClient().Transport,
		ErrorLog:  quiet, // InfluxDB stops before what calls it
	}}
	serving := &http.Server{Handler: s, ErrorLog: quiet}
	go func() { _ = serving.Serve(listener) }() // until the program ends
	return s, nil
}

func (s *stallable) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	stalled, refuse := s.stalled, s.refusing && r.Method == http.MethodDelete
	if stalled != nil {
		s.waiting[r.Method]++
	}
	s.mu.Unlock()
	switch {
	case stalled != nil:
		select {
		case <-stalled:
		case <-r.Context().Done():
		}
		s.mu.Lock()
		s.waiting[r.Method]--
		s.mu.Unlock()
		panic(http.ErrAbortHandler) // hang up
	case refuse:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		s.forward.ServeHTTP(w, r)
	}
}

func (s *stallable) refuseDeletions(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = refuse
}

func (s *stallable) stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled = make(chan struct{})
}

// flow ends the stall, and hangs up on those that wait.
func (s *stallable) flow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.stalled)
	s.stalled = nil
}

// awaits reports an error until so many requests of a method wait.
func (s *stallable) awaits(method string, count int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting[method] < count {
		return errors.New("too few " + method + " requests wait")
	}
	return nil
}
