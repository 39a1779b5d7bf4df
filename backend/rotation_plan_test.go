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

// planned is a token that is rotated by plan, and what was seen of it.
type planned struct {
	*testMount
	server *influxtest.Server
	// path is where its plan is written; skipped and failed begin what check says of it.
	path, skipped, failed string
	// current is the token, and next when it is to be rotated.
	current func() string
	next    func() time.Time
	// seen is the last token that was seen, and rotated are the times at which a new one was.
	seen    string
	rotated []time.Time
}

// eachPlanned runs a test with the root token, and with a static role's.
func eachPlanned(t *testing.T, plan map[string]any, test func(t *testing.T, p *planned)) {
	for name, begin := range map[string]func(*testing.T, map[string]any) *planned{"root token": newPlannedRoot, "static role": newPlannedStatic} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, begin(t, plan))
		})
	}
}

func newPlannedRoot(t *testing.T, plan map[string]any) *planned {
	t.Helper()
	m := newMount(t)
	p := &planned{testMount: m, server: m.connected(influxtest.HashedTokens(false)), path: "config",
		skipped: "the rotation of the root token", failed: "the last planned rotation of the root token failed; it is tried again by itself: "}
	p.current = func() string { return p.stored().Token }
	p.next = func() time.Time { return p.stored().NextRotation }
	return p.begin(plan)
}

func newPlannedStatic(t *testing.T, plan map[string]any) *planned {
	t.Helper()
	m := newMount(t)
	p := &planned{testMount: m, server: m.statically(nil), path: "static-roles/kept",
		skipped: `static role "kept": the rotation`, failed: `static role "kept": the last rotation failed, and the old token stays; it is tried again by itself: `}
	p.current = func() string { return p.readStatic("kept")["token"].(string) }
	p.next = func() time.Time { return p.storedStatic("kept").NextRotation }
	return p.begin(plan)
}

func (p *planned) begin(plan map[string]any) *planned {
	p.t.Helper()
	p.clock.set(time.Date(2027, 1, 1, 12, 30, 0, 0, time.UTC))
	p.write("config", map[string]any{"tidy_interval": 0})
	p.ok(logical.PatchOperation, p.path, plan)
	p.seen = p.current()
	return p
}

// pass is a tick after a while, and a look at what it did.
func (p *planned) pass(d time.Duration) {
	p.t.Helper()
	p.clock.advance(d)
	require.NoError(p.t, p.tick())
	if token := p.current(); token != p.seen {
		p.seen = token
		p.rotated = append(p.rotated, p.clock.now().UTC().Truncate(time.Minute))
	}
	require.LessOrEqual(p.t, len(staticTokens(p.server)), 2)
}

// passUntil is one tick after another, until a moment.
func (p *planned) passUntil(at time.Time, d time.Duration) {
	p.t.Helper()
	for p.clock.now().Before(at) {
		p.pass(d)
	}
}

// A plan that can't be is refused, wherever it is written.
func TestRotationPlanIsChecked(t *testing.T) {
	m := newMount(t)
	m.statically(nil)
	for _, path := range []string{"config", "static-roles/kept"} {
		for _, c := range []struct {
			fields map[string]any
			says   string
		}{
			{map[string]any{"rotation_period": "1h", "rotation_schedule": "0 3 * * *"}, "rotation_period: give either rotation_period or rotation_schedule"},
			{map[string]any{"rotation_period": "59s"}, "rotation_period: must be 1m or more, or 0 for none"},
			{map[string]any{"rotation_window": "2h"}, "rotation_window: belongs to rotation_schedule; there is none"},
			{map[string]any{"rotation_period": "1h", "rotation_window": "2h"}, "rotation_window: belongs to rotation_schedule; there is none"},
			{map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "59m"}, "rotation_window: must be 1h or more, or 0 for no limit"},
			{map[string]any{"rotation_schedule": "@daily"}, "rotation_schedule: not a cron expression of five fields"},
			{map[string]any{"rotation_schedule": "0 0 3 * * *"}, "rotation_schedule: not a cron expression of five fields"},
			{map[string]any{"rotation_schedule": "0 0 30 2 *"}, "rotation_schedule: has no time within the next five years"},
			{map[string]any{"rotation_period": "-1h"}, "rotation_period: must be a duration"},
		} {
			require.Contains(t, m.rejected(logical.PatchOperation, path, c.fields), c.says, "%s: %v", path, c.fields)
		}
	}
}

