package backend

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/store"
)

// ahead is what a clock may be ahead by: a time zone before NTP sets it, and a machine that was resumed.
var ahead = map[string]time.Duration{"an hour": time.Hour, "a year": 366 * 24 * time.Hour}

// aheadBy does something while the mount's clock is ahead, and lets it be set right after; restarted also starts the mount
// again.
func (m *testMount) aheadBy(d time.Duration, restarted bool, do func()) {
	m.t.Helper()
	m.clock.advance(d)
	do()
	m.clock.advance(-d)
	if restarted {
		m.crash()
	}
}

// eachWrongClock runs a test for each clock that was ahead, with and without a restart after it was set right.
func eachWrongClock(t *testing.T, test func(t *testing.T, d time.Duration, restarted bool)) {
	for name, d := range ahead {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %t", name, restarted), func(t *testing.T) { test(t, d, restarted) })
		}
	}
}

// A rotation while the clock was ahead plans the next one as far ahead.
func TestRotationByAWrongClock(t *testing.T) {
	t.Parallel()
	for name, plan := range map[string]map[string]any{"period": {"rotation_period": "30m"}, "schedule": {"rotation_schedule": "*/30 * * * *"}} {
		eachWrongClock(t, func(t *testing.T, d time.Duration, restarted bool) {
			begin := map[string]any{"rotation_period": "24h"} // with a grace of the default hour, until it is given
			eachPlanned(t, begin, func(t *testing.T, p *planned) {
				if p.path != "config" {
					p.ok(logical.PatchOperation, p.path, map[string]any{"grace_period": "10m"})
				}
				p.ok(logical.PatchOperation, p.path, plan)
				p.aheadBy(d, restarted, func() { p.pass(0) })
				require.Len(t, p.rotated, 1, "by plan, %s", name)
				p.pass(time.Minute)
				require.Len(t, p.rotated, 2, "due now")
				require.WithinDuration(t, p.clock.now(), p.next(), 31*time.Minute)
				for range 3 {
					p.pass(10 * time.Minute)
				}
				require.Len(t, p.rotated, 3, "and on as planned")
			})
		})
	}
}

// What such a rotation has stored of a static role: before any tick, too, ttl is what the plan allows, and the previous
// token works no longer than its grace.
func TestStaticTokensByAWrongClock(t *testing.T) {
	t.Parallel()
	eachWrongClock(t, func(t *testing.T, d time.Duration, restarted bool) {
		p := newPlannedStatic(t, map[string]any{"rotation_period": "30m"})
		first := p.seen
		p.aheadBy(d, restarted, func() { p.pass(0) })
		require.LessOrEqual(t, seconds(t, p.readStatic("kept")["ttl"]), 30*60)
		p.pass(time.Minute)
		require.Equal(t, http.StatusUnauthorized, writes(t, p.server, first), "its grace can't last so long")
		answer := p.readStatic("kept")
		require.LessOrEqual(t, seconds(t, answer["ttl"]), 30*60)
		last, err := time.Parse(time.RFC3339Nano, answer["last_vault_rotation"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, p.clock.now(), last, time.Minute)
		require.WithinDuration(t, p.clock.now().Add(30*time.Minute), p.storedStatic("kept").Previous.Ends, time.Minute)
	})
}

// A role that is rotated by hand has only a start that lies ahead: it is set once, and does not change from then on.
func TestLastRotationByAWrongClock(t *testing.T) {
	eachWrongClock(t, func(t *testing.T, d time.Duration, restarted bool) {
		m := newMount(t)
		server := m.statically(map[string]any{"grace_period": "10m"})
		first := m.readStatic("kept")["token"].(string)
		m.aheadBy(d, restarted, func() { m.write("rotate-role/kept", nil) })
		require.NoError(t, m.tick())
		corrected := m.readStatic("kept")
		last, err := time.Parse(time.RFC3339Nano, corrected["last_vault_rotation"].(string))
		require.NoError(t, err)
		require.WithinDuration(t, m.clock.now(), last, time.Minute)
		require.Equal(t, http.StatusUnauthorized, writes(t, server, first))
		m.minutes(3)
		require.Equal(t, corrected, m.readStatic("kept"), "it ages")
	})
}

// rotate-role may give a longer grace than the role has, for once. That is kept, whether it was stored with the token, or
// by an earlier version that did not.
func TestALongerGraceForOnceStays(t *testing.T) {
	for _, stored := range []bool{true, false} {
		t.Run(fmt.Sprintf("stored %t", stored), func(t *testing.T) {
			m := newMount(t)
			server := m.statically(map[string]any{"rotation_period": "24h", "grace_period": "10m"})
			first := m.readStatic("kept")["token"].(string)
			m.write("rotate-role/kept", map[string]any{"grace_period": "20h"})
			role := m.storedStatic("kept")
			require.Equal(t, 20*3600, role.Previous.Grace)
			if !stored {
				role.Previous.Grace = 0
				require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage.Storage, "kept", role))
				m.reload()
			}
			ends := role.Previous.Ends
			for range 19 {
				m.clock.advance(time.Hour)
				_ = m.tick()
			}
			require.Equal(t, http.StatusNoContent, writes(t, server, first))
			require.True(t, ends.Equal(m.storedStatic("kept").Previous.Ends))
			m.clock.advance(time.Hour)
			_ = m.tick()
			require.Equal(t, http.StatusUnauthorized, writes(t, server, first))
		})
	}
}

