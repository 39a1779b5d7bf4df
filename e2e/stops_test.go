package e2e

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// at is a point in the engine's work: before or after a call of InfluxDB (what is the method), a write to storage (put,
// delete) or an answer to Vault (answer).
type at struct {
	when, what string
	// about is a part of the text that tells which one: the path and body of a call, and the token that it is about on
	// InfluxDB 3; the mount's UUID and the key of a write; the mount's UUID, the operation and the path of an answer.
	about string
	// nth counts such points; 0 and 1 mean the first.
	nth int
	// every says that all such points are meant, where a run of tidy has the same as the call that is to be held.
	every bool
}

func (a at) isAt(p at) bool {
	return a.when == p.when && a.what == p.what && strings.Contains(p.about, a.about)
}

// stops holds the engine at exact points until the test lets it go. It sees them in a proxy before InfluxDB, and is told
// of the others by e2e/testplugin.
type stops struct {
	*httptest.Server
	mu     sync.Mutex
	wanted []*stop
	faults map[*at]bool
	letGo  chan struct{}
}

// stop is a point where the engine is held, once unless every such point is meant.
type stop struct {
	at
	// cut says that the call which is held there ends without an answer; otherwise it goes on.
	cut     bool
	reached chan struct{}
	once    sync.Once // closes reached
}

func startStops(t *testing.T) *stops {
	t.Helper()
	s := &stops{faults: map[*at]bool{}, letGo: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.passes(at{when: r.FormValue("when"), what: r.FormValue("what"), about: r.FormValue("about")})
	}))
	t.Cleanup(s.Close)
	return s
}

// hold has the engine held at a point.
func (s *stops) hold(a at, cut bool) *stop {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := &stop{at: a, cut: cut, reached: make(chan struct{})}
	s.wanted = append(s.wanted, wanted)
	return wanted
}

// lose cuts off each call of InfluxDB that gets to a point, until it is mended.
func (s *stops) lose(a at) (mend func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[&a] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.faults, &a)
	}
}

// end lets everything go that is held, and holds nothing more.
func (s *stops) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = nil
	clear(s.faults)
	select {
	case <-s.letGo:
	default:
		close(s.letGo)
	}
}

// passes holds whoever gets to a point that is wanted, and then reports whether it goes on.
func (s *stops) passes(p at) bool {
	held, lost := s.look(p)
	if held == nil {
		return !lost
	}
	held.once.Do(func() { close(held.reached) })
	<-s.letGo
	return !held.cut
}

func (s *stops) look(p at) (held *stop, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, wanted := range s.wanted {
		if !wanted.isAt(p) {
			continue
		}
		if wanted.every {
			return wanted, false
		}
		if wanted.nth--; wanted.nth <= 0 {
			s.wanted = slices.Delete(s.wanted, i, i+1)
			return wanted, false
		}
	}
	for fault := range s.faults {
		lost = lost || fault.isAt(p)
	}
	return nil, lost
}

// proxy leads to an InfluxDB. What is held in it goes on although its sender is dead, unless it is cut off.
func (s *stops) proxy(t *testing.T, influx *lab.Influx) *proxy {
	t.Helper()
	p := startProxy(t, influx, "", nil)
	t.Cleanup(s.end) // before the proxy, which waits for its calls
	p.intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, err := io.ReadAll(r.Body)
		point := at{when: "before", what: r.Method, about: r.URL.Path + " " + r.URL.Query().Get("token_name") + string(body)}
		if err != nil || !s.passes(point) {
			hangsUp(w, r, next)
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		sent, answer := r.WithContext(ctx), httptest.NewRecorder()
		sent.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(answer, sent)
		point.when = "after"
		if !s.passes(point) || answer.Code == http.StatusBadGateway { // it is not InfluxDB that says so
			hangsUp(w, r, next)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
	return p
}
