package influx3_test

import (
	"cmp"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
)

// Whose a client's tokens are is found out before the first one, once.
func TestTheInfluxDBIsKnownBeforeTheFirstToken(t *testing.T) {
	server := influx3test.New(t)
	c, _ := clientOf(t, server.URL, server.RootToken(), false)
	require.Empty(t, c.KnownCluster())
	_, err := c.CreateAuthorization(t.Context(), request(time.Hour, admin...))
	require.NoError(t, err)
	require.Equal(t, server.ClusterID(), c.KnownCluster())
	_, err = c.CreateAuthorization(t.Context(), influx.NewAuthorization{Description: "[x]", Permissions: admin})
	require.NoError(t, err)
	var made []string
	for _, r := range server.Requests() {
		made = append(made, r.Method)
	}
	require.Equal(t, []string{http.MethodGet, http.MethodPost, http.MethodPost}, made)
}

// Where it can't be found out nothing is made, whatever the reason.
func TestNoTokenIsMadeWhereTheInfluxDBIsNotKnown(t *testing.T) {
	for name, with := range map[string]struct {
		version, token string
		fault          func(*influx3test.Server)
		kind           influx.Kind
		says           string
	}{
		"older than 3.7":         {version: "3.6.0", kind: influx.Invalid, says: "it takes 3.7 or later"},
		"another token's":        {version: "3.10.1", token: "apiv3_unknown", kind: influx.BadToken, says: "the request was not authenticated"},
		"behind a proxy":         {version: "3.10.1", fault: func(s *influx3test.Server) { s.Fail("", "/", http.StatusForbidden, "text/html", "no") }, kind: influx.NotInfluxDB, says: "not InfluxDB 3's own answer"},
		"out of reach":           {version: "3.10.1", fault: func(s *influx3test.Server) { s.Refuse("", "/") }, kind: influx.Unavailable},
		"an answer that is lost": {version: "3.10.1", fault: func(s *influx3test.Server) { s.LoseAnswer("", "/") }, kind: influx.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := influx3test.New(t, influx3test.Version(with.version))
			c, _ := clientOf(t, server.URL, cmp.Or(with.token, server.RootToken()), false)
			if with.fault != nil {
				with.fault(server)
			}
			_, err := c.CreateAuthorization(t.Context(), request(time.Hour, admin...))
			require.ErrorContains(t, err, "/ping: ")
			require.ErrorContains(t, err, with.says)
			failed := asError(t, err)
			require.Equal(t, with.kind, failed.Kind)
			require.True(t, failed.NotApplied())
			require.Equal(t, []string{influx3test.OperatorName}, server.TokenNames())
			require.Empty(t, c.KnownCluster())
		})
	}
}
