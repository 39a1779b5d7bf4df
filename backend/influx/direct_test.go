package influx_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// A server that is started again, or a proxy that is impatient, closes idle connections. A POST on one of those would be
// lost, and nobody would know whether it was carried out.
func TestAConnectionThatTheServerClosedIsNotUsed(t *testing.T) {
	for says, start := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(says, func(t *testing.T) {
			posts := 0
			srv := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					posts++
					w.WriteHeader(http.StatusCreated)
				}
				_, _ = io.WriteString(w, `{"id":"0c","token":"`+testToken+`"}`)
			}))
			t.Cleanup(srv.Close)
			client := dial(t, influx.Options{URL: srv.URL, TLS: &tls.Config{InsecureSkipVerify: true}})
			t.Cleanup(client.Close)
			const times = 20
			for range times {
				_, err := client.CreateAuthorization(t.Context(), influx.NewAuthorization{})
				require.NoError(t, err)
				srv.CloseClientConnections()
				_, err = client.Me(t.Context())
				require.NoError(t, err)
				srv.CloseClientConnections()
			}
			require.Equal(t, times, posts)
		})
	}
}

// Answers that come in pieces, after others that only announce them, or with a long head, are read as any other, on both
// ways; and their connection serves on.
func TestAnswersInEveryForm(t *testing.T) {
	var addresses atomic.Pointer[map[string]bool]
	addresses.Store(&map[string]bool{})
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		(*addresses.Load())[r.RemoteAddr] = true
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", jsonType)
		w.Header().Set("Content-Security-Policy", strings.Repeat("x", 10<<10))
		w.Header().Set("Trailer", "X-Checksum")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		for _, piece := range []string{`{"id":"0c",`, `"status":"inactive",`, `"token":"` + testToken + `"}`} {
			_, _ = io.WriteString(w, piece)
			w.(http.Flusher).Flush()
		}
		w.Header().Set("X-Checksum", "1")
	})
	for range 3 {
		created, err := client.CreateAuthorization(t.Context(), influx.NewAuthorization{})
		require.NoError(t, err)
		require.Equal(t, testToken, created.Token)
		me, err := client.Me(t.Context())
		require.NoError(t, err)
		require.Equal(t, "0c", me.ID)
	}
	require.Len(t, *addresses.Load(), 1)
}

// What is wrong with an answer's form does not make the next call fail, and leaves the outcome of a creation unknown.
func TestAnswersThatAreCutOffOrTooLong(t *testing.T) {
	for says, answer := range map[string]string{
		"a body that is cut off":        "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"id\":",
		"a piece that is cut off":       "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"id\":",
		"no last piece":                 "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
		"a length beyond every answer":  "HTTP/1.1 201 Created\r\nContent-Length: 99999999999\r\n\r\n{",
		"a body without an end":         "HTTP/1.1 201 Created\r\n\r\n{\"id\":\"" + strings.Repeat("x", 5<<20),
		"a head that is cut off":        "HTTP/1.1 201 Cre",
		"a head beyond every proxy's":   "HTTP/1.1 201 Created\r\nX-Long: " + strings.Repeat("x", 64<<10) + "\r\n\r\n{}",
		"announcements without an end":  strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 1000),
		"something that is no HTTP":     "SSH-2.0-OpenSSH_9.6\r\n",
		"a body that nobody asked for":  "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"another protocol from here on": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
	} {
		t.Run(says, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			connections, closed := make(chan struct{}, 100), make(chan struct{}, 100)
			go func() {
				for {
					connection, err := listener.Accept()
					if err != nil {
						return
					}
					connections <- struct{}{}
					_, _ = connection.Read(make([]byte, 4096))
					_, _ = io.WriteString(connection, answer)
					_ = connection.Close()
					closed <- struct{}{}
				}
			}()
			client := dial(t, influx.Options{URL: "http://" + listener.Addr().String()})
			for range 2 {
				_, err := client.CreateAuthorization(t.Context(), influx.NewAuthorization{})
				require.False(t, failed(t, err).NotApplied())
				select {
				case <-closed:
				case <-time.After(time.Minute):
					require.Fail(t, "it was asked on the last connection")
				}
			}
			require.Len(t, connections, 2, "a call each")
		})
	}
}

// A caller that ends while others hold every connection gets its answer at once.
func TestACallerThatEndsWaitsForNoConnection(t *testing.T) {
	srv := influxtest.New(t)
	client := dial(t, influx.Options{URL: srv.URL, Token: srv.RootToken(), MaxConnections: 1})
	release := srv.Stall(http.MethodGet, "/")
	defer release()
	go func() { _, _ = client.GetAuthorization(t.Context(), srv.RootID()) }()
	eventually(t, func() bool { return len(srv.Requests()) == 1 }, "a call under way")

	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() {
		_, err := client.CreateAuthorization(ctx, order(srv))
		answered <- err
	}()
	cancel()
	e := failed(t, <-answered)
	require.ErrorIs(t, e, context.Canceled)
	require.True(t, e.NotApplied())
}

