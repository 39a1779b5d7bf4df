package influx

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/sync/semaphore"
)

// headSize bounds the head of an answer.
const headSize = 16 << 10

// lanes are the ways to one server, as many as connections are allowed, each for one call at a time. A lane is a
// fasthttp.HostClient with one connection, because nobody can be made to stop waiting, for a connection or an answer, in
// one with many.
type lanes struct {
	// DialContext opens a connection.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	address string
	host    string // as requests name it
	// usual is the header of a call that brings none.
	usual fasthttp.RequestHeader
	free  *semaphore.Weighted

	mu     sync.Mutex
	idle   []*lane // the one used last is the last
	closed bool
}

func newLanes(base *url.URL, o Options, usual http.Header) *lanes {
	server := *base
	if host, err := httpguts.PunycodeHostPort(base.Host); err == nil {
		server.Host = host
	}
	dialer := &net.Dialer{Timeout: o.Timeout}
	p := &lanes{DialContext: dialer.DialContext, free: semaphore.NewWeighted(int64(o.MaxConnections))}
	port := "80"
	if base.Scheme == "https" {
		port, p.DialContext = "443", (&tls.Dialer{NetDialer: dialer, Config: o.TLS}).DialContext
	}
	p.address = net.JoinHostPort(server.Hostname(), cmp.Or(server.Port(), port))
	_, zone, _ := strings.Cut(server.Hostname(), "%") // of an IPv6 address, which means something on this machine alone
	p.host = strings.Replace(server.Host, "%"+zone, "", 1)
	addAll(&p.usual, usual)
	return p
}

// pin holds a lane from its first call on, so that those that follow go over the same connection. One is made at a time.
type pin struct{ lane *lane }

type pinKey struct{}

// pinned returns a context whose calls have a pin.
func pinned(ctx context.Context) (context.Context, *pin) {
	p := &pin{}
	return context.WithValue(ctx, pinKey{}, p), p
}

// connection is the one that the last call went over; nil where there was none, or where none is held, as with a proxy.
func (p *pin) connection() *connection {
	if p.lane == nil {
		return nil
	}
	return p.lane.connection
}

func (p *pin) release() {
	if l := p.lane; l != nil {
		p.lane, l.held = nil, false
		l.release()
	}
}

// acquire waits for a lane, which is the caller's until its release.
func (p *lanes) acquire(ctx context.Context, deadline time.Time) (*lane, error) {
	held, _ := ctx.Value(pinKey{}).(*pin)
	if held != nil && held.lane != nil {
		return held.lane, ctx.Err()
	}
	l, err := p.take(ctx, deadline)
	if held != nil && err == nil {
		held.lane, l.held = l, true
	}
	return l, err
}

func (p *lanes) take(ctx context.Context, deadline time.Time) (*lane, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !p.free.TryAcquire(1) {
		ctx, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		if err := p.free.Acquire(ctx, 1); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		l := p.idle[last]
		p.idle = p.idle[:last]
		return l, nil
	}
	l := &lane{lanes: p}
	l.client = fasthttp.HostClient{
		DialTimeout:               l.dial,
		MaxConns:                  1,
		MaxIdemponentCallAttempts: 1,               // nothing is sent again
		MaxIdleConnDuration:       idleTimeout - 1, // what is idle for longer is closed
		ReadBufferSize:            headSize,
		MaxResponseBodySize:       maxBody,
		DisablePathNormalizing:    true,
		NoDefaultUserAgentHeader:  true,
		SecureErrorLogMessage:     true,
	}
	return l, nil
}

// CloseIdleConnections closes those that are idle, and from now on each once its call has ended.
func (p *lanes) CloseIdleConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, l := range p.idle {
		l.client.CloseIdleConnections()
	}
}

// lane is the way of one call at a time.
type lane struct {
	lanes      *lanes
	client     fasthttp.HostClient
	connection *connection // nil before the first
	request    fasthttp.Request
	response   fasthttp.Response
	// held says that the lane stays with a pin when a call ends.
	held bool

	// The call under way: its context; whether anything was sent; what ends the watch for the end of the context, nil
	// where that has none; and how the connection failed, which fasthttp doesn't always tell.
	ctx    context.Context
	sent   bool
	stop   func() bool
	failed error
}

