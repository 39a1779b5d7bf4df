package influx_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestNewRefusesWhatIsNoURL(t *testing.T) {
	for _, address := range []string{"", "db:8086", "//db:8086", "ftp://db", "http://", "http:///influx", "http://db:port", "unix:///run/influxdb"} {
		_, err := influx.New(influx.Options{URL: address})
		require.Error(t, err, address)
		require.ErrorContains(t, err, "is not an http or https URL", address)
	}
}

func TestURLsAreCleaned(t *testing.T) {
	for address, clean := range map[string]string{
		"http://db:8086":                 "http://db:8086",
		"http://db:8086/":                "http://db:8086",
		"http://db:8086//":               "http://db:8086",
		"https://db:8086/influx//":       "https://db:8086/influx",
		"https://db//a//b":               "https://db/a/b",
		"https://db/a/../b/./":           "https://db/b",
		"https://db/../..":               "https://db",
		"https://[::1]:8086/a%2Fb/c%20d": "https://[::1]:8086/a%2Fb/c%20d",
		"https://db/é/":                  "https://db/%C3%A9",
		"nonsense//":                     "nonsense",
	} {
		require.Equal(t, clean, influx.CleanURL(address), address)
	}
	client := dial(t, influx.Options{URL: "https://db:8086/a/..//influx//"})
	require.Equal(t, "https://db:8086/influx", client.URL())
}

func TestTokensThatAHeaderCanHold(t *testing.T) {
	for token, valid := range map[string]bool{
		testToken: true, "": true, "!~": true, "a b": false, "a\n": false, "a\tb": false, "tokén": false, "a\x7f": false,
	} {
		require.Equal(t, valid, influx.ValidToken(token), "%q", token)
	}
}

func TestCallsSayWhoTheyAreFrom(t *testing.T) {
	header := make(chan http.Header, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header <- r.Header
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(srv.Close)
	client := dial(t, influx.Options{URL: srv.URL, UserAgent: "vault-plugin/1.2.3"})
	require.NoError(t, client.DeleteAuthorization(t.Context(), "0c", nil))
	sent := <-header
	require.Equal(t, "Token "+testToken, sent.Get("Authorization"))
	require.Contains(t, sent.Get("User-Agent"), "vault-plugin/1.2.3")
}

// Behind a reverse proxy InfluxDB has a base path, which operators write with and without a slash.
func TestBasePath(t *testing.T) {
	srv := influxtest.New(t)
	target, err := url.Parse(srv.URL)
	require.NoError(t, err)
	proxy := httptest.NewServer(http.StripPrefix("/db/influx", httputil.NewSingleHostReverseProxy(target)))
	t.Cleanup(proxy.Close)
	for _, base := range []string{"/db/influx", "/db/influx/", "//db/x/..//influx//"} {
		srv.ResetRequests()
		client := dial(t, influx.Options{URL: proxy.URL + base, Token: srv.RootToken()})
		t.Cleanup(client.Close)
		server, err := client.Ping(t.Context())
		require.NoError(t, err)
		require.Equal(t, "2.9.1", server.Version)
		created, err := client.CreateAuthorization(t.Context(), order(srv))
		require.NoError(t, err)
		require.NoError(t, client.DeleteAuthorization(t.Context(), created.ID, nil))
		err = client.DeleteAuthorization(t.Context(), created.ID, nil)
		require.True(t, influx.Is(err, influx.Gone))
		require.ErrorContains(t, err, "DELETE "+proxy.URL+"/db/influx/api/v2/authorizations/"+created.ID+": 404")
		require.Equal(t, "/ping", srv.Requests()[0].Path)
	}
}

// A wrong base path answers 404 in many ways, and none of them passes for a deletion.
func TestWrongBasePathIsNotGone(t *testing.T) {
	srv := influxtest.New(t)
	for base, kind := range map[string]influx.Kind{"/api/v2": influx.NoSuchPath, "/influx": influx.NotInfluxDB} {
		client := dial(t, influx.Options{URL: srv.URL + base, Token: srv.RootToken()})
		e := failed(t, client.DeleteAuthorization(t.Context(), srv.RootID(), nil))
		require.Equal(t, http.StatusNotFound, e.Status)
		require.Equal(t, kind, e.Kind, base)
	}
	require.Len(t, srv.Tokens(), 1)
}

// MaxConnections bounds the calls under way, also where the server would take many on one connection.
func TestCallsUnderWayAreBounded(t *testing.T) {
	const most = 3
	for says, options := range map[string][]influxtest.Option{
		"http":                    nil,
		"https":                   {influxtest.TLS(&tls.Config{})},
		"https with HTTP/2 there": {influxtest.TLS(&tls.Config{NextProtos: []string{"h2", "http/1.1"}})},
	} {
		t.Run(says, func(t *testing.T) {
			srv := influxtest.New(t, options...)
			release := srv.Stall("GET", "/api/v2/me")
			client := dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken(), MaxConnections: most,
				TLS: &tls.Config{InsecureSkipVerify: true}})
			answered := make(chan error, most)
			for range most {
				go func() {
					_, err := client.Me(t.Context())
					answered <- err
				}()
			}
			eventually(t, func() bool { return len(srv.Requests()) == most }, "calls under way")

			short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := client.CreateAuthorization(short, order(srv)) // would be answered at once

			e := failed(t, err)
			require.Equal(t, influx.Unavailable, e.Kind)
			require.True(t, e.NotApplied(), "it never got a connection")
			require.ErrorIs(t, e, context.DeadlineExceeded)
			require.Len(t, srv.Requests(), most)
			release()
			for range most {
				require.NoError(t, <-answered)
			}
			_, err = client.CreateAuthorization(t.Context(), order(srv))
			require.NoError(t, err, "the next call gets a connection that is free again")
		})
	}
}

