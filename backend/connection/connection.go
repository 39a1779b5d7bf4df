// Package connection holds the InfluxDBs in use: their clients, the names looked up through them, and the organization
// and the owner of a role's tokens.
package connection

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Connection is a stored connection in use. It belongs to one revision: a write or a rotation of the root token makes
// another one.
type Connection struct {
	*store.Connection
	dialed
	// ApplicationURL is where applications reach this InfluxDB, in a form to which a path can be appended.
	ApplicationURL string
	Names          *Names
	// Visibility is the pause between scans for mints of unknown outcome that were not shown every token.
	Visibility *background.Backoff
	// Suggest has the error about a name that is not found tell similar ones that are there: it is for those who write the
	// configuration or a role, and not for those who ask for a token.
	Suggest  bool
	identity *identity
	// staleOrg says that InfluxDB does not know the default organization any more that was found when the connection was
	// verified: it is looked up by its name again.
	staleOrg *atomic.Bool
}

// Dial makes a connection that nobody else shares; the caller closes its Client. It makes no call.
func (p *Pool) Dial(c *store.Connection) (*Connection, error) {
	tlsConfig, err := TLSConfig(c)
	if err != nil {
		return nil, err
	}
	clients, err := dialTokens(c, influx.Options{
		URL:            c.URL,
		Token:          c.Token,
		TLS:            tlsConfig,
		Timeout:        time.Duration(c.RequestTimeout) * time.Second,
		MaxConnections: c.MaxOpenConnections,
		UserAgent:      p.userAgent,
	}, p.Now)
	if err != nil {
		return nil, problem.InField("url", "%v", err)
	}
	return &Connection{
		Connection: c, dialed: clients, ApplicationURL: influx.CleanURL(cmp.Or(c.ExternalURL, c.URL)),
		Names: newNames(clients.V2), Visibility: &background.Backoff{},
		identity: newIdentity(p.Now), staleOrg: &atomic.Bool{},
	}, nil
}

// Rejected reports whether a call failed because InfluxDB does not accept the root token: it may have been rotated since
// it was read.
func Rejected(err error) bool {
	return influx.Is(err, influx.BadToken) || influx.Is(err, influx.InactiveToken)
}

var tlsVersions = map[string]uint16{"": tls.VersionTLS12, "tls12": tls.VersionTLS12, "tls13": tls.VersionTLS13}

// TLSConfig makes the TLS configuration of a connection. The error names every field that can't be used, and repeats no key.
func TLSConfig(c *store.Connection) (*tls.Config, error) {
	config := &tls.Config{ServerName: c.TLSServerName, InsecureSkipVerify: c.TLSSkipVerify}
	var problems problem.List
	version, known := tlsVersions[c.TLSMinVersion]
	if !known {
		problems.Add("tls_min_version", "%q is not known; allowed: tls12, tls13", c.TLSMinVersion)
	}
	config.MinVersion = version
	if c.CACert != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(c.CACert)) {
			problems.Add("ca_cert", "no certificate in it; allowed: one or more certificates in PEM form")
		}
	}
	switch {
	case c.ClientCert == "" && c.ClientKey == "":
	case c.ClientKey == "":
		problems.Add("client_key", "missing; client_cert needs its key")
	case c.ClientCert == "":
		problems.Add("client_cert", "missing; client_key needs its certificate")
	default:
		pair, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey))
		if err != nil {
			problems.Add("client_cert", "does not form a pair with client_key: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, problems.Err()
}

// cacheSize is how many stored connections are cached: those used last.
const cacheSize = 100

// Pool holds the connections of one mount: what is stored of them, cached, and one client for each, which lives as long
// as the stored revision stays the same.
type Pool struct {
	// Now is the clock; NewPool sets the machine's.
	Now func() time.Time

	userAgent string
	stored    *store.Cache[store.Connection]

	mu   sync.Mutex
	open map[string]*Connection // by ID

	// config holds one element while the configuration is locked.
	config chan struct{}
}

// NewPool makes a pool whose clients call themselves userAgent.
func NewPool(userAgent string) *Pool {
	return &Pool{
		Now:       time.Now,
		userAgent: userAgent,
		stored:    store.NewCache[store.Connection](cacheSize),
		open:      map[string]*Connection{},
		config:    make(chan struct{}, 1),
	}
}

// Current returns the connection that tokens are issued on. Where there is none the error is NotConfigured's.
func (p *Pool) Current(ctx context.Context, s logical.Storage, mountPath string) (*Connection, error) {
	config, err := p.Config(ctx, s)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, NotConfigured(mountPath)
	}
	return p.Open(config)
}

