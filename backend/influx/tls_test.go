package influx_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

func TestTLSOptionsAreChecked(t *testing.T) {
	ours := newAuthority(t)
	cert, key := ours.client("vault")
	_, otherKey := ours.client("other")
	const garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	tests := map[string]struct {
		options  store.Connection
		problems []string
	}{
		"nothing":              {store.Connection{}, nil},
		"everything":           {store.Connection{CACert: ours.pem, ClientCert: cert, ClientKey: key, TLSServerName: "db", TLSMinVersion: "tls13", TLSSkipVerify: true}, nil},
		"two authorities":      {store.Connection{CACert: newAuthority(t).pem + ours.pem}, nil},
		"an unknown version":   {store.Connection{TLSMinVersion: "1.2"}, []string{`tls_min_version: "1.2" is not known; allowed: tls12, tls13`}},
		"no PEM":               {store.Connection{CACert: "/etc/ca.pem"}, []string{"ca_cert: no certificate in it; allowed: one or more certificates in PEM form"}},
		"PEM of nothing":       {store.Connection{CACert: garbage}, []string{"ca_cert: no certificate in it; allowed: one or more certificates in PEM form"}},
		"a key alone":          {store.Connection{ClientKey: key}, []string{"client_cert: missing; client_key needs its certificate"}},
		"a certificate alone":  {store.Connection{ClientCert: cert}, []string{"client_key: missing; client_cert needs its key"}},
		"another one's key":    {store.Connection{ClientCert: cert, ClientKey: otherKey}, []string{"client_cert: does not form a pair with client_key: tls: private key does not match public key"}},
		"a certificate as key": {store.Connection{ClientCert: cert, ClientKey: cert}, []string{`client_cert: does not form a pair with client_key: tls: found a certificate rather than a key in the PEM for the private key`}},
		"all wrong at once": {store.Connection{CACert: "x", ClientCert: cert, TLSMinVersion: "ssl3"}, []string{
			`tls_min_version: "ssl3" is not known; allowed: tls12, tls13`,
			"ca_cert: no certificate in it; allowed: one or more certificates in PEM form",
			"client_key: missing; client_cert needs its key",
		}},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			config, err := connection.TLSConfig(&test.options)
			if test.problems == nil {
				require.NoError(t, err)
				require.Equal(t, test.options.TLSServerName, config.ServerName)
				require.Equal(t, test.options.TLSSkipVerify, config.InsecureSkipVerify)
				require.Equal(t, test.options.CACert != "", config.RootCAs != nil)
				require.Equal(t, test.options.ClientCert != "", len(config.Certificates) == 1)
				return
			}
			require.EqualError(t, err, strings.Join(test.problems, "\n"))
			field, ok := errors.AsType[*problem.Error](err)
			require.True(t, ok)
			require.Equal(t, strings.Split(test.problems[0], ":")[0], field.Field)
		})
	}
}

func TestTLSVersions(t *testing.T) {
	for word, version := range map[string]uint16{"": tls.VersionTLS12, "tls12": tls.VersionTLS12, "tls13": tls.VersionTLS13} {
		config, err := connection.TLSConfig(&store.Connection{TLSMinVersion: word})
		require.NoError(t, err)
		require.Equal(t, version, config.MinVersion, word)
	}
}

func TestTLSHandshakes(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, key := ours.client("vault")
	strangerCert, strangerKey := theirs.client("stranger")
	named := tls.Config{Certificates: []tls.Certificate{ours.server("influxdb.example")}}
	wanting := tls.Config{Certificates: named.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool()}
	old := tls.Config{Certificates: named.Certificates, MaxVersion: tls.VersionTLS12}
	wantingOld := tls.Config{Certificates: named.Certificates, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool(), MaxVersion: tls.VersionTLS12}
	trusting := store.Connection{CACert: ours.pem, TLSServerName: "influxdb.example"}
	with := func(change func(*store.Connection)) store.Connection {
		o := trusting
		change(&o)
		return o
	}
	tests := []struct {
		says    string
		server  *tls.Config
		options store.Connection
		text    string // of the error; empty when the call succeeds
	}{
		{"the authority and the name are known", &named, trusting, ""},
		{"nothing is known and nothing is verified", &named, store.Connection{TLSSkipVerify: true}, ""},
		{"the authority is not known", &named, store.Connection{TLSServerName: "influxdb.example"}, "certificate signed by unknown authority"},
		{"another authority is known", &named, with(func(o *store.Connection) { o.CACert = theirs.pem }), "certificate signed by unknown authority"},
		{"the address is not in the certificate", &named, store.Connection{CACert: ours.pem}, "cannot validate certificate for 127.0.0.1"},
		{"the name is not in the certificate", &named, with(func(o *store.Connection) { o.TLSServerName = "db" }), "certificate is valid for influxdb.example, not db"},
		{"a client certificate is shown", &wanting, with(func(o *store.Connection) { o.ClientCert, o.ClientKey = cert, key }), ""},
		{"a client certificate is wanted, with TLS 1.2", &wantingOld, trusting, "remote error: tls:"},
		{"a client certificate is wanted", &wanting, trusting, "remote error: tls: certificate required"},
		{"a stranger's certificate is shown", &wantingOld, with(func(o *store.Connection) { o.ClientCert, o.ClientKey = strangerCert, strangerKey }), "remote error: tls:"},
		{"the server's version is new enough", &old, with(func(o *store.Connection) { o.TLSMinVersion = "tls12" }), ""},
		{"the server's version is too old", &old, with(func(o *store.Connection) { o.TLSMinVersion = "tls13" }), "remote error: tls: protocol version not supported"},
		{"the server speaks no TLS", nil, trusting, "the server does not speak TLS; is the URL's scheme http?"},
	}
	for _, test := range tests {
		t.Run(test.says, func(t *testing.T) {
			var srv *influxtest.Server
			if test.server == nil {
				srv = influxtest.New(t)
			} else {
				srv = influxtest.New(t, influxtest.TLS(test.server.Clone()))
			}
			config, err := connection.TLSConfig(&test.options)
			require.NoError(t, err)
			url := "https://" + srv.URL[strings.Index(srv.URL, "127.0.0.1"):]
			client := dial(t, influx.Options{URL: url, Token: srv.RootToken(), TLS: config})

			created, err := client.CreateAuthorization(t.Context(), order(srv))

			if test.text == "" {
				require.NoError(t, err)
				require.Equal(t, srv.Tokens()[1].ID, created.ID)
				return
			}
			e := failed(t, err)
			require.Equal(t, influx.BadCertificate, e.Kind, e.Error())
			require.Zero(t, e.Status)
			require.ErrorContains(t, e, test.text)
			require.Len(t, srv.Tokens(), 1)
			// With TLS 1.3 the client may send before it learns that its certificate is not good enough.
			require.Equal(t, test.text != "remote error: tls: certificate required", e.NotApplied())
		})
	}
}
