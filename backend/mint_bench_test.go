package backend

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// wideRole is a role of 50 permissions on 25 buckets, and the endpoint that knows their names.
func wideRole(b testing.TB) (*endpoint, *store.Role, permission.Scope) {
	server := influxtest.New(b)
	role := &store.Role{TokenType: permission.Custom}
	for i := range 25 {
		name := fmt.Sprintf("bucket-%d", i)
		server.AddBucket(server.OrgID(), name)
		role.ReadBuckets = append(role.ReadBuckets, name)
		role.WriteBuckets = append(role.WriteBuckets, name)
	}
	e, err := dial(&store.Connection{URL: server.URL, Token: server.RootToken()})
	require.NoError(b, err)
	return e, role, permission.Scope{OrgID: server.OrgID(), OrgName: influxtest.OrgName}
}

func resolveAndEncode(b testing.TB, e *endpoint, role *store.Role, scope permission.Scope) []byte {
	permissions, err := permission.Resolve(b.Context(), role.Definition(), scope, e.names)
	require.NoError(b, err)
	encoded, err := json.Marshal(wire(order{permissions: permissions, orgID: scope.OrgID}, "description"))
	require.NoError(b, err)
	return encoded
}

// BenchmarkResolveAndEncode is what a mint of a 50-permission role costs besides its one call.
func BenchmarkResolveAndEncode(b *testing.B) {
	e, role, scope := wideRole(b)
	resolveAndEncode(b, e, role, scope)
	b.ReportAllocs()
	for b.Loop() {
		resolveAndEncode(b, e, role, scope)
	}
}

func TestResolvingAndEncodingStaysCheap(t *testing.T) {
	e, role, scope := wideRole(t)
	resolveAndEncode(t, e, role, scope)
	require.Less(t, testing.AllocsPerRun(100, func() { resolveAndEncode(t, e, role, scope) }), 100.0)
}
