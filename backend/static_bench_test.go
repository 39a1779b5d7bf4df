package backend

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// manyStatics is a mount with as many static roles, which share one token; due of them are due.
func manyStatics(t testing.TB, count, due int) *testMount {
	m := newDirectMount(t)
	m.statically(map[string]any{"rotation_period": "24h"})
	m.write("config", map[string]any{"tidy_interval": 0})
	role := m.storedStatic("kept")
	soon := *role
	soon.NextRotation = m.clock.now().Add(time.Minute)
	for i := range count - 1 {
		r := role
		if i < due {
			r = &soon
		}
		require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage.Storage, fmt.Sprintf("role-%05d", i), r))
	}
	require.NoError(t, m.tick())
	return m
}

// BenchmarkStaticTickIdle is a tick over 10,000 static roles of which none is due.
func BenchmarkStaticTickIdle(b *testing.B) {
	m := manyStatics(b, 10_000, 0)
	b.ReportAllocs()
	for b.Loop() {
		if err := m.rotateStatics(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStaticLoad is the look at 10,000 static roles that the first tick after a start takes, in the background.
func BenchmarkStaticLoad(b *testing.B) {
	m := manyStatics(b, 10_000, 0)
	for b.Loop() {
		if err := m.loadStatics(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStaticRotations rotates 1,000 of 10,000 static roles that are due at once.
func BenchmarkStaticRotations(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		m := manyStatics(b, 10_000, 1_000)
		m.clock.advance(2 * time.Minute)
		b.StartTimer()
		if err := m.rotateStatics(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "rotations/s")
}

// As many as are due at once are all rotated in their slice, and nothing else is read.
func TestManyStaticRotationsAtOnce(t *testing.T) {
	t.Parallel()
	const count, due = 300, 100
	m := manyStatics(t, count, due)
	m.clock.advance(2 * time.Minute)
	read := map[string]bool{}
	m.storage.failing(func(op, key string) bool {
		if op == "get" {
			read[key] = true
		}
		return false
	})
	require.NoError(t, m.tick())
	roles := 0
	for key := range read {
		if strings.HasPrefix(key, store.StaticRolePrefix) {
			roles++
		}
	}
	require.Equal(t, due, roles)
	for i := range due {
		require.True(t, m.storedStatic(fmt.Sprintf("role-%05d", i)).LastRotation.After(m.storedStatic("kept").LastRotation))
	}
}
