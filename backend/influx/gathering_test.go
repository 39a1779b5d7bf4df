package influx

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

const manyEntries = 10000

// A list that comes in small pieces wakes the plugin for few of them, takes no longer for that, and holds up no other call.
func TestAListIsReadInLargePieces(t *testing.T) {
	list := listOf(manyEntries)
	few := longAnswer/pieceSize + 1
	for says, test := range map[string]struct {
		every time.Duration
		reads int
	}{
		"as fast as InfluxDB makes it": {300 * time.Microsecond, few + len(list)/pieceSize/4},
		"slower than that":             {50 * time.Millisecond, len(list)/pieceSize + 1},
		"all at once":                  {0, len(list)/headSize + 2},
	} {
		t.Run(says, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &pieces{rest: list, every: test.every, last: time.Now()}
				client := over(t, server, Options{URL: "http://db:8086"})
				require.LessOrEqual(t, scan(t, client), time.Duration(len(list)/pieceSize+1)*test.every+gathering)
				require.LessOrEqual(t, server.reads, test.reads)

				server.rest, server.every = []byte("HTTP/1.1 204 No Content\r\n\r\n"), 0
				begun := time.Now()
				_, err := client.Ping(t.Context())
				require.NoError(t, err)
				require.Zero(t, time.Since(begun))
			})
		})
	}
}

// TLS hands on a record at a time, however much has come: that is not all there is.
func TestAListOverTLSIsNotHeldUp(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	synctest.Test(t, func(t *testing.T) {
		here, there := pipe()
		go func() {
			server := tls.Server(there, certified.TLS)
			_, _ = server.Read(make([]byte, headSize))
			for piece := range slices.Chunk(listOf(manyEntries), pieceSize) {
				_, _ = server.Write(piece)
			}
		}()
		client := over(t, here, Options{URL: "https://example.com", TLS: certified.Client().Transport.(*http.Transport).TLSClientConfig})
		require.LessOrEqual(t, scan(t, client), 2*gathering)
	})
}

// over makes a client with one connection.
func over(t *testing.T, connection net.Conn, o Options) *Client {
	t.Helper()
	o.Token = "t"
	client, err := New(o)
	require.NoError(t, err)
	client.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return connection, nil }
	t.Cleanup(func() { <-time.After(2 * idleTimeout) }) // what closes idle connections ends with them
	return client
}

// scan lists all entries, and says how long that took.
func scan(t *testing.T, client *Client) time.Duration {
	t.Helper()
	begun, count := time.Now(), 0
	require.NoError(t, client.ScanAuthorizations(t.Context(), func(time.Time) {}, func(*Listed) { count++ }))
	require.Equal(t, manyEntries, count)
	return time.Since(begun)
}

// pieceSize is how much of a list InfluxDB sends at once.
const pieceSize = 2 << 10

func listOf(entries int) []byte {
	var list strings.Builder
	list.WriteString(`{"authorizations":[`)
	for n := range entries {
		if n > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `{"id":"%016x","description":"%s","token":"redacted"}`, n, strings.Repeat("d", 200))
	}
	list.WriteString("]}")
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", list.Len(), list.String())
}

// timeless is what a connection has that is never too slow.
type timeless struct{ net.Conn }

func (timeless) Close() error                     { return nil }
func (timeless) SetDeadline(time.Time) error      { return nil }
func (timeless) SetReadDeadline(time.Time) error  { return nil }
func (timeless) SetWriteDeadline(time.Time) error { return nil }
func (timeless) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (timeless) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

// pieces is a connection to a server that answers whatever is written with a piece at a time.
type pieces struct {
	timeless

	rest  []byte
	every time.Duration // zero: all of it comes at once
	last  time.Time     // when the last piece that was read had come
	reads int
}

func (p *pieces) Read(to []byte) (int, error) {
	p.reads++
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	there := len(p.rest)
	if p.every > 0 {
		<-time.After(time.Until(p.last.Add(p.every)))
		come := min(time.Since(p.last)/p.every, time.Duration(len(to)/pieceSize))
		p.last = p.last.Add(come * p.every)
		there = int(come) * pieceSize
	}
	n := copy(to[:min(len(to), there)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pieces) Write(request []byte) (int, error) { return len(request), nil }

// pipe is a connection that holds, as a socket does, what was written and not read yet.
func pipe() (here, there net.Conn) {
	forth, back := newHeld(), newHeld()
	return &end{out: forth, in: back}, &end{out: back, in: forth}
}

type end struct {
	timeless

	out, in *held
}

func (e *end) Write(p []byte) (int, error) { return e.out.write(p), nil }
func (e *end) Read(p []byte) (int, error)  { return e.in.read(p), nil }

// held is one direction of a pipe.
type held struct {
	mu   sync.Mutex
	come *sync.Cond
	rest bytes.Buffer
}

func newHeld() *held {
	h := &held{}
	h.come = sync.NewCond(&h.mu)
	return h
}

func (h *held) write(p []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	defer h.come.Signal()
	n, _ := h.rest.Write(p)
	return n
}

func (h *held) read(p []byte) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.rest.Len() == 0 {
		h.come.Wait()
	}
	n, _ := h.rest.Read(p)
	return n
}
