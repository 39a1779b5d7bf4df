package influxtest

import (
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
)

// Interceptor stands before the server: it answers a request itself, or lets next do it, now, later, or into a
// ResponseWriter of its own. It runs outside the server's lock. One that waits should also wait for
// r.Context().Done(): that is when the client has hung up or the test is over.
type Interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Intercept sets the interceptor for all requests from now on and takes away every fault that was there. With
// nil the server is sound again.
func (s *Server) Intercept(intercept Interceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = intercept
}

// Refused drops the connection before anything is done.
func Refused(http.ResponseWriter, *http.Request, http.Handler) {
	panic(http.ErrAbortHandler)
}

// Lost does what the request asks for and drops the connection instead of answering. Whoever sent it can't know
// what became of it.
func Lost(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// The faults below are for the requests with this method ("" is any) whose path begins with pathPrefix. They add
// to what is there already, and the newest that fits a request is the one that it meets.

// Refuse drops the connections of these requests; nothing is done. A client of Go's may send a GET again by
// itself when the connection had been used before.
func (s *Server) Refuse(method, pathPrefix string) {
	s.addFault(method, pathPrefix, Refused)
}

// LoseAnswer does what these requests ask for and drops their connections instead of answering.
func (s *Server) LoseAnswer(method, pathPrefix string) {
	s.addFault(method, pathPrefix, Lost)
}

// Fail answers these requests so; nothing is done. The answer has none of InfluxDB's headers: it could be a
// proxy's. An empty contentType sends none.
func (s *Server) Fail(method, pathPrefix string, status int, contentType, body string) {
	s.addFault(method, pathPrefix, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header()["Content-Type"] = nil // else net/http guesses one
		if contentType != "" {
			w.Header().Set("Content-Type", contentType)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may be gone; nobody is left to tell
	})
}

// Stall holds these requests until release is called or their client hangs up, and then has them done: influxd
// too does what an abandoned request asked for (measured: 120 of 120). Later ones are not held after release. At
// the end of the test those that still wait are dropped, with nothing done.
func (s *Server) Stall(method, pathPrefix string) (release func()) {
	released := make(chan struct{})
	s.addFault(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-released:
		case <-r.Context().Done():
		case <-s.done:
		}
		if s.ended() {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	return sync.OnceFunc(func() { close(released) })
}

// Postpone drops the connections of these requests, and has done what they ask for only when happen is called, once:
// influxd may not yet have done what an abandoned request asked for when it is asked for a list (measured: a token was
// missing 42 to 95 times of 120). A PATCH of an authorization has read it by then and writes it back, which undoes a
// deletion in between (measured: 161 of 600).
func (s *Server) Postpone(method, pathPrefix string) (happen func()) {
	var mu sync.Mutex
	var postponed []func()
	s.addFault(method, pathPrefix, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		read := s.readToPatch(r)
		postponed = append(postponed, func() {
			s.restore(read)
			s.handle(httptest.NewRecorder(), r)
		})
		panic(http.ErrAbortHandler)
	})
	return sync.OnceFunc(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, do := range postponed {
			do()
		}
	})
}

// readToPatch is the authorization that a request changes, nil where it changes none.
func (s *Server) readToPatch(r *http.Request) *authorization {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method != http.MethodPatch {
		return nil
	}
	return s.store.authorizations[path.Base(r.URL.Path)]
}

// restore puts an authorization back that may be deleted.
func (s *Server) restore(a *authorization) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a != nil {
		s.store.authorizations[a.id], s.store.byToken[a.token] = a, a.id
	}
}

func (s *Server) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// addFault puts a fault before the interceptor that is there.
func (s *Server) addFault(method, pathPrefix string, fault Interceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.intercept
	s.intercept = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		switch {
		case (method == "" || method == r.Method) && strings.HasPrefix(r.URL.Path, pathPrefix):
			fault(w, r, next)
		case before != nil:
			before(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	}
}
