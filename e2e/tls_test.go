package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// servedAs is a name that stands in the certificate of the InfluxDBs here, besides their address.
const servedAs = "influxdb.example"

// TestTLS is against influxd serving TLS itself, as strict as each version's flags make it: its strict ciphers
// have a meaning up to TLS 1.2 only.
func TestTLS(t *testing.T) {
	t.Parallel()
	authority, stranger := newAuthority(t), newAuthority(t)
	for version, strict := range map[string][]string{
		lab.InfluxVersion:    {"--tls-min-version", "1.3"},
		lab.OldInfluxVersion: {"--tls-strict-ciphers"},
	} {
		t.Run(version, func(t *testing.T) {
			influx := newInflux(t, lab.InfluxOptions{
				Version: version, Authority: authority, ServerNames: []string{servedAs}, Args: strict,
			})
			e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}

			e.refusesTLS(t, influx.URL, nil, "signed by unknown authority", "ca_cert")
			e.refusesTLS(t, influx.URL, map[string]any{"ca_cert": stranger.PEM}, "signed by unknown authority", "ca_cert")
			e.refusesTLS(t, influx.URL, map[string]any{"ca_cert": authority.PEM, "tls_server_name": "another.example"},
				"valid for "+servedAs+", not another.example", "tls_server_name")
			e.refusesTLS(t, "http"+strings.TrimPrefix(influx.URL, "https"), nil, "url: ", "not InfluxDB's own answer")

			for name, fields := range map[string]map[string]any{
				"by its address": {"tls_server_name": ""},
				"by a name":      {"tls_server_name": servedAs, "ca_cert": stranger.PEM + authority.PEM},
				"as TLS 1.3":     {"tls_min_version": "tls13"},
			} {
				assert.Empty(t, e.write(t, "config", e.over(influx.URL, map[string]any{"ca_cert": authority.PEM}, fields)), name)
				e.assertMints(t)
			}
			e.refusesTLS(t, influx.URL, map[string]any{"ca_cert": stranger.PEM}, "the stored configuration is unchanged")
			e.assertMints(t)

			said := e.write(t, "config", map[string]any{"ca_cert": "", "tls_server_name": "", "tls_skip_verify": true})
			require.Len(t, said, 1)
			assert.Contains(t, said[0], "tls_skip_verify: any certificate is accepted")
			e.assertMints(t)
		})
	}
}

func newAuthority(t *testing.T) *lab.Authority {
	t.Helper()
	authority, err := lab.NewAuthority()
	require.NoError(t, err)
	return authority
}

// over is a write of config that reaches the engine's InfluxDB at an address, with further fields.
func (e *engine) over(url string, more ...map[string]any) map[string]any {
	fields := map[string]any{"url": url, "token": e.influx.Operator, "org": org}
	for _, some := range more {
		for name, value := range some {
			fields[name] = value
		}
	}
	return fields
}

// refusesTLS asserts that a write of config is refused with these words.
func (e *engine) refusesTLS(t *testing.T, url string, fields map[string]any, words ...string) {
	t.Helper()
	said := e.refuses(t, "config", e.over(url, fields))
	for _, word := range append(words, url) {
		assert.Contains(t, said, word)
	}
}

// assertMints follows a token from its mint to its end.
func (e *engine) assertMints(t *testing.T) {
	t.Helper()
	e.role(t, "app", bucketRole(nil))
	m := e.mint(t, "app")
	assertWorks(t, e.influx, m.token)
	e.revoke(t, m.lease)
	assertGone(t, e.influx, m)
}
