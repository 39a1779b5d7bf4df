package influx3test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Interceptor stands before the server: it answers a request itself, or lets next do it, now, later, or into a
// ResponseWriter of its own. It runs outside the server's lock. One that waits should also wait for
// r.Context().Done(): that is when the client has hung up or the test is over.
type Interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

// Intercept sets the interceptor for all requests from now on, to all nodes, and takes away every fault that was there,
// half-done calls and a wedged catalog excepted. With nil the server is sound again.
func (s *Server) Intercept(intercept Interceptor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.intercept = intercept
}

// Instead lets another server answer at this one's address.
func Instead(other *Server) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { other.serve(other.first, w, r) }
}

// Refused drops the connection before anything is done.
func Refused(http.ResponseWriter, *http.Request, http.Handler) {
	panic(http.ErrAbortHandler)
}

// Lost does what the request asks for, whole, and drops the connection instead of answering. Whoever sent it can't know
// what became of it.
func Lost(_ http.ResponseWriter, r *http.Request, next http.Handler) {
	next.ServeHTTP(httptest.NewRecorder(), r)
	panic(http.ErrAbortHandler)
}

// HalfDone lets the next call with this method to make or delete a token be half done, and cuts its connection without an
// answer: what it asks for is stored, and the node that had it doesn't know (measured; see catalog.go for when it learns of
// it). A token made so is neither listed, nor works, nor can be deleted; one deleted so is listed and works. Called twice,
// it is for the next two calls. It is what becomes of calls whose clients go away, of a quarter to five sixths of them.
func (s *Server) HalfDone(method string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halfDone = append(s.halfDone, method)
}

// isHalfDone reports whether this call is one that HalfDone was for, which it then is no longer.
func (s *Server) isHalfDone(r *http.Request) bool {
	i := slices.Index(s.halfDone, r.Method)
	if i < 0 || !strings.HasPrefix(r.URL.Path, tokenPath) && r.URL.Path != scopedTokenPath {
		return false
	}
	s.halfDone = slices.Delete(s.halfDone, i, i+1)
	return true
}

// Wedge lets the node at URL answer every catalog write with 500 until Restart, as a Core 3.10.1 was seen to do after calls that
// were cut off. Tokens work, are listed, and are neither made nor deleted; what is refused without a write is refused as ever.
func (s *Server) Wedge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first.wedged = true
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

// Redirect sends these requests to the same path below base, https://db:8181 for example; nothing is done.
func (s *Server) Redirect(method, pathPrefix, base string) {
	s.addFault(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, base+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
}

// ShiftClock lets every answer's Date be ahead by this much. What expires, and when, stays with SetClock.
func (s *Server) ShiftClock(ahead time.Duration) {
	s.addFault("", "/", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		s.mu.Lock()
		now := s.now
		s.mu.Unlock()
		w.Header().Set("Date", now().Add(ahead).UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// Stall holds these requests until release is called, and then has them done. Those whose client hangs up meanwhile are
// dropped with nothing done, as InfluxDB 3 drops a call that has not begun to write (measured: most that are given up at
// once are never carried out); at the end of the test so are those that still wait. Later ones are not held after release.
func (s *Server) Stall(method, pathPrefix string) (release func()) {
	released := make(chan struct{})
	s.addFault(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-released:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		case <-s.done:
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	return sync.OnceFunc(func() { close(released) })
}

// Postpone drops the connections of these requests, and has done what they ask for only when happen is called, once: what
// a proxy still held when its client went away.
func (s *Server) Postpone(method, pathPrefix string) (happen func()) {
	var mu sync.Mutex
	var postponed []func()
	s.addFault(method, pathPrefix, func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		defer mu.Unlock()
		postponed = append(postponed, func() { next.ServeHTTP(httptest.NewRecorder(), r) })
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
