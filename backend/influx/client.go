// Package influx speaks InfluxDB's HTTP API: the few verbs that the engine needs, with errors that say what
// an answer proves. It knows nothing of Vault.
//
// It stands on influxdb-client-go's HTTP service, over an http.Client of its own. It
// does not use that library's generated management calls: they lose the HTTP status, panic on an error body
// without a message, and look buckets up across organizations. Below is fasthttp, unless a proxy stands before InfluxDB. What
// each lease costs, the calls for one authorization, goes to it past that service and the http.Client.
package influx

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	apihttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// Limits of one client: times, connections, bytes.
const (
	// DefaultTimeout bounds one call when Options.Timeout is zero.
	DefaultTimeout = 10 * time.Second
	// DefaultMaxConnections is used when Options.MaxConnections is zero.
	DefaultMaxConnections = 64
	// maxBody bounds an answer that is read whole. The largest is a page of 100 buckets, about 60 kB.
	maxBody = 4 << 20
	// maxErrorBody bounds what is read of an answer that is not a success.
	maxErrorBody = 64 << 10
	// idleTimeout is how long a connection stays open that nobody uses. Proxies close theirs at 60 seconds as a rule,
	// and a POST that meets such a close on its way has an unknown outcome.
	idleTimeout = 50 * time.Second
	// deletionShare is which part of the connections deletions may hold at once: one in so many. Vault sends up to
	// 200 revocations together, and a mint must not queue behind all of them. Few are enough: on two processors
	// InfluxDB was measured to delete 2411 a second with 8 at once, and 2500 with 32.
	deletionShare = 4
)

// apiPath is where the library has InfluxDB 2's API, below the base URL.
const apiPath = "/api/v2/"

// Options say how to reach one InfluxDB.
type Options struct {
	// URL is the base address, with or without a base path: https://db:8086, https://proxy/influx.
	URL string
	// Token authorizes every call.
	Token string
	// TLS is used for https addresses; nil means the system's defaults.
	TLS *tls.Config
	// Timeout bounds one call, from its wait for a connection to the last byte of the answer.
	Timeout time.Duration
	// MaxConnections bounds the connections, and so the calls that are under way at once.
	MaxConnections int
	// UserAgent says who calls.
	UserAgent string
}

// Client makes calls with one token to one InfluxDB. It is safe for concurrent use.
type Client struct {
	service apihttp.Service
	http    *http.Client
	// transport is what http makes its calls on; nil where a proxy stands before InfluxDB, which net/http's own knows to
	// speak to.
	transport *lanes
	// header is what each call says, and path where the API is on the server.
	header  http.Header
	path    string
	base    string
	token   string
	timeout time.Duration
	// deletions holds an element for each deletion under way.
	deletions chan struct{}
}

// New returns a client; it makes no call. The only error is a URL that can't be used.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("%q is not an http or https URL", o.URL)
	}
	o.Timeout, o.MaxConnections = cmp.Or(o.Timeout, DefaultTimeout), cmp.Or(o.MaxConnections, DefaultMaxConnections)
	c := &Client{
		base:      CleanURL(o.URL),
		token:     o.Token,
		timeout:   o.Timeout,
		deletions: make(chan struct{}, max(1, o.MaxConnections/deletionShare)),
		http:      &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	// The library resolves "api/v2/" against the base, which drops a last path element without a slash.
	c.service = apihttp.NewService(c.base+"/", "Token "+o.Token, apihttp.DefaultOptions().SetHTTPClient(c.http))
	api, err := url.Parse(c.service.ServerAPIURL())
	if err != nil {
		return nil, fmt.Errorf("%q is not an http or https URL", o.URL)
	}
	c.path = api.RequestURI()
	c.header = http.Header{
		"Authorization":   {c.service.Authorization()},
		"User-Agent":      {o.UserAgent},
		"Accept":          {"application/json"}, // Telegraf configurations come as TOML otherwise
		"Accept-Encoding": {"identity"},
	}
	if proxied(base) {
		c.http.Transport = newProxiedTransport(o)
		return c, nil
	}
	c.transport = newLanes(base, o, c.header)
	c.http.Transport = c.transport
	return c, nil
}

// proxied reports whether the environment names a proxy for an address.
func proxied(base *url.URL) bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: base})
	return proxy != nil || err != nil
}

func newProxiedTransport(o Options) *http.Transport {
	dialer := &net.Dialer{Timeout: o.Timeout}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSClientConfig:     o.TLS,
		TLSHandshakeTimeout: o.Timeout,
		// No HTTP/2, which would put any number of calls on one connection.
		MaxConnsPerHost:     o.MaxConnections,
		MaxIdleConns:        o.MaxConnections,
		MaxIdleConnsPerHost: o.MaxConnections,
		IdleConnTimeout:     idleTimeout,
	}
}

// ValidToken reports whether a token can stand in an HTTP header.
func ValidToken(token string) bool {
	return !slices.ContainsFunc([]byte(token), func(c byte) bool { return c <= ' ' || c > '~' })
}

// CleanURL returns a base URL in the form to which a path can be appended: without a slash at its end, "//" or "..",
// which InfluxDB and proxies answer with a 404. What is no URL comes back without its last slashes.
func CleanURL(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		address = u.JoinPath().String()
	}
	return strings.TrimRight(address, "/")
}

// URL is the address the client was made for, in the form of CleanURL.
func (c *Client) URL() string { return c.base }

// Close gives idle connections back. Calls under way go on.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Timeout is how long one call may take.
func (c *Client) Timeout() time.Duration { return c.timeout }

// withTimeout bounds one call by the client's timeout.
func (c *Client) withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}
