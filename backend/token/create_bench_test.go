package token

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// wideRole is a role of 50 permissions on 25 buckets, and the directory that knows their names.
func wideRole(b testing.TB) (permission.Directory, *store.Role, permission.Scope) {
	server := influxtest.New(b)
	role := &store.Role{TokenType: permission.Custom}
	for i := range 25 {
		name := fmt.Sprintf("bucket-%d", i)
		server.AddBucket(server.OrgID(), name)
		role.ReadBuckets = append(role.ReadBuckets, name)
		role.WriteBuckets = append(role.WriteBuckets, name)
	}
	c, err := connection.NewPool("test").Dial(&store.Connection{URL: server.URL, Token: server.RootToken()})
	require.NoError(b, err)
	return c.Names, role, permission.Scope{OrgID: server.OrgID(), OrgName: influxtest.OrgName}
}

func resolveAndEncode(b testing.TB, names permission.Directory, role *store.Role, scope permission.Scope) []byte {
	permissions, err := permission.Resolve(b.Context(), role.Definition(), scope, names)
	require.NoError(b, err)
	encoded, err := json.Marshal((&Spec{Permissions: permissions, OrgID: scope.OrgID}).request("description"))
	require.NoError(b, err)
	return encoded
}

// BenchmarkResolveAndEncode is what a mint of a 50-permission role costs besides its one call.
func BenchmarkResolveAndEncode(b *testing.B) {
	names, role, scope := wideRole(b)
	resolveAndEncode(b, names, role, scope)
	b.ReportAllocs()
	for b.Loop() {
		resolveAndEncode(b, names, role, scope)
	}
}

func TestResolvingAndEncodingStaysCheap(t *testing.T) {
	names, role, scope := wideRole(t)
	resolveAndEncode(t, names, role, scope)
	require.Less(t, testing.AllocsPerRun(100, func() { resolveAndEncode(t, names, role, scope) }), 100.0)
}