// A period takes the place of a schedule, and a schedule that of a period.
func TestRotationPlanIsSwitched(t *testing.T) {
	m := newMount(t)
	m.connected()
	plan := func(fields map[string]any) store.RotationPlan {
		m.write("config", fields)
		return m.stored().RotationPlan
	}
	require.Equal(t, store.RotationPlan{RotationSchedule: "0 3 * * *", RotationWindow: 7200}, plan(map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "2h"}))
	require.Equal(t, store.RotationPlan{RotationSchedule: "0 4 * * *", RotationWindow: 7200}, plan(map[string]any{"rotation_schedule": "0 4 * * *"}))
	require.Equal(t, store.RotationPlan{RotationPeriod: 3600}, plan(map[string]any{"rotation_period": "1h"}))
	require.Equal(t, store.RotationPlan{RotationPeriod: 3600}, plan(map[string]any{"external_url": "http://a"}))
	require.Equal(t, store.RotationPlan{RotationSchedule: "0 4 * * *"}, plan(map[string]any{"rotation_schedule": "0 4 * * *"}))
	require.Equal(t, store.RotationPlan{RotationPeriod: 60}, plan(map[string]any{"rotation_period": 60, "rotation_schedule": "", "rotation_window": 0}), "as Terraform writes every field")
	require.Equal(t, store.RotationPlan{}, plan(map[string]any{"rotation_period": 0}))
	require.Empty(t, m.read("config").Data["next_vault_rotation"])
}

// A time of the schedule whose window passes while InfluxDB is down is skipped, and said so; the next one is kept.
func TestRotationThatMissesItsWindow(t *testing.T) {
	t.Parallel()
	eachPlanned(t, map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "1h"}, func(t *testing.T, p *planned) {
		p.server.Refuse("", "/")
		p.passUntil(time.Date(2027, 1, 2, 4, 30, 0, 0, time.UTC), 10*time.Minute)
		p.server.Intercept(nil)
		require.Empty(t, p.rotated)
		p.crash() // what was skipped lies in storage
		p.passUntil(time.Date(2027, 1, 3, 2, 50, 0, 0, time.UTC), 10*time.Minute)
		require.Empty(t, p.rotated, "the window is over")
		require.Equal(t, "2027-01-03T03:00:00Z", p.read(p.path).Data["next_vault_rotation"])
		skipped := p.skipped + " that was due at 2027-01-02T03:00:00Z was skipped ("
		require.Contains(t, strings.Join(p.problems(), "\n"), skipped)
		if p.path == "config" {
			require.Contains(t, fmt.Sprint(p.problems()), "the next one is due at 2027-01-03T03:00:00Z")
		} else {
			require.Contains(t, p.read(p.path).Data["last_error"], "2027-01-02T03:00:00Z was skipped")
		}
		for range 4 {
			p.pass(10 * time.Minute)
		}
		require.Len(t, p.rotated, 1)
		require.Empty(t, p.problems())
		require.Contains(t, []any{nil, ""}, p.read(p.path).Data["last_error"])
	})
}

