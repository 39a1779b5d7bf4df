package influx

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A connection that nobody uses is closed before a proxy does it, at 60 seconds as a rule: a POST that meets such a close
// on its way has an unknown outcome.
func TestIdleConnectionsAreClosedFirst(t *testing.T) {
	idleConnection(t, func(ctx context.Context, client *Client) error {
		_, err := client.Ping(ctx)
		return err
	})
}

func TestIdleConnectionsOfTokensAreClosedFirst(t *testing.T) {
	idleConnection(t, func(ctx context.Context, client *Client) error { return client.DeleteAuthorization(ctx, "0c", nil) })
}

func idleConnection(t *testing.T, call func(context.Context, *Client) error) {
	synctest.Test(t, func(t *testing.T) {
		client, err := New(Options{URL: "http://db:8086"})
		require.NoError(t, err)
		here, there := net.Pipe()
		client.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return here, nil }
		closed := make(chan time.Time, 1)
		server := http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }),
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					closed <- time.Now()
				}
			},
		}
		listener := &oneConnection{connection: there, done: make(chan struct{})}
		go func() { _ = server.Serve(listener) }()

		require.NoError(t, call(t.Context(), client))
		idle := time.Now()
		require.Equal(t, 50*time.Second, (<-closed).Sub(idle))

		require.NoError(t, server.Close())
	})
}

// oneConnection is a listener that accepts one connection.
type oneConnection struct {
	connection net.Conn
	done       chan struct{}
}

func (l *oneConnection) Accept() (net.Conn, error) {
	if connection := l.connection; connection != nil {
		l.connection = nil
		return connection, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConnection) Close() error {
	close(l.done)
	return nil
}

func (l *oneConnection) Addr() net.Addr { return &net.TCPAddr{} }
