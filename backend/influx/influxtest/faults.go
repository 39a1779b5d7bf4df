package influxtest

import (
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"time"
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

// Instead lets another server answer at this one's address.
func Instead(other *Server) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { other.serve(w, r) }
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
		answerAs(w, status, contentType, body)
	})
}

// ReplaceAnswer does what these requests ask for and answers so instead: a proxy that judges answers denies one so,
// after all was done. The answer has none of InfluxDB's headers. An empty contentType sends none.
func (s *Server) ReplaceAnswer(method, pathPrefix string, status int, contentType, body string) {
	s.addFault(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		answerAs(w, status, contentType, body)
	})
}

func answerAs(w http.ResponseWriter, status int, contentType, body string) {
	w.Header()["Content-Type"] = nil // else net/http guesses one
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone, which is no error here
}

// Redirect sends these requests to the same path below base, https://db:8086 for example; nothing is done.
func (s *Server) Redirect(method, pathPrefix, base string) {
	s.addFault(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, base+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
}

// ShiftClock lets every answer say that the server's clock is ahead by this much.
func (s *Server) ShiftClock(ahead time.Duration) {
	s.addFault("", "/", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		s.mu.Lock()
		now := s.now
		s.mu.Unlock()
		w.Header().Set("Date", now().Add(ahead).UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// Starting answers every request as InfluxDB 2.10 does until up is called: it listens long before its API is there
// (http/check_handler.go of 2.10.0; its /health and /ready, which say more, are not modelled).
func (s *Server) Starting(version string) (up func()) {
	ready := make(chan struct{})
	s.addFault("", "/", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-ready:
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("X-Influxdb-Build", "OSS")
			w.Header().Set("X-Influxdb-Version", version)
			write(w, http.StatusServiceUnavailable, "application/json; charset=utf-8", []byte(`{"status":"starting"}`+"\n"))
		}
	})
	return sync.OnceFunc(func() { close(ready) })
}

// InfluxDB3 answers as InfluxDB 3 Core does, which has none of the endpoints of InfluxDB 2. It wants a token for all of
// them, /ping too (measured on 3.10.1).
func InfluxDB3(version, token string) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		scheme, sent, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		switch {
		case sent != token || scheme != "Token" && scheme != "Bearer":
			answerAs(w, http.StatusUnauthorized, "", `{"error": "the request was not authenticated"}`)
		case r.Method == http.MethodGet && r.URL.Path == "/ping":
			w.Header().Set("X-Influxdb-Version", version)
			w.Header().Set("X-Influxdb-Build", "Core")
			answerAs(w, http.StatusOK, "application/json", `{"product_name":"InfluxDB 3 Core","version":"`+version+`"}`)
		default:
			answerAs(w, http.StatusNotFound, "", "Not found")
		}
	}
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