// A rotation that failed is tried again, with pauses that grow; the old token stays and can be read, the error shows,
// and there is one rotation afterwards, however many times were missed.
func TestRotationThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	eachPlanned(t, map[string]any{"rotation_period": "1h"}, func(t *testing.T, p *planned) {
		p.server.Refuse("", "/")
		p.server.ResetRequests()
		for range 300 {
			p.pass(time.Minute)
		}
		require.Empty(t, p.rotated)
		require.Contains(t, strings.Join(p.problems(), "\n"), p.failed)
		if p.path == "config" {
			asked := 0
			for _, r := range p.server.Requests() {
				if r.Path == authorizations+"/"+p.server.RootID() {
					asked++
				}
			}
			require.Greater(t, asked, 6)
			require.Less(t, asked, 30, "not each minute of four hours")
		} else {
			require.NotEmpty(t, p.read(p.path).Data["last_error"])
		}
		p.server.Intercept(nil)
		for range 50 { // longer than the longest pause between two attempts
			p.pass(time.Minute)
		}
		require.Len(t, p.rotated, 1)
		require.Empty(t, p.problems())
		require.Contains(t, []any{nil, ""}, p.read(p.path).Data["last_error"])
		require.Empty(t, p.keys("intention/"))
		for range 30 {
			p.pass(time.Minute)
		}
		require.LessOrEqual(t, len(p.rotated), 2)
	})
}

func TestRotationByPlanCanBeSwitchedOff(t *testing.T) {
	p := newPlannedRoot(t, map[string]any{"rotation_period": "1h", "disable_automated_rotation": true})
	require.Empty(t, p.read("config").Data["next_vault_rotation"])
	for range 5 {
		p.pass(time.Hour)
	}
	require.Empty(t, p.rotated)
	p.write("config", map[string]any{"disable_automated_rotation": false})
	p.pass(59 * time.Minute)
	require.Empty(t, p.rotated)
	p.pass(time.Minute)
	require.Len(t, p.rotated, 1)
}

// The plan of the root token begins anew with each root token: one that was rotated by hand is not rotated again soon.
func TestRotationByHandMovesThePlan(t *testing.T) {
	p := newPlannedRoot(t, map[string]any{"rotation_period": "1h"})
	p.pass(40 * time.Minute)
	p.write("config/rotate-root", nil)
	p.pass(30 * time.Minute)
	require.Len(t, p.rotated, 1, "by hand")
	p.pass(31 * time.Minute)
	require.Len(t, p.rotated, 2)
}

// A rotation whose old token could not be proven at once is finished by itself, and then nothing is wrong any more.
func TestRotationByPlanThatIsFinishedLater(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	m.configure(server, map[string]any{"authorization_id": server.RootID(), "rotation_period": "24h"})
	server.Refuse(http.MethodPatch, authorizations)
	m.clock.advance(24 * time.Hour)
	require.NoError(t, m.tick())
	require.Contains(t, fmt.Sprint(m.read("check").Data["problems"]), "the root token was rotated; the old one still works until it is proven")
	server.Intercept(nil)
	m.clock.advance(intentionAge)
	require.NoError(t, m.tick())
	require.NotContains(t, existing(server), server.RootID())
	require.Equal(t, true, m.read("check").Data["healthy"])
}

// An authorization_id that turns out to be another token's is not tried again: each time that one would be switched off.
func TestRotationByPlanForgetsAWrongID(t *testing.T) {
	influxtest.NotOnCloud(t, "it has no operator tokens")
	m := newMount(t)
	server := influxtest.New(t)
	alike, _ := server.AddToken(server.OrgID(), server.UserID(), influxtest.OperatorPermissions()...)
	m.configure(server, map[string]any{"authorization_id": alike, "rotation_period": "24h"})
	m.clock.advance(24 * time.Hour)
	require.NoError(t, m.tick())
	require.Empty(t, m.stored().AuthorizationID)
	require.Equal(t, server.RootToken(), m.stored().Token)
	server.ResetRequests()
	m.clock.advance(24 * time.Hour)
	require.NoError(t, m.tick())
	for _, r := range server.Requests() {
		require.NotEqual(t, http.MethodPatch, r.Method)
	}
	require.Contains(t, fmt.Sprint(m.read("check").Data["problems"]), "authorization_id: it is not known which authorization the root token is")
	m.write("config", map[string]any{"authorization_id": server.RootID()})
	m.clock.advance(lastPause)
	require.NoError(t, m.tick())
	require.NotContains(t, existing(server), server.RootID())
	require.Contains(t, existing(server), alike)
	require.Equal(t, true, m.read("check").Data["healthy"])
}
