// Package faulttest makes a fake server misbehave: its connections break, its answers get lost or are a proxy's, its clock
// is wrong. A fake embeds Faults and has it serve each request.
package faulttest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Interceptor stands before the server: it answers a request itself, or lets next do it, now, later, or into a
// ResponseWriter of its own. It runs outside of any lock. One that waits should also wait for r.Context().Done(): that
// is when the client has hung up or the test is over.
type Interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

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

// Faults are those that a server has now; the zero value is a sound one. Its methods may be called at any time.
type Faults struct {
	mu        sync.Mutex // never held while an interceptor runs
	intercept Interceptor
}

// Serve has the interceptor that is set answer the request, or next where there is none.
func (f *Faults) Serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f.mu.Lock()
	intercept := f.intercept
	f.mu.Unlock()
	if intercept == nil {
		next.ServeHTTP(w, r)
		return
	}
	intercept(w, r, next)
}

// Intercept sets the interceptor for all requests from now on and takes away every fault that was there. With nil the
// server is sound again.
func (f *Faults) Intercept(intercept Interceptor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intercept = intercept
}

// Add lets the requests with this method ("" is any) whose path begins with pathPrefix meet the fault. It adds to what is
// there already, and the newest that fits a request is the one that it meets.
func (f *Faults) Add(method, pathPrefix string, fault Interceptor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.intercept
	f.intercept = func(w http.ResponseWriter, r *http.Request, next http.Handler) {
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

// Refuse drops the connections of these requests, see Add; nothing is done. A client of Go's may send a GET again by
// itself when the connection had been used before.
func (f *Faults) Refuse(method, pathPrefix string) {
	f.Add(method, pathPrefix, Refused)
}

// LoseAnswer does what these requests ask for and drops their connections instead of answering.
func (f *Faults) LoseAnswer(method, pathPrefix string) {
	f.Add(method, pathPrefix, Lost)
}

// Fail answers these requests so; nothing is done. The answer has none of InfluxDB's headers: it could be a
// proxy's. An empty contentType sends none.
func (f *Faults) Fail(method, pathPrefix string, status int, contentType, body string) {
	f.Add(method, pathPrefix, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		answer(w, status, contentType, body)
	})
}

// ReplaceAnswer does what these requests ask for and answers so instead: a proxy that judges answers denies one so,
// after all was done. The answer has none of InfluxDB's headers. An empty contentType sends none.
func (f *Faults) ReplaceAnswer(method, pathPrefix string, status int, contentType, body string) {
	f.Add(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(httptest.NewRecorder(), r)
		answer(w, status, contentType, body)
	})
}

func answer(w http.ResponseWriter, status int, contentType, body string) {
	w.Header()["Content-Type"] = nil // else net/http guesses one
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // the client may be gone, which is no error here
}

// Redirect sends these requests to the same path below base, https://db:8086 for example; nothing is done.
func (f *Faults) Redirect(method, pathPrefix, base string) {
	f.Add(method, pathPrefix, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, base+r.URL.RequestURI(), http.StatusTemporaryRedirect)
	})
}

// ShiftClock lets the Date of every answer be ahead by this much of the one that the server sets before it calls Serve.
func (f *Faults) ShiftClock(ahead time.Duration) {
	f.Add("", "/", func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if date, err := http.ParseTime(w.Header().Get("Date")); err == nil {
			w.Header().Set("Date", date.Add(ahead).UTC().Format(http.TimeFormat))
		}
		next.ServeHTTP(w, r)
	})
}
