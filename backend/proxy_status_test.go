package backend

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// A caller can help what InfluxDB itself refuses, and not what a proxy in front of it does: that is a 502, whichever call
// it refuses, and a POST that it refuses is not sent again.
func TestAProxysRefusalIsABadGateway(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for _, status := range []int{400, 401, 403, 404, 405, 409, 413, 422, 429} {
		for _, body := range []string{"<html>no</html>", `{"error":"no"}`, ""} {
			for _, call := range []struct{ method, path string }{{http.MethodPost, authorizations}, {http.MethodGet, "/api/v2/buckets"}} {
				t.Run(fmt.Sprint(status, call, body), func(t *testing.T) {
					m := m.in(t)
					m.write("roles/fresh", map[string]any{"read_buckets": "metrics"})
					m.write("config", map[string]any{"tidy_interval": "2h"}) // nothing is cached
					server.Fail(call.method, call.path, status, "", body)
					server.ResetRequests()
					got, text := m.refused(logical.ReadOperation, "creds/fresh", nil)
					require.Equal(t, http.StatusBadGateway, got, text)
					require.LessOrEqual(t, posted(server), 1)
					server.Intercept(nil)
				})
			}
		}
	}
	server.Fail(http.MethodPost, authorizations, 400, "application/json", `{"code":"invalid","message":"unable to create token"}`)
	got, _ := m.refused(logical.ReadOperation, "creds/fresh", nil)
	require.Equal(t, http.StatusBadRequest, got, "InfluxDB's own")
}
