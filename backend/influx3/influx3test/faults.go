package influx3test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"

	"vault-plugin-secrets-influxdb/backend/faulttest"
)

// What follows is InfluxDB's own beside what any server may suffer: see faulttest. Intercept takes neither half-done calls
// nor a wedged catalog away.

// Instead lets another server answer at this one's address.
func Instead(other *Server) faulttest.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { other.serve(other.first, w, r) }
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

// Stall holds these requests until release is called, and then has them done. Those whose client hangs up meanwhile are
// dropped with nothing done, as InfluxDB 3 drops a call that has not begun to write (measured: most that are given up at
// once are never carried out); at the end of the test so are those that still wait. Later ones are not held after release.
func (s *Server) Stall(method, pathPrefix string) (release func()) {
	released := make(chan struct{})
	s.Add(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
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
	s.Add(method, pathPrefix, func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
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
