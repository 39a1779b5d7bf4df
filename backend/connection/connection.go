// Package connection holds the InfluxDBs in use: their clients, the names looked up through them, and the organization
// and the owner of a role's tokens.
package connection

import (
	"cmp"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Connection is a stored connection in use. It belongs to one revision: a write or a rotation of the root token makes
// another one.
type Connection struct {
	*store.Connection
	Client *influx.Client
	Names  *Names
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
	tlsConfig, err := TLSOptions(c).Config()
	if err != nil {
		return nil, err
	}
	client, err := influx.New(influx.Options{
		URL:            c.URL,
		Token:          c.Token,
		TLS:            tlsConfig,
		Timeout:        time.Duration(c.RequestTimeout) * time.Second,
		MaxConnections: c.MaxOpenConnections,
		UserAgent:      p.userAgent,
	})
	if err != nil {
		return nil, problem.InField("url", "%v", err)
	}
	return &Connection{
		Connection: c, Client: client, Names: newNames(client), Visibility: &background.Backoff{},
		identity: newIdentity(p.Now), staleOrg: &atomic.Bool{},
	}, nil
}

// Rejected reports whether a call failed because InfluxDB does not accept the root token: it may have been rotated since
// it was read.
func Rejected(err error) bool {
	return influx.Is(err, influx.BadToken) || influx.Is(err, influx.InactiveToken)
}

// TLSOptions are the TLS settings of a stored connection.
func TLSOptions(c *store.Connection) influx.TLSOptions {
	return influx.TLSOptions{
		CACert:     c.CACert,
		ClientCert: c.ClientCert,
		ClientKey:  c.ClientKey,
		ServerName: c.TLSServerName,
		MinVersion: c.TLSMinVersion,
		SkipVerify: c.TLSSkipVerify,
	}
}

// ApplicationURL is where applications reach the InfluxDB of a connection, in a form to which a path can be appended.
func ApplicationURL(c *store.Connection) string { return influx.CleanURL(cmp.Or(c.ExternalURL, c.URL)) }