// A connection serves one call after the other, refused ones and long answers too.
func TestConnectionsAreUsedAgain(t *testing.T) {
	srv := influxtest.New(t)
	for i := range 20 { // so many that their list comes in chunks
		srv.AddOrg(fmt.Sprintf("org-%d", i))
	}
	var (
		mu        sync.Mutex
		addresses = map[string]bool{}
	)
	srv.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		mu.Lock()
		addresses[r.RemoteAddr] = true
		mu.Unlock()
		if r.URL.Path == "/api/v2/resources" {
			http.Error(w, strings.Repeat("a long page ", 1000), http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
	client := connect(t, srv)
	for range 10 {
		_, err := client.Organizations(t.Context())
		require.NoError(t, err)
		_, err = client.ResourceTypes(t.Context())
		require.True(t, influx.Is(err, influx.Unavailable))
		require.True(t, influx.Is(client.DeleteAuthorization(t.Context(), "0000000000000001", nil), influx.Gone))
		_, err = client.Ping(t.Context())
		require.NoError(t, err)
	}
	mu.Lock()
	defer mu.Unlock()
	require.Len(t, addresses, 1)
}

// Whatever happens to calls, nothing is left of them.
func TestNothingIsLeftOfFailedCalls(t *testing.T) {
	srv := influxtest.New(t)
	srv.LoseAnswer("", "/")
	for says, address := range map[string]string{"nobody listens": deadURL, "every answer is lost": srv.URL} {
		t.Run(says, func(t *testing.T) {
			client := dial(t, influx.Options{URL: address})
			_, err := client.Me(t.Context())
			require.Error(t, err)
			client.Close()
			goroutines, files := runtime.NumGoroutine(), openFiles()
			for range 200 {
				_, err := client.Me(t.Context())
				require.True(t, influx.Is(err, influx.Unavailable))
			}
			const few = 10 // the test's own
			eventually(t, func() bool { return runtime.NumGoroutine() < goroutines+few && openFiles() < files+few }, "goroutines and files")
		})
	}
}

// openFiles counts this process's open files, sockets among them; 0 where the system does not tell.
func openFiles() int {
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(files)
}

func TestAddressesKeepIDsApart(t *testing.T) {
	srv := influxtest.New(t)
	client := connect(t, srv)
	_, err := client.GetAuthorization(t.Context(), "../users?x#y")
	require.Error(t, err)
	require.Equal(t, influxtest.Request{Method: "GET", Path: "/api/v2/authorizations/../users?x#y"}, srv.Requests()[0])
	require.True(t, strings.HasSuffix(strings.SplitN(err.Error(), ": ", 2)[0], "/authorizations/..%2Fusers%3Fx%23y"), err)
}
