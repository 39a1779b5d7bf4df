package backend

import (
	"testing"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// costs are the calls that something makes to others.
type costs struct{ http, storage, vault []string }

// costOf counts the calls of one request.
func (m *testMount) costOf(server *influxtest.Server, request func()) costs {
	m.t.Helper()
	var c costs
	server.ResetRequests()
	m.asked.asked()
	m.storage.failing(func(op, key string) bool {
		c.storage = append(c.storage, op+" "+key)
		return false
	})
	request()
	m.storage.failing(nil)
	c.vault = m.asked.asked()
	for _, r := range server.Requests() {
		c.http = append(c.http, r.Method)
	}
	return c
}

// remembering makes what is remembered of Vault last for the whole test.
func (m *testMount) remembering() {
	m.system.ReplicationStateVal = consts.ReplicationPerformanceDisabled | consts.ReplicationDRDisabled
	m.cacheSystemView()
}

// Of each lease InfluxDB sees one call at a time, Vault's storage none, and Vault is asked nothing.
func TestARequestCostsOneCall(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "1h"})
	m.write("roles/app", map[string]any{"read_buckets": "metrics"})
	m.remembering()
	_, err := m.mint("app").renew()
	require.NoError(t, err)

	var l *leased
	require.Equal(t, costs{http: []string{"POST"}}, m.costOf(server, func() { l = m.mint("app") }), "mint")
	require.Equal(t, costs{http: []string{"GET"}}, m.costOf(server, func() {
		_, err := l.renew()
		require.NoError(t, err)
	}), "renew")
	require.Equal(t, costs{http: []string{"DELETE"}}, m.costOf(server, func() { require.NoError(t, l.revoke(t.Context())) }), "revoke")
	m.read("static-creds/kept")
	require.Equal(t, costs{}, m.costOf(server, func() { m.read("static-creds/kept") }), "static read")
}

// A role of many buckets costs no more calls than one of one.
func TestAMintOfManyBucketsCostsOneCall(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for _, name := range []string{"a", "b", "c"} {
		server.AddBucket(server.OrgID(), name)
	}
	m.write("roles/many", map[string]any{"read_buckets": "a,b,c,metrics", "write_buckets": "a,b,c", "read_resources": "tasks"})
	m.remembering()
	m.mint("many")
	require.Equal(t, costs{http: []string{"POST"}}, m.costOf(server, func() { m.mint("many") }))
}

// BenchmarkLease is what a lease costs from its mint to its end, in this process: the engine, and the fake InfluxDB
// that answers it. Compare with the numbers before a change; those of direct say where an allocation comes from.
func BenchmarkLease(b *testing.B) {
	for name, newMount := range map[string]func(testing.TB) *testMount{"direct": newDirectMount, "grpc": newPluginMount} {
		b.Run(name, func(b *testing.B) {
			m := newMount(b)
			m.connected()
			m.remembering()
			b.ReportAllocs()
			for b.Loop() {
				l := m.mint("app")
				if _, err := l.renew(); err != nil {
					b.Fatal(err)
				}
				if err := l.revoke(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a static read allocates is the framework's, and the answer: 38 objects, and 71 when it read storage. Over the plugin
// protocol there are Vault's and gRPC's besides, which make bench counts.
func TestAStaticReadAllocatesLittle(t *testing.T) {
	m := newDirectMount(t)
	m.statically(nil)
	m.remembering()
	read := func() { m.ok(logical.ReadOperation, "static-creds/kept", nil) }
	require.LessOrEqual(t, testing.AllocsPerRun(200, read), 45.0)
}

// BenchmarkStaticRead asks nobody.
func BenchmarkStaticRead(b *testing.B) {
	m := newDirectMount(b)
	m.statically(nil)
	m.remembering()
	b.ReportAllocs()
	for b.Loop() {
		m.ok(logical.ReadOperation, "static-creds/kept", nil)
	}
}
