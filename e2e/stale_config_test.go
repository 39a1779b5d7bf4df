package e2e

import (
	"crypto/tls"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// behindTLS is a rooted engine that reaches its InfluxDB through a TLS proxy, with a root token that was rotated. It
// answers what was written at first, as a file of Terraform's would go on saying.
func behindTLS(t *testing.T, influx *lab.Influx) (r *rooted, written map[string]any) {
	t.Helper()
	authority := newAuthority(t)
	pair, err := authority.Server()
	require.NoError(t, err)
	certificate, err := tls.X509KeyPair([]byte(pair.CertificatePEM), []byte(pair.KeyPEM))
	require.NoError(t, err)
	p := startProxy(t, influx, "", &tls.Config{Certificates: []tls.Certificate{certificate}})
	r = newRooted(t, influx, smallest(influx))
	written = map[string]any{
		"url": p.URL, "org": org, "token": r.root.Token, "authorization_id": r.root.ID, "ca_cert": authority.PEM, "request_timeout": 30,
	}
	require.Empty(t, r.write(t, "config", written))
	require.Empty(t, r.write(t, "config", written), "before the rotation it is like any write")
	r.rotate(t)
	return r, written
}

// eachWay writes the fields by POST and by PATCH.
func (e *engine) eachWay(t *testing.T, fields map[string]any, check func(t *testing.T, warnings []string, err error)) {
	t.Helper()
	for way, write := range map[string]func() ([]string, error){
		"POST": func() ([]string, error) {
			answer, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/config", fields)
			if answer == nil {
				return nil, err
			}
			return answer.Warnings, err
		},
		"PATCH": func() ([]string, error) {
			answer, err := e.vault.Logical().JSONMergePatch(t.Context(), e.path+"/config", fields)
			if answer == nil {
				return nil, err
			}
			return answer.Warnings, err
		},
	} {
		t.Run(way, func(t *testing.T) {
			warnings, err := write()
			check(t, warnings, err)
		})
	}
}

// A write of one field leaves the others as they are.
func TestAWriteOfConfigKeepsWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		r, _ := behindTLS(t, influx)
		for name, value := range map[string]any{
			"external_url": "http://influxdb.example", "request_timeout": "20s", "max_open_connections": 7, "tidy_interval": "2h",
			"tls_min_version": "tls13", "user": r.owner.Name, "rotation_schedule": "0 0 29 2 *", "disable_automated_rotation": true,
		} {
			t.Run(name, func(t *testing.T) {
				before := r.config(t)
				r.eachWay(t, map[string]any{name: value}, func(t *testing.T, _ []string, err error) {
					require.NoError(t, err)
					now := r.config(t)
					assert.NotEqual(t, before[name], now[name])
					follows := map[string]string{"user": "user_id", "rotation_schedule": "next_vault_rotation", "disable_automated_rotation": "next_vault_rotation"}
					for _, changed := range []string{name, follows[name]} {
						delete(now, changed)
					}
					rest := maps.Clone(before)
					maps.DeleteFunc(rest, func(field string, _ any) bool { return field == name || field == follows[name] })
					assert.Equal(t, rest, now)
					assertWorks(t, influx, r.mint(t, "app").token)
				})
			})
		}
	})
}

// What an apply of Terraform's does after a rotation: it writes the same fields, with the first root token among them,
// again and again.
func TestTheSameConfigIsWrittenAgainAfterARotation(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		r, written := behindTLS(t, influx)
		before := r.config(t)
		apply := func(t *testing.T, warnings []string, err error) {
			require.NoError(t, err)
			require.Len(t, warnings, 1)
			assert.Contains(t, warnings[0], "token: this one was rotated away; the current root token stays")
			assert.Equal(t, before, r.config(t))
			assertWorks(t, influx, r.mint(t, "app").token)
		}
		for range 2 {
			r.eachWay(t, written, apply)
		}
		delete(written, "token") // as the warning says
		r.eachWay(t, written, func(t *testing.T, warnings []string, err error) {
			require.NoError(t, err)
			require.Len(t, warnings, 1)
			assert.Contains(t, warnings[0], "authorization_id: the root token was made by a rotation")
			assert.Equal(t, before, r.config(t))
		})
		r.rotate(t)
		before = r.config(t)
		delete(written, "authorization_id")
		written["token"] = r.root.Token
		r.eachWay(t, written, apply)
		assert.Empty(t, r.problems(t))
	})
}
