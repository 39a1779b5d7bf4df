package influx

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// What stands in a URL reaches the dialer and the server in their forms, on both ways.
func TestAddressesOfServers(t *testing.T) {
	for _, test := range []struct{ url, dialed, host, path string }{
		{"http://db", "db:80", "db", "/api/v2/"},
		{"http://db:8086/influx", "db:8086", "db:8086", "/influx/api/v2/"},
		{"http://bücher.example", "xn--bcher-kva.example:80", "xn--bcher-kva.example", "/api/v2/"},
		{"http://[::1]:8086", "[::1]:8086", "[::1]:8086", "/api/v2/"},
		{"http://[fe80::1%25eth0]:8086/a%2Fb", "[fe80::1%eth0]:8086", "[fe80::1]:8086", "/a%2Fb/api/v2/"},
		{"http://user:password@db", "db:80", "db", "/api/v2/"},
	} {
		t.Run(test.url, func(t *testing.T) {
			client, err := New(Options{URL: test.url, Token: "t"})
			require.NoError(t, err)
			dialed := make(chan string, 1)
			here, there := net.Pipe()
			client.transport.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
				dialed <- address
				return here, nil
			}
			requests := make(chan *http.Request, 2)
			server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests <- r
				w.WriteHeader(http.StatusNoContent)
			})}
			listener := &oneConnection{connection: there, done: make(chan struct{})}
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(func() { _ = server.Close() })

			require.NoError(t, client.DeleteAuthorization(t.Context(), "0c", nil))
			_, err = client.Me(t.Context())
			require.Error(t, err, "the answer is not a user")

			require.Equal(t, test.dialed, <-dialed)
			for _, path := range []string{"authorizations/0c", "me"} {
				r := <-requests
				require.Equal(t, test.host, r.Host)
				require.Equal(t, test.path+path, r.RequestURI)
				require.Equal(t, "Token t", r.Header.Get("Authorization"))
			}
		})
	}
}