// What clocks of two nodes differ by changes no time.
func TestClocksMayDifferALittle(t *testing.T) {
	m := newMount(t)
	m.statically(map[string]any{"rotation_period": "1h", "grace_period": "1h"})
	m.write("rotate-role/kept", nil)
	before := m.storedStatic("kept")
	m.clock.advance(-30 * time.Second)
	m.crash()
	require.NoError(t, m.tick())
	require.Equal(t, before, m.storedStatic("kept"))
}

// A deletion of a static role that was cut off while the clock was ahead is finished by the next tick.
func TestStaticRoleDeletedByAWrongClock(t *testing.T) {
	m := newMount(t)
	server := m.statically(nil)
	m.aheadBy(366*24*time.Hour, false, func() {
		m.write("rotate-role/kept", map[string]any{"grace_period": 0})
		m.storage.failOn("delete", "static-role/")
		require.Error(t, m.try(logical.DeleteOperation, "static-roles/kept", nil))
		m.storage.failing(nil)
	})
	m.crash()
	require.NoError(t, m.tick())
	require.Empty(t, m.keys("static-role/"))
	require.Empty(t, staticTokens(server))
}

// A root token that is rotated by hand has only a start that lies ahead.
func TestLastRootRotationByAWrongClock(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	m.configure(server, map[string]any{"authorization_id": server.RootID(), "tidy_interval": 0})
	m.aheadBy(366*24*time.Hour, true, func() { m.write("config/rotate-root", nil) })
	require.NoError(t, m.tick())
	corrected := m.stored()
	require.WithinDuration(t, m.clock.now(), corrected.LastRotation, time.Minute)
	m.minutes(3)
	require.Equal(t, corrected, m.stored(), "it ages")
}

// A rotation of the root token that was cut off while the clock was ahead is settled as soon as any other.
func TestRootRotationCutOffByAWrongClock(t *testing.T) {
	eachWrongClock(t, func(t *testing.T, d time.Duration, restarted bool) {
		c := newRootScene(t, true)
		c.server.Refuse(http.MethodPatch, authorizations)
		c.aheadBy(d, restarted, func() { require.Error(t, c.rotate()) })
		c.server.Intercept(nil)
		require.NoError(t, c.tick())
		require.NotEmpty(t, c.keys("intention/"), "too young")
		c.clock.advance(intentionAge)
		require.NoError(t, c.tick())
		require.Empty(t, c.keys("intention/"))
		require.NotContains(t, existing(c.server), c.server.RootID())
	})
}

// A setup that was cut off while the clock was ahead, and not carried out, is forgotten as soon as any other.
func TestSetupCutOffByAWrongClock(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t, influxtest.Fresh())
	server.Refuse(http.MethodPost, setupPath)
	m.aheadBy(366*24*time.Hour, true, func() {
		require.Error(t, m.try(logical.UpdateOperation, "config/setup", founded(server)))
	})
	server.Intercept(nil)
	_ = m.tick()
	require.NotEmpty(t, m.keys("intention/"))
	m.clock.advance(intentionAge)
	_ = m.tick()
	require.Empty(t, m.keys("intention/"))
}

// A mint that was not answered while the clock was ahead is settled as soon as any other.
func TestUnansweredMintByAWrongClock(t *testing.T) {
	eachWrongClock(t, func(t *testing.T, d time.Duration, restarted bool) {
		m := newMount(t)
		server := m.connected()
		m.write("config", map[string]any{"tidy_interval": 0})
		server.LoseAnswer(http.MethodPost, authorizations)
		m.aheadBy(d, restarted, func() { require.Error(t, m.try(logical.ReadOperation, "creds/app", nil)) })
		server.Intercept(nil)
		require.Len(t, m.keys("pending/"), 1)
		_ = m.tick()
		m.clock.advance(nonceAge + time.Second)
		require.NoError(t, m.tick())
		require.Empty(t, m.keys("pending/"))
		require.Empty(t, live(server))
	})
}

// A period of one minute is a rotation a minute: a tick takes what falls due within the next seconds.
func TestMinutelyRotation(t *testing.T) {
	eachPlanned(t, map[string]any{"rotation_period": "1m"}, func(t *testing.T, p *planned) {
		for range 10 {
			p.pass(time.Minute - 2*time.Second) // as if each rotation took so long after its tick
		}
		require.Len(t, p.rotated, 10)
	})
}

// A schedule names the moment: nothing is rotated before it.
func TestScheduledRotationIsNotEarly(t *testing.T) {
	eachPlanned(t, map[string]any{"rotation_schedule": "0 14 * * *"}, func(t *testing.T, p *planned) {
		p.clock.stop(time.Date(2027, 1, 1, 13, 59, 58, 0, time.UTC))
		p.pass(0)
		require.Empty(t, p.rotated)
		p.clock.stop(time.Date(2027, 1, 1, 14, 0, 0, 0, time.UTC))
		p.pass(0)
		require.Len(t, p.rotated, 1)
	})
}
