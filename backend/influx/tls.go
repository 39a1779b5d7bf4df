package influx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// TLSOptions are the TLS settings as an operator writes them; all PEM.
type TLSOptions struct {
	CACert, ClientCert, ClientKey string
	ServerName                    string
	// MinVersion is "tls12" or "tls13"; empty means tls12.
	MinVersion string
	SkipVerify bool
}

// FieldError is a setting that can't be used; Field is the name of the field it came from.
type FieldError struct {
	Field string
	Text  string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Text }

var tlsVersions = map[string]uint16{"": tls.VersionTLS12, "tls12": tls.VersionTLS12, "tls13": tls.VersionTLS13}

// Config makes the TLS configuration. Every error is a *FieldError (or several, joined) and repeats no key.
func (o TLSOptions) Config() (*tls.Config, error) {
	config := &tls.Config{ServerName: o.ServerName, InsecureSkipVerify: o.SkipVerify}
	var problems []error
	version, known := tlsVersions[o.MinVersion]
	if !known {
		problems = append(problems, &FieldError{"tls_min_version", fmt.Sprintf("%q is not known; allowed: tls12, tls13", o.MinVersion)})
	}
	config.MinVersion = version
	if o.CACert != "" {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM([]byte(o.CACert)) {
			problems = append(problems, &FieldError{"ca_cert", "no certificate in it; allowed: one or more certificates in PEM form"})
		}
	}
	switch {
	case o.ClientCert == "" && o.ClientKey == "":
	case o.ClientKey == "":
		problems = append(problems, &FieldError{"client_key", "missing; client_cert needs its key"})
	case o.ClientCert == "":
		problems = append(problems, &FieldError{"client_cert", "missing; client_key needs its certificate"})
	default:
		pair, err := tls.X509KeyPair([]byte(o.ClientCert), []byte(o.ClientKey))
		if err != nil {
			problems = append(problems, &FieldError{"client_cert", "does not form a pair with client_key: " + err.Error()})
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, errors.Join(problems...)
}
