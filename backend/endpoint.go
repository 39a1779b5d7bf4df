package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// endpoint is a connection in use: its settings, its client, and the names looked up through it.
type endpoint struct {
	*store.Connection
	client *influx.Client
	names  *directory
	// blindness paces the looks for unanswered mints that were not shown every token.
	blindness *attempts
}

// endpoints keeps one endpoint per connection, for as long as its stored revision stays the same.
type endpoints struct {
	mu   sync.Mutex
	byID map[string]*endpoint
}

// open gives the endpoint of a stored connection.
func (e *endpoints) open(c *store.Connection) (*endpoint, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.byID[c.ID]; known != nil && known.Revision == c.Revision {
		return known, nil
	}
	opened, err := dial(c)
	if err != nil {
		return nil, err
	}
	if old := e.byID[c.ID]; old != nil {
		old.client.Close()
	}
	if e.byID == nil {
		e.byID = map[string]*endpoint{}
	}
	e.byID[c.ID] = opened
	return opened, nil
}

// close forgets the endpoint of one connection.
func (e *endpoints) close(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if known := e.byID[id]; known != nil {
		known.client.Close()
		delete(e.byID, id)
	}
}

func (e *endpoints) closeAll() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, known := range e.byID {
		known.client.Close()
	}
	e.byID = nil
}

// dial makes an endpoint that nobody else shares. It makes no call.
func dial(c *store.Connection) (*endpoint, error) {
	tlsConfig, err := tlsOptions(c).Config()
	if err != nil {
		return nil, err
	}
	client, err := influx.New(influx.Options{
		URL:            c.URL,
		Token:          c.Token,
		TLS:            tlsConfig,
		Timeout:        time.Duration(c.RequestTimeout) * time.Second,
		MaxConnections: c.MaxOpenConnections,
		UserAgent:      "vault-plugin-secrets-influxdb/" + Version,
	})
	if err != nil {
		return nil, &influx.FieldError{Field: "url", Text: err.Error()}
	}
	return &endpoint{Connection: c, client: client, names: newDirectory(client), blindness: &attempts{}}, nil
}

func tlsOptions(c *store.Connection) influx.TLSOptions {
	return influx.TLSOptions{
		CACert:     c.CACert,
		ClientCert: c.ClientCert,
		ClientKey:  c.ClientKey,
		ServerName: c.TLSServerName,
		MinVersion: c.TLSMinVersion,
		SkipVerify: c.TLSSkipVerify,
	}
}

func notConfigured(mount string) error {
	return badInput("influxdb is not configured: write url, token and org to %sconfig first", mount)
}

// fresh is the endpoint of a connection with nothing remembered: what is remembered may be stale, and what is
// found through it is not remembered.
func (b *backend) fresh(c *store.Connection) (*endpoint, error) {
	shared, err := b.endpoints.open(c)
	if err != nil {
		return nil, err
	}
	e := *shared
	e.names = newDirectory(e.client)
	return &e, nil
}

// current is the endpoint that mints.
func (b *backend) current(ctx context.Context, s logical.Storage, mount string) (*endpoint, error) {
	config, err := b.config(ctx, s)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, notConfigured(mount)
	}
	return b.endpoints.open(config)
}

// endpointOf is the endpoint of the connection that minted something, current or not.
func (b *backend) endpointOf(ctx context.Context, s logical.Storage, id string) (*endpoint, error) {
	c, err := b.connectionOf(ctx, s, id)
	if err != nil {
		return nil, err
	}
	return b.endpoints.open(c)
}

// connectionOf is the connection that minted something, current or not.
func (b *backend) connectionOf(ctx context.Context, s logical.Storage, id string) (*store.Connection, error) {
	config, err := b.config(ctx, s)
	if err != nil {
		return nil, err
	}
	if config != nil && config.ID == id {
		return config, nil
	}
	if old, err := b.retired(ctx, s, id); err != nil || old != nil {
		return old, err
	}
	// It may have become the current one again meanwhile, before its old copy was taken away.
	if config, err = store.GetConfig(ctx, s); err != nil {
		return nil, err
	}
	if config == nil || config.ID != id {
		return nil, fmt.Errorf("connection %s: %w", id, errForgotten)
	}
	return config, nil
}

// errForgotten is a connection that is not in storage. It was forgotten when nothing that it minted was known to live.
var errForgotten = errors.New("not in storage any more")

// applicationURL is where applications reach the InfluxDB of a connection.
func applicationURL(c *store.Connection) string { return cmp.Or(c.ExternalURL, c.URL) }
