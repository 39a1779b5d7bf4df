package verify

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

func newVerifier() *Verifier {
	m := &mount.Mount{UUID: "6f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8", Log: hclog.NewNullLogger(), Now: time.Now}
	return New(connection.NewPool("test"), token.NewIssuer(m))
}

func configOf(server *influxtest.Server) *store.Connection {
	return &store.Connection{URL: server.URL, Token: server.RootToken(), OrgID: server.OrgID(), RequestTimeout: 10, MaxOpenConnections: 1}
}

func TestVerifyFillsInWhatItFinds(t *testing.T) {
	server := influxtest.New(t)
	result, err := newVerifier().Verify(t.Context(), configOf(server))
	require.NoError(t, err)
	require.Equal(t, []string{server.OrgID(), influxtest.OrgName, server.UserID()}, []string{result.Found.DefaultOrgID, result.Found.DefaultOrg, result.Found.RootUserID})
	require.Equal(t, result.Found.ServerVersion, result.Server.Version)
	require.NotEmpty(t, result.Found.OrgIDs)
	require.Empty(t, result.Warnings)
	require.Len(t, server.Tokens(), 1, "no probe is left beside the root token")
}

// A step that fails ends the verification; what was found before it is answered. Only what another configuration would
// mend is a Rejection, and the failed call stays underneath.
func TestVerifyEndsAtTheFirstFailure(t *testing.T) {
	for name, c := range map[string]struct {
		spoil     func(*influxtest.Server, *store.Connection)
		kind      influx.Kind
		rejection bool
		status    int
		says      string
	}{
		"unknown token": {func(_ *influxtest.Server, c *store.Connection) { c.Token = "unknown" }, influx.BadToken, true, http.StatusBadRequest, "does not know it (401"},
		"no answer": {func(s *influxtest.Server, _ *store.Connection) { s.Refuse("", "/api/v2/orgs") }, influx.Unavailable, true, http.StatusBadGateway,
			"url: no usable answer from "},
		"a permission less": {func(s *influxtest.Server, c *store.Connection) {
			_, c.Token = s.AddToken(s.OrgID(), s.UserID(), influxtest.ByID("read", "orgs", s.OrgID()), influxtest.ByID("write", "users", s.UserID()))
		}, influx.MissingPermission, false, http.StatusBadRequest, "token lacks write:orgs/"},
	} {
		t.Run(name, func(t *testing.T) {
			server := influxtest.New(t)
			config := configOf(server)
			c.spoil(server, config)
			result, err := newVerifier().Verify(t.Context(), config)
			require.ErrorContains(t, err, c.says)
			require.NotEmpty(t, result.Found.ServerVersion)
			require.True(t, influx.Is(err, c.kind))
			var rejection *Rejection
			require.Equal(t, c.rejection, errors.As(err, &rejection))
			var p *problem.Error
			require.ErrorAs(t, err, &p)
			require.Equal(t, c.status, p.Status)
			require.NotContains(t, err.Error(), "stored configuration")
		})
	}
}

func TestServerRefusesOtherVersions(t *testing.T) {
	server := influxtest.New(t)
	server.Intercept(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("X-Influxdb-Version", "3.1.0")
		w.Header().Set("X-Influxdb-Build", "Cloud")
	})
	v := newVerifier()
	c, err := v.pool.Dial(configOf(server))
	require.NoError(t, err)
	defer c.Client.Close()
	_, err = v.Server(t.Context(), c)
	require.EqualError(t, err, "url: this is InfluxDB 3.1.0 Cloud; only InfluxDB 2.x, Cloud 2 and InfluxDB 3 Core and Enterprise have tokens that can be managed")
	server.Intercept(nil)
	answer, err := v.Server(t.Context(), c)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(strings.TrimPrefix(answer.Version, "v"), "2."), answer.Version)
}

func TestAccepted(t *testing.T) {
	server := influxtest.New(t)
	id, value := server.AddToken(server.OrgID(), server.UserID())
	config := configOf(server)
	config.Token = value
	c, err := newVerifier().pool.Dial(config)
	require.NoError(t, err)
	defer c.Client.Close()
	require.NoError(t, Accepted(t.Context(), c, id), "it may not read itself, but it is a token")
	server.SetTokenActive(id, false)
	require.True(t, influx.Is(Accepted(t.Context(), c, id), influx.InactiveToken))
}
