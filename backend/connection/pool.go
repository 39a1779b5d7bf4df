package connection

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

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
	if shared := p.open[c.ID]; shared != nil && shared.Revision == c.Revision {
		return shared, nil
	}
	opened, err := p.Dial(c)
	if err != nil {
		return nil, err
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
	uncached.Names, uncached.Suggest = newNames(uncached.Client), true
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
