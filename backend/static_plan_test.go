package backend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// planned is a static role that is rotated by plan, and what was seen of it.
type planned struct {
	*testMount
	server *influxtest.Server
	// rotated are the times at which a new token was seen.
	rotated []time.Time
	token   any
}

func newPlanned(t *testing.T, plan map[string]any) *planned {
	t.Helper()
	m := newMount(t)
	m.clock.set(time.Date(2027, 1, 1, 12, 30, 0, 0, time.UTC))
	p := &planned{testMount: m, server: m.statically(plan)}
	m.write("config", map[string]any{"tidy_interval": 0})
	p.token = m.readStatic("kept")["token"]
	return p
}

// pass is a tick after a while, and a look at what it did.
func (p *planned) pass(d time.Duration) {
	p.t.Helper()
	p.clock.advance(d)
	_ = p.tick() // says what is still pending
	if token := p.readStatic("kept")["token"]; token != p.token {
		p.token = token
		p.rotated = append(p.rotated, p.clock.now().UTC().Truncate(time.Minute))
	}
	require.LessOrEqual(p.t, len(staticTokens(p.server)), 2)
}

func TestStaticRotationByPeriodOverAYear(t *testing.T) {
	p := newPlanned(t, map[string]any{"rotation_period": "168h", "grace_period": "24h"})
	start := p.clock.now().UTC().Truncate(time.Minute)
	for tick := range 365 * 4 {
		if tick%200 == 100 {
			p.crash() // a restart, or a fail-over
		}
		p.pass(6 * time.Hour)
	}
	require.Len(t, p.rotated, 52)
	for i, at := range p.rotated {
		require.False(t, at.Before(start.Add(time.Duration(i+1)*7*24*time.Hour)), "rotation %d was early", i)
	}
}

// InfluxDB is down over three due times: the old token stays and can be read, the error shows, and there is one rotation
// afterwards.
func TestStaticRotationAfterAnOutage(t *testing.T) {
	p := newPlanned(t, map[string]any{"rotation_period": "1h"})
	p.server.Refuse("", "/")
	for range 60*3 + 30 {
		p.pass(time.Minute)
	}
	require.Empty(t, p.rotated)
	require.NotEmpty(t, p.read("static-roles/kept").Data["last_error"])
	require.Contains(t, fmt.Sprint(p.problems()), `static role "kept": the last rotation failed, and the old token stays; it is tried again by itself: `)
	p.server.Intercept(nil)
	for range 50 { // longer than the longest pause between two attempts
		p.pass(time.Minute)
	}
	require.Len(t, p.rotated, 1)
	require.Empty(t, p.read("static-roles/kept").Data["last_error"])
	require.Empty(t, p.problems())
	for range 30 {
		p.pass(time.Minute)
	}
	require.LessOrEqual(t, len(p.rotated), 2)
	require.Empty(t, p.keys("intention/"))
}

// A rotation that can't succeed does not begin: the previous token keeps its grace.
func TestStaticRotationOfWhatIsGoneBeginsNot(t *testing.T) {
	m := newMount(t)
	server := m.statically(map[string]any{"rotation_period": "24h"})
	first := m.readStatic("kept")["token"].(string)
	m.write("rotate-role/kept", nil)
	server.RenameBucket(server.BucketID(), "renamed")
	m.write("config", map[string]any{"request_timeout": 11}) // with nothing remembered of names
	m.refused(logical.UpdateOperation, "rotate-role/kept", nil)
	require.Equal(t, http.StatusNoContent, writes(t, server, first))
	require.Len(t, staticTokens(server), 2)
}

// A time of the schedule whose window passes while InfluxDB is down is skipped, and said so; the next one is kept.
func TestStaticRotationThatMissesItsWindow(t *testing.T) {
	p := newPlanned(t, map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "1h"})
	p.server.Refuse("POST", authorizations)
	for p.clock.now().UTC().Before(time.Date(2027, 1, 2, 4, 30, 0, 0, time.UTC)) {
		p.pass(10 * time.Minute)
	}
	p.server.Intercept(nil)
	for p.clock.now().UTC().Before(time.Date(2027, 1, 3, 2, 50, 0, 0, time.UTC)) {
		p.pass(10 * time.Minute)
	}
	require.Empty(t, p.rotated, "the window is over")
	p.crash() // what was skipped is kept in storage
	require.Contains(t, p.read("static-roles/kept").Data["last_error"], "2027-01-02T03:00:00Z was skipped")
	require.Equal(t, "2027-01-03T03:00:00Z", p.read("static-roles/kept").Data["next_vault_rotation"])
	const skipped = `static role "kept": the rotation that was due at 2027-01-02T03:00:00Z was skipped (`
	p.pass(time.Minute)
	require.Contains(t, strings.Join(p.problems(), "\n"), skipped)
	for range 3 {
		p.pass(10 * time.Minute)
	}
	require.Len(t, p.rotated, 1)
	require.Empty(t, p.read("static-roles/kept").Data["last_error"])
	require.NotContains(t, strings.Join(p.problems(), "\n"), skipped)
}

// Another node of the cluster has rotated the role: what this one knew of it is read again, and nothing is done twice.
func TestStaticRotationAfterAnotherNodes(t *testing.T) {
	if overGRPC {
		t.Skip("two backends on one storage: over the wire there is one")
	}
	p := newPlanned(t, map[string]any{"rotation_period": "1h"})
	p.pass(time.Minute)
	other := p.in(t)
	other.reload()
	other.minutes(60)
	p.token = p.readStatic("kept")["token"]
	require.Len(t, staticTokens(p.server), 2, "rotated over there")

	p.vault.InvalidateKey(t.Context(), "static-role/kept")
	p.pass(time.Minute)
	require.Empty(t, p.rotated)
	require.Len(t, staticTokens(p.server), 2)
}

// Ten thousand roles of which nothing is due cost a tick no look at any of them.
func TestStaticTickReadsNoRoleThatIsNotDue(t *testing.T) {
	m := newMount(t)
	m.statically(map[string]any{"rotation_period": "1h"})
	role := m.storedStatic("kept")
	for i := range 50 {
		require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage.Storage, fmt.Sprint("other", i), role))
	}
	m.reload()
	require.NoError(t, m.tick())
	reads := 0
	m.storage.failing(func(op, key string) bool {
		if op == "get" && key != "config" && key != "intention/root" {
			reads++
		}
		return false
	})
	require.NoError(t, m.tick())
	require.Zero(t, reads)
}