// ask makes a call, up to the end of its answer, or of its head where the body is streamed. A nil header is the usual one.
func (l *lane) ask(ctx context.Context, deadline time.Time, method, path string, header http.Header, body []byte) error {
	l.request.Reset()
	if header == nil {
		l.lanes.usual.CopyTo(&l.request.Header)
	}
	l.request.UseHostHeader = true
	l.request.Header.SetMethod(method)
	l.request.Header.SetRequestURI(path)
	l.request.Header.SetHost(l.lanes.host)
	addAll(&l.request.Header, header)
	if len(body) > 0 {
		l.request.Header.SetContentType("application/json")
		l.request.SetBodyRaw(body)
	}
	l.response.Header.SetNoDefaultContentType(true)
	if l.connection != nil && l.connection.stale() {
		l.client.CloseIdleConnections()
	}
	l.ctx, l.sent, l.stop, l.failed = ctx, false, nil, nil
	return l.cause(l.client.DoDeadline(&l.request, &l.response, deadline))
}

func addAll(to *fasthttp.RequestHeader, header http.Header) {
	for name, values := range header {
		for _, value := range values {
			to.Add(name, value)
		}
	}
}

// cause returns why a call failed: that its caller ended or its time was over, before what that made of the connection.
func (l *lane) cause(err error) error {
	switch {
	case err == nil:
		return nil
	case l.ctx.Err() != nil:
		return l.ctx.Err()
	case errors.Is(err, fasthttp.ErrTimeout), errors.Is(l.failed, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, fasthttp.ErrConnectionClosed): // fasthttp takes each failure to read the first byte for the end
		return cmp.Or(l.failed, io.EOF)
	}
	return err
}

// Read reads the body of the answer.
func (l *lane) Read(p []byte) (int, error) {
	body := l.response.BodyStream()
	if body == nil {
		return 0, io.EOF
	}
	n, err := body.Read(p)
	if err == io.EOF {
		return n, err
	}
	return n, l.cause(err)
}

// isOfBody reports whether a call failed with the body of an answer, whose head was read.
func isOfBody(err error) bool {
	var broken fasthttp.ErrBrokenChunk
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, fasthttp.ErrBodyTooLarge) || errors.As(err, &broken)
}

// release ends a call. Its connection serves the next one where the answer was read to its end.
func (l *lane) release() {
	aborted := l.stop != nil && !l.stop()
	l.stop = nil
	l.response.Reset()
	p := l.lanes
	if l.held {
		if aborted {
			l.client.CloseIdleConnections()
		}
		return
	}
	defer p.free.Release(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if aborted || p.closed {
		l.client.CloseIdleConnections()
	}
	p.idle = append(p.idle, l)
}

// dial opens a connection for the call under way.
func (l *lane) dial(_ string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, timeout)
	defer cancel()
	opened, err := l.lanes.DialContext(ctx, "tcp", l.lanes.address)
	if err != nil {
		return nil, err
	}
	socket := opened
	if secured, ok := opened.(*tls.Conn); ok {
		socket = secured.NetConn()
	}
	l.connection = &connection{opened, l, staleness(socket), func() { _ = socket.Close() }}
	return l.connection, nil
}

// connection is that of a lane, above TLS: what it writes is part of a call.
type connection struct {
	net.Conn
	lane *lane
	// stale and abort look at and close what is below TLS.
	stale func() bool
	abort func()
}

// Write implements net.Conn. From the first byte of a call on, the end of its context closes the connection.
func (c *connection) Write(p []byte) (int, error) {
	if l := c.lane; !l.sent {
		l.sent = true
		if l.ctx.Done() != nil {
			l.stop = context.AfterFunc(l.ctx, c.abort)
		}
	}
	n, err := c.Conn.Write(p)
	c.lane.failed = err
	return n, err
}

// Read implements net.Conn.
func (c *connection) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.lane.failed = err
	return n, err
}