// NotConfigured says that the mount has no connection.
func NotConfigured(mountPath string) error {
	return problem.BadInput("influxdb is not configured: write url, token and org to %sconfig first", mountPath)
}

// Config returns the stored connection that tokens are issued on; nil when there is none. Nobody may change it.
func (p *Pool) Config(ctx context.Context, s logical.Storage) (*store.Connection, error) {
	return p.stored.Get(store.ConfigKey, func() (*store.Connection, error) { return store.Config.Get(ctx, s) })
}

// ByID returns the connection that issued something, whether it is the current one or a former one.
func (p *Pool) ByID(ctx context.Context, s logical.Storage, id string) (*Connection, error) {
	c, err := p.Config(ctx, s)
	if err != nil && !store.IsUnreadable(err) { // then a former one can be read all the same
		return nil, err
	}
	if c == nil || c.ID != id {
		c, err = p.stored.Get(store.ConnectionPrefix+id, func() (*store.Connection, error) { return store.FormerConnections.Get(ctx, s, id) })
		if err == nil && c == nil { // it may have become current again meanwhile, before its former copy was deleted
			c, err = store.Config.Get(ctx, s)
		}
		if err != nil {
			return nil, err
		}
	}
	if c == nil || c.ID != id {
		return nil, fmt.Errorf("connection %s: %w", id, ErrPurged)
	}
	return p.Open(c)
}

// ErrPurged says that a connection is not in storage. It was purged when nothing that it issued was known to live.
var ErrPurged = errors.New("not in storage any more")

// Open returns a stored connection with its shared client. It makes no call.
func (p *Pool) Open(c *store.Connection) (*Connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	shared := p.open[c.ID]
	if shared != nil && shared.Revision == c.Revision {
		return shared, nil
	}
	opened, err := p.Dial(c)
	if err != nil {
		return nil, err
	}
	if shared != nil && shared.URL == c.URL && shared.V3 != nil && opened.V3 != nil { // whose tokens live on
		opened.V3.Learn(shared.V3.KnownCluster())
	}
	// The old client is not closed: calls on it may be about to begin. Its connections close once nobody uses them.
	p.open[c.ID] = opened
	return opened, nil
}

// Uncached returns a stored connection with its shared client, but with names of its own: those cached may be stale, and
// what is looked up through it is not cached for others. It suggests similar names.
func (p *Pool) Uncached(c *store.Connection) (*Connection, error) {
	shared, err := p.Open(c)
	if err != nil {
		return nil, err
	}
	uncached := *shared
	uncached.Names, uncached.Suggest = newNames(uncached.V2), true
	return &uncached, nil
}

// Refresh returns a connection as it is stored now, where it was written or its root token rotated since c was read; nil
// where it was not.
func (p *Pool) Refresh(ctx context.Context, s logical.Storage, c *Connection) *Connection {
	p.Invalidate(store.ConfigKey)
	stored, err := p.ByID(ctx, s, c.ID)
	if err != nil || stored.Revision == c.Revision {
		return nil
	}
	return stored
}

// LockConfig serializes writes of the configuration and rotations of the root token. It has the configuration read from
// storage again: on a node that has just become active the cached one may be old. The only error is the context's.
func (p *Pool) LockConfig(ctx context.Context) (unlock func(), err error) {
	select {
	case p.config <- struct{}{}:
		p.Invalidate(store.ConfigKey)
		return func() { <-p.config }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ConfigLocked reports whether the configuration is locked now.
func (p *Pool) ConfigLocked() bool { return len(p.config) > 0 }

// Invalidate has the next read of a key be one of storage. Keys that hold no connection are ignored.
func (p *Pool) Invalidate(key string) {
	if key == store.ConfigKey || strings.HasPrefix(key, store.ConnectionPrefix) {
		p.stored.Invalidate(key)
	}
}

// Close closes the client of one connection.
func (p *Pool) Close(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.open[id]; c != nil {
		c.Client.Close()
		delete(p.open, id)
	}
}

// CloseAll closes the clients of all connections. They are dialed again when they are used again.
func (p *Pool) CloseAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		c.Client.Close()
	}
	clear(p.open)
}
