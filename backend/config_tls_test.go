package backend

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

func TestTLS(t *testing.T) {
	t.Parallel()
	ours, foreign := newAuthority(t), newAuthority(t)
	cert, key := ours.client(t)
	foreignCert, foreignKey := foreign.client(t)
	local := func() []tls.Certificate { return []tls.Certificate{ours.server(t, "influx.internal")} }
	mutual := &tls.Config{Certificates: local(), ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.pool()}
	// httptest's own certificate is for 127.0.0.1 and example.com; ours is for influx.internal.
	own := influxtest.TLS(&tls.Config{})
	named := influxtest.TLS(&tls.Config{Certificates: local()})
	type fields = map[string]any
	pem := func(server *influxtest.Server) string { return certificatePEM(server.Certificate()) }
	trusted := fields{"ca_cert": ours.pem(), "tls_server_name": "influx.internal"}
	with := func(more fields) func(*influxtest.Server) fields {
		return func(*influxtest.Server) fields {
			all := fields{"ca_cert": trusted["ca_cert"], "tls_server_name": trusted["tls_server_name"]}
			for field, value := range more {
				all[field] = value
			}
			return all
		}
	}
	for name, c := range map[string]struct {
		server influxtest.Option
		fields func(*influxtest.Server) fields
		// says is what is wrong; empty when it works.
		says string
	}{
		"a CA that signed it":         {own, func(s *influxtest.Server) fields { return fields{"ca_cert": pem(s)} }, ""},
		"several CAs in one field":    {own, func(s *influxtest.Server) fields { return fields{"ca_cert": foreign.pem() + ours.pem() + pem(s)} }, ""},
		"the system's CAs":            {own, func(*influxtest.Server) fields { return nil }, "certificate signed by unknown authority"},
		"another CA":                  {own, func(*influxtest.Server) fields { return fields{"ca_cert": foreign.pem()} }, "certificate signed by unknown authority"},
		"any certificate":             {own, func(*influxtest.Server) fields { return fields{"tls_skip_verify": true} }, ""},
		"another name on it":          {named, func(*influxtest.Server) fields { return fields{"ca_cert": ours.pem()} }, "tls_server_name"},
		"the name on it":              {named, with(nil), ""},
		"a name that is not on it":    {named, with(fields{"tls_server_name": "other.internal"}), "not other.internal"},
		"any certificate, any name":   {named, func(*influxtest.Server) fields { return fields{"tls_skip_verify": true} }, ""},
		"TLS 1.3":                     {named, with(fields{"tls_min_version": "tls13"}), ""},
		"TLS 1.2 is not enough":       {influxtest.TLS(&tls.Config{Certificates: local(), MaxVersion: tls.VersionTLS12}), with(fields{"tls_min_version": "tls13"}), "protocol version"},
		"TLS 1.2 is enough":           {influxtest.TLS(&tls.Config{Certificates: local(), MaxVersion: tls.VersionTLS12}), with(fields{"tls_min_version": "tls12"}), ""},
		"TLS 1.1 never is":            {influxtest.TLS(&tls.Config{Certificates: local(), MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11}), with(nil), "protocol version"},
		"a client certificate":        {influxtest.TLS(mutual.Clone()), with(fields{"client_cert": cert, "client_key": key}), ""},
		"no client certificate":       {influxtest.TLS(mutual.Clone()), with(nil), "certificate required"},
		"a stranger's certificate":    {influxtest.TLS(mutual.Clone()), with(fields{"client_cert": foreignCert, "client_key": foreignKey}), "TLS with "},
		"a client certificate, idly":  {named, with(fields{"client_cert": cert, "client_key": key}), ""},
		"a server that is too simple": {func(*influxtest.Server) {}, func(s *influxtest.Server) fields { return fields{"url": strings.Replace(s.URL, "http:", "https:", 1)} }, "the server does not speak TLS; is the URL's scheme http?"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			server := influxtest.New(t, c.server)
			data := connectionTo(server, c.fields(server))
			if c.says != "" {
				text := m.rejected(logical.UpdateOperation, "config", data)
				require.True(t, strings.HasPrefix(text, "url: TLS with https://"), text)
				require.Contains(t, text, c.says)
				require.Contains(t, text, "; see ca_cert, tls_server_name")
				m.silent([]string{"PRIVATE KEY"}, text)
				return
			}
			warnings := warned(m.write("config", data))
			require.Equal(t, data["tls_skip_verify"] == true, strings.Contains(warnings, "tls_skip_verify: any certificate is accepted"), warnings)
			m.write("roles/app", map[string]any{"read_buckets": "metrics"})
			tidyUp(t, server, m.mint("app"))
		})
	}
}

func TestHTTPToATLSPort(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.TLS(&tls.Config{}))
	text := m.rejected(logical.UpdateOperation, "config", connectionTo(server, map[string]any{"url": strings.Replace(server.URL, "https:", "http:", 1)}))
	require.True(t, strings.HasPrefix(text, "url: "), text)
	require.NotContains(t, text, unchangedText, "there is no stored one")
}
