package influxtest

import (
	"net/http"
	"net/http/httptest"
	"path"
	"sync"

	"vault-plugin-secrets-influxdb/backend/faulttest"
)

// What follows is InfluxDB's own beside what any server may suffer: see faulttest.

// Instead lets another server answer at this one's address.
func Instead(other *Server) faulttest.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) { other.serve(w, r) }
}

// Starting answers every request as InfluxDB 2.10 does until up is called: it listens long before its API is there
// (http/check_handler.go of 2.10.0; its /health and /ready, which say more, are not modelled).
func (s *Server) Starting(version string) (up func()) {
	ready := make(chan struct{})
	s.Add("", "/", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
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

// Stall holds these requests until release is called or their client hangs up, and then has them done: influxd
// too does what an abandoned request asked for (measured: 120 of 120). Later ones are not held after release. At
// the end of the test those that still wait are dropped, with nothing done.
func (s *Server) Stall(method, pathPrefix string) (release func()) {
	released := make(chan struct{})
	s.Add(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
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
	s.Add(method, pathPrefix, func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
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
