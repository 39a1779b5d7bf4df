package e2e

import (
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLeaseClock has what takes time to happen. All of it, on both versions, happens at once: each scenario
// begins, and ends in a subtest of its own.
func TestLeaseClock(t *testing.T) {
	t.Parallel()
	scenarios := map[string]func(*testing.T, *engine) (end func(*testing.T)){
		"a lease that runs out takes its token along":    leaseRunsOut,
		"a lease that is renewed outlives its first ttl": renewedLeaseLives,
		"no renewal reaches past max_ttl":                renewalsEndAtMaxTTL,
		"no lease outlives the batch token that got it":  batchTokenEnds,
		"a token that nobody unwrapped dies as well":     wrappedLeaseRunsOut,
	}
	ends := map[string]func(*testing.T){}
	for _, version := range versions {
		e := connectedEngine(t, influxOf(t, version))
		for name, begin := range scenarios {
			ends[version+"/"+name] = begin(t, e)
		}
	}
	for name, end := range ends {
		t.Run(name, end)
	}
}

func leaseRunsOut(t *testing.T, e *engine) func(*testing.T) {
	e.role(t, "brief", bucketRole(map[string]any{"ttl": "20s"}))
	m := e.mint(t, "brief")
	_, expires := e.leaseTimes(t, m.lease)
	assertWorks(t, e.influx, m.token)
	death := e.watch(t, m)
	return func(t *testing.T) { assertDiedAt(t, expires, <-death) }
}

func renewedLeaseLives(t *testing.T, e *engine) func(*testing.T) {
	e.role(t, "renewed", bucketRole(map[string]any{"ttl": "20s", "max_ttl": "1m"}))
	m := e.mint(t, "renewed")
	_, first := e.leaseTimes(t, m.lease)
	assert.Equal(t, 30, e.renew(t, m.lease, 30), "a renewal counts from now")
	_, second := e.leaseTimes(t, m.lease)
	require.Greater(t, second.Sub(first), time.Second)
	death := e.watch(t, m)
	return func(t *testing.T) { assertDiedAt(t, second, <-death) }
}

func renewalsEndAtMaxTTL(t *testing.T, e *engine) func(*testing.T) {
	e.role(t, "bounded", bucketRole(map[string]any{"ttl": "20s", "max_ttl": "24s"}))
	m := e.mint(t, "bounded")
	issued, _ := e.leaseTimes(t, m.lease)
	asked := time.Now()
	assert.LessOrEqual(t, e.renew(t, m.lease, 3600), 24)
	took := time.Since(asked)
	_, expires := e.leaseTimes(t, m.lease)
	// The later the renewal comes, the less is left to give. Vault adds that to its clock some time after it has reckoned it.
	assert.False(t, expires.After(issued.Add(24*time.Second+took)), "issued %s, expires %s", issued, expires)
	death := e.watch(t, m)
	return func(t *testing.T) { assertDiedAt(t, expires, <-death) }
}

func batchTokenEnds(t *testing.T, e *engine) func(*testing.T) {
	e.role(t, "app", bucketRole(nil))
	batch := e.caller(t, e.vault, api.TokenCreateRequest{Type: "batch", TTL: "24s"})
	m := e.mintAs(t, batch, "app")
	assert.LessOrEqual(t, m.seconds, 24)
	_, expires := e.leaseTimes(t, m.lease)
	assertWorks(t, e.influx, m.token)
	death := e.watch(t, m)
	return func(t *testing.T) { assertDiedAt(t, expires, <-death) }
}

func wrappedLeaseRunsOut(t *testing.T, e *engine) func(*testing.T) {
	e.role(t, "wrapped", bucketRole(map[string]any{"ttl": "20s"}))
	e.wrapped(t, "wrapped", "1m")
	require.Len(t, e.tokensOf(t, "wrapped"), 1)
	return func(t *testing.T) { e.awaitNoTokenOf(t, "wrapped", lateness) }
}
