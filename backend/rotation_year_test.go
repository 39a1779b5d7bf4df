package backend

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/stretchr/testify/require"
)

// pair is a planned token on two nodes: the standby ticks too, and does nothing until it takes over.
type pair struct {
	*planned
	standby *testMount
	ticks   int
}

func newPair(p *planned) *pair {
	p.t.Helper()
	if !atLength() {
		p.t.(*testing.T).Skip("a year of ticks, one after the other, shows nothing of races or of the plugin protocol")
	}
	p.clock.zone = time.FixedZone("Kiritimati", 14*3600) // where each day begins before it does in UTC
	standby := newNode(p.t, p.storage, p.clock)
	standby.system.ReplicationStateVal = consts.ReplicationPerformanceStandby
	return &pair{planned: p, standby: standby}
}

// later is a tick on both nodes. Now and then the active one has crashed, or the other takes over.
func (p *pair) later(d time.Duration) {
	p.t.Helper()
	switch p.ticks++; {
	case p.ticks%70 == 0:
		p.testMount, p.standby = p.standby, p.testMount
		p.system.ReplicationStateVal, p.standby.system.ReplicationStateVal = 0, consts.ReplicationPerformanceStandby
		p.reload() // Vault makes its mounts anew on both sides
		p.standby.reload()
	case p.ticks%30 == 0:
		p.crash()
	}
	writes := p.storage.writeCount()
	require.NoError(p.t, p.standby.tick())
	require.Equal(p.t, writes, p.storage.writeCount(), "a standby leaves all as it is")
	p.pass(d)
}

// onTime is the next tick while nothing is wrong, in an hour when a rotation is near: the token is rotated when that is
// due, and only then.
func (p *pair) onTime() {
	p.t.Helper()
	due, times, start, d := p.next(), len(p.rotated), p.clock.now(), 12*time.Hour
	if due.Sub(start) < 24*time.Hour {
		d = time.Hour
	}
	p.later(d)
	if len(p.rotated) == times {
		require.True(p.t, start.Add(d).Before(due), "at %s none, though it was due at %s", start.Add(d), due)
	} else {
		require.False(p.t, p.clock.now().Before(due), "at %s one, though it was due at %s", p.clock.now(), due)
	}
}

func TestRotationByPeriodOverAYear(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	eachPlanned(t, map[string]any{"rotation_period": "168h"}, func(t *testing.T, planned *planned) {
		p := newPair(planned)
		last := p.clock.now()
		for p.clock.now().UTC().Year() == 2027 {
			p.onTime()
			if n := len(p.rotated); n > 0 && p.rotated[n-1] != last {
				require.GreaterOrEqual(t, p.rotated[n-1].Sub(last), week-time.Minute)
				last = p.rotated[n-1]
			}
			if p.ticks == 400 {
				p.clock.advance(30 * 24 * time.Hour) // Vault stands still: what was missed is done once
			}
		}
		require.InDelta(t, (365-30)/7, len(p.rotated), 1)
		require.LessOrEqual(t, len(roots(p.server)), 1)
		require.LessOrEqual(t, len(p.server.Tokens()), 1+2, "the root token, and a static role's and the one before it")
		require.Equal(t, true, p.read("check").Data["healthy"])
	})
}

func TestRotationByScheduleOverAYear(t *testing.T) {
	t.Parallel()
	p := newPair(newPlannedRoot(t, map[string]any{"rotation_schedule": "15 3 1 * *", "rotation_window": "2h"}))
	require.Equal(t, "2027-02-01T03:15:00Z", p.read("config").Data["next_vault_rotation"])
	until := func(month time.Month, hour int, tick func()) {
		for p.clock.now().Before(time.Date(2027, month, 1, hour, 0, 0, 0, time.UTC)) {
			tick()
		}
	}
	hour := func() { p.later(time.Hour) }
	skipped := func(due, why string) {
		t.Helper()
		problems := fmt.Sprint(p.read("check").Data["problems"])
		require.Contains(t, problems, "the rotation of the root token that was due at "+due+" was skipped ("+why)
	}
	until(time.May, 0, p.onTime)
	p.server.Refuse("", "/")
	until(time.May, 9, hour)
	p.server.Intercept(nil)
	skipped("2027-05-01T03:15:00Z", "GET "+p.server.URL+authorizations)

	until(time.August, 1, p.onTime)
	require.Equal(t, true, p.read("check").Data["healthy"], "the rotation in June ended that")
	p.clock.set(time.Date(2027, time.August, 1, 6, 30, 0, 0, time.UTC)) // Vault was sealed
	hour()
	skipped("2027-08-01T03:15:00Z", "the engine was not running")
	until(13, 1, p.onTime)

	var months []time.Month
	for _, at := range p.rotated {
		due := time.Date(2027, at.Month(), 1, 3, 15, 0, 0, time.UTC)
		require.WithinRange(t, at, due, due.Add(2*time.Hour))
		months = append(months, at.Month())
	}
	require.Equal(t, []time.Month{2, 3, 4, 6, 7, 9, 10, 11, 12}, months)
	require.Len(t, p.server.Tokens(), 1)
}
