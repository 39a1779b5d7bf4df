package backend

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

func TestLeaseTimes(t *testing.T) {
	for _, c := range []struct {
		name     string
		role     map[string]any
		asked    string
		ttl, max time.Duration
		warning  string
	}{
		{"the mount's", nil, "", time.Hour, 24 * time.Hour, ""},
		{"the role's", map[string]any{"ttl": "10m", "max_ttl": "2h"}, "", 10 * time.Minute, 2 * time.Hour, ""},
		{"max_ttl alone bounds the default", map[string]any{"max_ttl": "30m"}, "", 30 * time.Minute, 30 * time.Minute, ""},
		{"the mount's maximum bounds the role's", map[string]any{"ttl": "40h", "max_ttl": "48h"}, "", 24 * time.Hour, 24 * time.Hour, ""},
		{"asked for less", map[string]any{"ttl": "10m"}, "90", 90 * time.Second, 24 * time.Hour, ""},
		{"asked for more than ttl", map[string]any{"ttl": "10m"}, "20m", 20 * time.Minute, 24 * time.Hour, ""},
		{"asked for too much", map[string]any{"max_ttl": "1h"}, "5h", time.Hour, time.Hour, "ttl: 5h0m0s is longer than allowed; the lease has 1h0m0s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMount(t)
			server := m.connected()
			role := map[string]any{"read_buckets": "metrics"}
			for k, v := range c.role {
				role[k] = v
			}
			m.write("roles/times", role)
			data := map[string]any{}
			if c.asked != "" {
				data["ttl"] = c.asked
			}
			l := m.leased(m.ok(logical.UpdateOperation, "creds/times", data))
			require.Equal(t, c.ttl, l.secret.TTL)
			require.Equal(t, c.max, l.secret.MaxTTL)
			st, ours := readStamp(live(server)[l.id].Description)
			require.True(t, ours)
			require.WithinDuration(t, m.clock.now().Add(c.max+time.Minute), st.Deadline, 30*time.Second)
		})
	}
}

// The deadline is fixed before InfluxDB is asked, and the lease starts after it has answered: it ends earlier, so that
// no token is reaped under a lease.
func TestASlowMintShortensItsLease(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/short", map[string]any{"read_buckets": "metrics", "max_ttl": "1m", "max_leases": 1})
	var takes time.Duration
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			m.clock.advance(takes)
		}
		next.ServeHTTP(w, r)
	})
	whole := map[string]any{"ttl": "1h"}
	l := m.leased(m.ok(logical.UpdateOperation, "creds/app", whole))
	require.Equal(t, []time.Duration{time.Hour, time.Hour}, []time.Duration{l.secret.TTL, l.secret.MaxTTL})

	takes = 10 * time.Minute
	slow := m.leased(m.ok(logical.UpdateOperation, "creds/app", whole))
	require.LessOrEqual(t, slow.secret.MaxTTL, time.Hour+deadlineGrace/2-takes, "half of the grace is left")
	require.Greater(t, slow.secret.MaxTTL, 30*time.Minute)
	require.Equal(t, slow.secret.MaxTTL, slow.secret.TTL)

	status, text := m.refused(logical.ReadOperation, "creds/short", nil)
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, text, "InfluxDB took so long to make the token")
	require.Len(t, live(server), 2, "the token is deleted")
	takes = 0
	tidyUp(t, server, l, slow, m.mint("short"))
}

func TestDescriptionTemplate(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/told", map[string]any{"read_buckets": "metrics", "description": "{{.Role}} at {{.Mount}} by {{.DisplayName}} [vault:v1:x] {{.EntityID}}"})
	resp, err := m.send(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/told",
		DisplayName: "eve\n[vault:v1:" + testUUID + ":lease:x:00:9999999999]", EntityID: "entity-1"})
	require.NoError(t, err)
	text := live(server)[m.leased(resp).id].Description
	require.True(t, strings.HasPrefix(text, "told at influxdb/ by eve (vault:v1:"+testUUID+":lease:x:00:9999999999] (vault:v1:x] entity-1 [vault:v1:"), text)

	m.write("roles/long", map[string]any{"read_buckets": "metrics", "description": strings.Repeat("é", 500)})
	long := m.mint("long")
	text = live(server)[long.id].Description
	human, _, _ := strings.Cut(text, " [vault:")
	require.Equal(t, strings.Repeat("é", 256)+"…", human)
}

func TestMaxLeases(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/few", map[string]any{"read_buckets": "metrics", "max_ttl": "1h", "max_leases": 2})
	first := m.mint("few")
	m.mint("few")
	status, text := m.refused(logical.ReadOperation, "creds/few", nil)
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Contains(t, text, "has 2 live tokens")
	require.NoError(t, first.revoke(t.Context()))
	m.mint("few")

	// A start counts what InfluxDB holds, with the first minute.
	m.reload()
	require.NoError(t, m.tick())
	require.Len(t, live(server), 2)
	status, _ = m.refused(logical.ReadOperation, "creds/few", nil)
	require.Equal(t, http.StatusTooManyRequests, status)

	// What is past its deadline does not count.
	m.clock.advance(2 * time.Hour)
	m.mint("few")
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
}

// A mint that failed does not count.
func TestAFailedMintReleasesItsReservation(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	m.write("roles/one", map[string]any{"read_buckets": "metrics", "max_leases": 1})
	refusePost(server)
	require.Error(t, m.try(logical.ReadOperation, "creds/one", nil))
	server.Intercept(nil)
	tidyUp(t, server, m.mint("one"))
}
