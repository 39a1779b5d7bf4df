// Package connection holds the InfluxDBs in use: their clients, the names looked up through them, and the organization
// and the owner of a role's tokens.
package connection

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
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
	tlsConfig, err := TLSConfig(c)
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

// ApplicationURL is where applications reach the InfluxDB of a connection, in a form to which a path can be appended.
func ApplicationURL(c *store.Connection) string { return influx.CleanURL(cmp.Or(c.ExternalURL, c.URL)) }