// A caller that ends while its answer comes takes no other call's connection with it.
func TestACallerThatEndsWithItsAnswerSpoilsNoOtherCall(t *testing.T) {
	var end atomic.Pointer[context.CancelFunc]
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, `{"id":"0c","token":"`+testToken+`"}`)
		w.(http.Flusher).Flush()
		(*end.Load())()
	})
	for range 500 {
		ctx, cancel := context.WithCancel(t.Context())
		end.Store(&cancel)
		_, _ = client.GetAuthorization(ctx, "0c") // succeeds or not
		nothing := context.CancelFunc(func() {})
		end.Store(&nothing)
		_, err := client.CreateAuthorization(t.Context(), influx.NewAuthorization{})
		require.NoError(t, err)
		cancel()
	}
}

// Nobody is asked to compress, on either way.
func TestAnswersAreAskedForAsTheyAre(t *testing.T) {
	srv := influxtest.New(t)
	asked := make(chan []string, 2)
	srv.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		asked <- r.Header.Values("Accept-Encoding")
		next.ServeHTTP(w, r)
	})
	client := connect(t, srv)
	_, err := client.GetAuthorization(t.Context(), srv.RootID())
	require.NoError(t, err)
	_, err = client.Me(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"identity"}, <-asked)
	require.Equal(t, []string{"identity"}, <-asked)
}

// proxiedURL is set for a process of its own: net/http reads the proxy variables once.
const proxiedURL = "TEST_PROXIED_URL"

// The proxy variables of the process apply as they do for any program in Go: an http address is asked of the proxy, an
// https one through a tunnel, with the proxy's password; what NO_PROXY names is reached without.
func TestProxyVariables(t *testing.T) {
	plain, secured := influxtest.New(t), influxtest.New(t, influxtest.TLS(&tls.Config{}))
	var proxiedCalls atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "Basic bWU6cHc=" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		proxiedCalls.Add(1)
		if r.Method == http.MethodConnect {
			tunnel(t, w, secured.URL)
			return
		}
		require.Equal(t, "influxdb.example:8086", r.URL.Host)
		target, _ := url.Parse(plain.URL)
		httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	through := "http://me:pw@" + proxy.Listener.Addr().String()
	for _, test := range []struct {
		says, address string
		srv           *influxtest.Server
		environment   []string
		proxied       bool
	}{
		{"http", "http://influxdb.example:8086", plain, []string{"HTTP_PROXY=" + through}, true},
		{"https", "https://influxdb.example", secured, []string{"https_proxy=" + through}, true},
		{"this machine", plain.URL, plain, []string{"HTTP_PROXY=" + through}, false},
		{"the other scheme's proxy", secured.URL, secured, []string{"HTTP_PROXY=" + through}, false},
	} {
		t.Run(test.says, func(t *testing.T) {
			proxiedCalls.Store(0)
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxiedProcess$")
			child.Env = append(test.environment, proxiedURL+"="+test.address, "TEST_TOKEN="+test.srv.RootToken(),
				"TEST_ORG="+test.srv.OrgID(), "PATH="+os.Getenv("PATH"), "TMPDIR="+t.TempDir())
			output, err := child.CombinedOutput()
			require.NoError(t, err, "%s", output)
			require.Contains(t, string(output), "PASS")
			require.Equal(t, test.proxied, proxiedCalls.Load() > 0)
			require.Len(t, test.srv.Tokens(), 1)
		})
	}
}

// TestProxiedProcess is the process that TestProxyVariables starts.
func TestProxiedProcess(t *testing.T) {
	address := os.Getenv(proxiedURL)
	if address == "" {
		t.Skip("it needs TestProxyVariables")
	}
	client, err := influx.New(influx.Options{URL: address, Token: os.Getenv("TEST_TOKEN"), TLS: &tls.Config{InsecureSkipVerify: true}})
	require.NoError(t, err)
	created, err := client.CreateAuthorization(t.Context(), influx.NewAuthorization{OrgID: os.Getenv("TEST_ORG"), Permissions: []influx.Permission{
		{Action: "read", Resource: influx.Resource{Type: "buckets", OrgID: os.Getenv("TEST_ORG")}},
	}})
	require.NoError(t, err)
	_, err = client.GetAuthorization(t.Context(), created.ID)
	require.NoError(t, err)
	require.NoError(t, client.DeleteAuthorization(t.Context(), created.ID, nil))
	_, err = client.Me(t.Context())
	require.NoError(t, err)
}

// tunnel is what a proxy does for CONNECT.
func tunnel(t *testing.T, w http.ResponseWriter, to string) {
	server, err := net.Dial("tcp", strings.TrimPrefix(to, "https://"))
	require.NoError(t, err)
	caller, _, err := w.(http.Hijacker).Hijack()
	require.NoError(t, err)
	_, _ = fmt.Fprint(caller, "HTTP/1.1 200 OK\r\n\r\n")
	go func() { _, _ = io.Copy(server, caller); _ = server.Close() }()
	_, _ = io.Copy(caller, server)
	_ = caller.Close()
}
