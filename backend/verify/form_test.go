package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// All that is wrong with a connection's form comes in one answer, in the order of what matters first, and no secret in it.
func TestForm(t *testing.T) {
	good := store.Connection{URL: "https://influxdb.example:8086/base", Token: "t", RequestTimeout: 10, MaxOpenConnections: 64}
	require.NoError(t, Form(&good, store.RotationPlan{}, time.Now()))

	bad := store.Connection{
		URL: "https://user@influxdb.example", ExternalURL: "https://influxdb.example?org=acme", Token: "to ken", MaxOpenConnections: 10001,
		AuthorizationID: "secret", Org: "acme", OrgID: "0123456789abcdef", User: "u", UserID: "secret", TLSMinVersion: "tls9",
		RotationPlan: store.RotationPlan{RotationPeriod: 1},
	}
	require.Equal(t, []string{
		"url: holds a user name; the token is written to the token field",
		"external_url: holds a query or a fragment; write the base URL alone",
		"request_timeout: must be 1s to 1m",
		"max_open_connections: must be 1 to 10000",
		`tls_min_version: "tls9" is not known; allowed: tls12, tls13`,
		"rotation_period: must be 1m or more, or 0 for none",
		"token: holds a character that no token has; allowed: printable ASCII without spaces",
		"authorization_id: must be an ID of 16 hexadecimal digits; InfluxDB 3 has none, leave it out there",
		"user_id: must be an ID of 16 hexadecimal digits; a name is written to user",
		"org: give either org or org_id",
		"user: give either user or user_id",
	}, strings.Split(Form(&bad, store.RotationPlan{}, time.Now()).Error(), "\n"))

	for _, url := range []string{"", "influxdb.example:8086", "ftp://influxdb.example", "https://", "http://%zz"} {
		require.ErrorContains(t, ReachForm(&store.Connection{URL: url, RequestTimeout: 10, MaxOpenConnections: 64}), "url: m", url)
	}
}
