package influx_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// BenchmarkList is a list of 1,000 tokens: the allocations are those of one list.
func BenchmarkList(b *testing.B) {
	const entry = `{"id":"03a2bbf46309a000","token":"","status":"active","description":"app [vault:v1:2b8e:lease:app:Qx7:1764000000]",
		"orgID":"04f0610000000000","org":"acme","userID":"05f0610000000000","user":"admin","createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z",
		"links":{"self":"/api/v2/authorizations/03a2bbf46309a000","user":"/api/v2/users/05f0610000000000"},
		"permissions":[{"action":"read","resource":{"type":"buckets","id":"06f0610000000000","orgID":"04f0610000000000","name":"metrics","org":"acme"}}]}`
	client := serve(b, answer{status: 200, content: jsonType, body: `{"authorizations":[` + strings.Repeat(entry+",", 999) + entry + `]}`}.ServeHTTP)
	b.ReportAllocs()
	for b.Loop() {
		seen := 0
		require.NoError(b, client.EachAuthorization(b.Context(), func(*influx.Authorization) error { seen++; return nil }))
		require.Equal(b, 1000, seen)
	}
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
