package backend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestLiveTokensFreeTheirPlaceAtTheirDeadlines(t *testing.T) {
	var l liveTokens
	now := time.Unix(1_800_000_000, 0)
	add := func(n int, deadline time.Duration) { l.add("app", fmt.Sprintf("%016x", n), now.Add(deadline)) }
	reached := func(limit int, later time.Duration) bool {
		place := l.claim("app", limit, now.Add(later))
		if place != nil {
			place.giveBack()
		}
		return place == nil
	}

	require.False(t, reached(1, 0), "none at all")
	add(1, 20*time.Second)
	add(2, 10*time.Second) // a shorter one, later
	add(3, 30*time.Second)
	require.False(t, reached(4, 0))
	require.True(t, reached(3, 10*time.Second), "to its last second it counts")
	require.False(t, reached(3, 11*time.Second))
	require.True(t, reached(2, 11*time.Second), "the others stay")
	add(4, 15*time.Second)
	require.False(t, reached(3, 16*time.Second), "shorter than those that were looked at")
	l.remove("app", fmt.Sprintf("%016x", 1))
	l.remove("app", fmt.Sprintf("%016x", 1))
	require.False(t, reached(2, 16*time.Second))
	require.False(t, reached(1, 31*time.Second))
	add(5, time.Minute)
	require.True(t, reached(1, 31*time.Second), "and they fill again")
	l.remove("app", fmt.Sprintf("%016x", 5))
	require.Empty(t, l.byRole)
	require.Empty(t, l.claimed)
}

// Those that ask at once get no more tokens than one after the other.
func TestMaxLeasesHoldsForMintsAtOnce(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("config", map[string]any{"request_timeout": "1m"})
	const limit, asking = 3, 12
	m.write("roles/few", map[string]any{"read_buckets": "metrics", "max_leases": limit})
	release := server.Stall(http.MethodPost, authorizations)
	answers := make(chan error, asking)
	for range asking {
		go func() { answers <- m.try(logical.ReadOperation, "creds/few", nil) }()
	}
	for range asking - limit { // they need not wait for the others
		require.ErrorContains(t, <-answers, "its max_leases")
	}
	release()
	for range limit {
		require.NoError(t, <-answers)
	}
	require.Len(t, live(server), limit)
	require.Empty(t, m.backend.live.claimed)
}

// A mint that failed takes no place.
func TestAFailedMintGivesItsPlaceBack(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/one", map[string]any{"read_buckets": "metrics", "max_leases": 1})
	refusePost(server)
	require.Error(t, m.try(logical.ReadOperation, "creds/one", nil))
	server.Intercept(nil)
	tidyUp(t, server, m.mint("one"))
}

// BenchmarkFullRole is what a refused mint of a role with 100,000 live tokens costs: it must not look at each.
func BenchmarkFullRole(b *testing.B) {
	var l liveTokens
	now := time.Now()
	const tokens = 100_000
	for n := range tokens {
		l.add("app", fmt.Sprintf("%016x", n), now.Add(time.Hour))
	}
	b.ReportAllocs()
	for b.Loop() {
		if l.claim("app", tokens, now) != nil {
			b.Fatal("not full")
		}
	}
}
