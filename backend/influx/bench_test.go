package influx_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// listed is one entry of InfluxDB's list, in its own layout.
const listed = `
		{
			"id": "03a2bbf46309a000",
			"token": "",
			"status": "active",
			"description": "Read buckets metrics Write buckets metrics (vault influxdb/creds/app for root) [vault:v1:9e1a4b6c-0f2d-4a7e-8c35-d1f0b2a49e77:lease:app:0123456789abcdef:1795627421]",
			"orgID": "04f0610000000000",
			"org": "acme",
			"userID": "05f0610000000000",
			"user": "root",
			"permissions": [
				{
					"action": "read",
					"resource": {
						"type": "buckets",
						"id": "06f0610000000000",
						"name": "metrics",
						"orgID": "04f0610000000000",
						"org": "acme"
					}
				},
				{
					"action": "write",
					"resource": {
						"type": "buckets",
						"id": "06f0610000000000",
						"name": "metrics",
						"orgID": "04f0610000000000",
						"org": "acme"
					}
				}
			],
			"links": {
				"self": "/api/v2/authorizations/03a2bbf46309a000",
				"user": "/api/v2/users/05f0610000000000"
			},
			"createdAt": "2026-11-25T10:00:00.123456789Z",
			"updatedAt": "2026-11-25T10:00:00.123456789Z"
		}`

// listing answers a list of as many tokens. It says how long the answer is: the head of a chunk would be allocated.
func listing(tokens int) http.HandlerFunc {
	const begin, end = `{"links":{"self":"/api/v2/authorizations"},"authorizations":[`, `]}`
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(begin)+tokens*len(","+listed)-len(",")+len(end)))
		_, _ = io.WriteString(w, begin+listed)
		for range tokens - 1 {
			_, _ = io.WriteString(w, ","+listed)
		}
		_, _ = io.WriteString(w, end)
	}
}

// BenchmarkList is a list of 100,000 tokens: looked through, read whole, and as encoding/json decodes it from a stream, which
// is what it was before. The server that writes it is in all of them.
func BenchmarkList(b *testing.B) {
	const tokens = 100_000
	server := httptest.NewServer(listing(tokens))
	defer server.Close()
	client := dial(b, influx.Options{URL: server.URL, Token: testToken})
	for name, list := range map[string]func() int{
		"scan": func() (seen int) {
			require.NoError(b, client.ScanAuthorizations(b.Context(), func(time.Time) {}, func(*influx.Listed) { seen++ }))
			return seen
		},
		"whole": func() (seen int) {
			require.NoError(b, client.EachAuthorization(b.Context(), func(*influx.Authorization) error { seen++; return nil }))
			return seen
		},
		"encoding_json": func() (seen int) {
			resp, err := http.Get(server.URL)
			require.NoError(b, err)
			defer resp.Body.Close()
			decoder := json.NewDecoder(resp.Body)
			for token := json.Token(nil); token != json.Delim('['); {
				token, err = decoder.Token()
				require.NoError(b, err)
			}
			for ; decoder.More(); seen++ {
				var a influx.Authorization
				require.NoError(b, decoder.Decode(&a))
			}
			return seen
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				require.Equal(b, tokens, list())
			}
		})
	}
}

// A scan takes no more memory for many tokens than for few.
func TestAScanAllocatesNothingForAToken(t *testing.T) {
	allocated := func(tokens int) float64 {
		client := serve(t, listing(tokens))
		return testing.AllocsPerRun(5, func() {
			seen := 0
			require.NoError(t, client.ScanAuthorizations(t.Context(), func(time.Time) {}, func(*influx.Listed) { seen++ }))
			require.Equal(t, tokens, seen)
		})
	}
	require.InDelta(t, allocated(100), allocated(10_000), 50)
}

// BenchmarkCreate is one mint.
func BenchmarkCreate(b *testing.B) {
	body := `{"id":"03a2bbf46309a000","token":"` + testToken + `","status":"active","orgID":"04f0610000000000","org":"acme","createdAt":"2026-01-02T03:04:05Z",
		"permissions":[{"action":"read","resource":{"type":"buckets","id":"06f0610000000000","orgID":"04f0610000000000","name":"metrics","org":"acme"}}]}`
	client := serve(b, answer{status: 201, content: jsonType, body: body}.ServeHTTP)
	wanted := influx.NewAuthorization{Description: "d", OrgID: "04f0610000000000", Permissions: []influx.Permission{
		{Action: "read", Resource: influx.Resource{Type: "buckets", ID: "06f0610000000000", OrgID: "04f0610000000000"}}}}
	b.ReportAllocs()
	for b.Loop() {
		_, err := client.CreateAuthorization(b.Context(), wanted)
		require.NoError(b, err)
	}
}
