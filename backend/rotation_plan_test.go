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

func TestRotationPlanIsChecked(t *testing.T) {
	m := newMount(t)
	m.connected()
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
		require.Contains(t, m.rejected(logical.UpdateOperation, "config", c.fields), c.says, "%v", c.fields)
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

// yearly is a mount whose root token is rotated by plan, and what was seen of it.
type yearly struct {
	*mount
	server *influxtest.Server
	// rotated are the times at which a new root token was seen.
	rotated []time.Time
	root    string
}

func newYearly(t *testing.T, plan map[string]any) *yearly {
	t.Helper()
	m := newMount(t)
	y := &yearly{mount: m, server: m.connected(influxtest.HashedTokens(false))}
	m.clock.set(time.Date(2027, 1, 1, 12, 30, 0, 0, time.UTC))
	y.write("config", plan)
	y.write("config", map[string]any{"tidy_interval": 0})
	y.root = y.stored().Token
	return y
}

// minute is a tick, and a look at what it did.
func (y *yearly) minute(d time.Duration) {
	y.t.Helper()
	y.clock.advance(d)
	require.NoError(y.t, y.tick())
	if token := y.stored().Token; token != y.root {
		y.root = token
		y.rotated = append(y.rotated, y.clock.now().UTC().Truncate(time.Minute))
	}
}

// crash is the end of the process; the next one reads storage afresh.
func (m *mount) crash() {
	if !onWire {
		m.reload()
	}
}

// A time whose window passes while InfluxDB is down is skipped, and check says why.
func TestRotationThatMissesItsWindow(t *testing.T) {
	y := newYearly(t, map[string]any{"rotation_schedule": "0 3 * * *", "rotation_window": "1h"})
	y.server.Refuse("", "/")
	for y.clock.now().UTC().Format("15:04") < "04:59" || y.clock.now().UTC().Day() == 1 {
		y.minute(10 * time.Minute)
	}
	y.server.Intercept(nil)
	require.Empty(t, y.rotated)
	problems := fmt.Sprint(y.read("check").Data["problems"])
	require.Contains(t, problems, "the rotation of the root token that was due at 2027-01-02T03:00:00Z was skipped (")
	require.Contains(t, problems, "the next one is due at 2027-01-03T03:00:00Z")
	y.minute(10 * time.Minute)
	require.Empty(t, y.rotated, "the window is over")
	for y.clock.now().UTC().Day() == 2 {
		y.minute(10 * time.Minute)
	}
	for range 6 * 4 {
		y.minute(10 * time.Minute)
	}
	require.Len(t, y.rotated, 1)
	require.Equal(t, true, y.read("check").Data["healthy"])
}

// A rotation that failed is tried again, with pauses that grow; the old token stays.
func TestRotationThatFailsIsTriedAgain(t *testing.T) {
	y := newYearly(t, map[string]any{"rotation_period": "1h"})
	y.server.Refuse("", "/")
	y.server.ResetRequests()
	for range 300 {
		y.minute(time.Minute)
	}
	asked := 0
	for _, r := range y.server.Requests() {
		if r.Path == authorizations+"/"+y.server.RootID() {
			asked++
		}
	}
	require.Greater(t, asked, 6)
	require.Less(t, asked, 30, "not each minute of four hours")
	y.server.Intercept(nil)
	require.Contains(t, fmt.Sprint(y.read("check").Data["problems"]), "the last planned rotation of the root token failed; it is tried again by itself: ")
	for range 60 {
		y.minute(time.Minute)
	}
	require.Len(t, y.rotated, 1, "once, however many times were missed")
	require.Equal(t, true, y.read("check").Data["healthy"])
}

func TestRotationByPlanCanBeSwitchedOff(t *testing.T) {
	y := newYearly(t, map[string]any{"rotation_period": "1h", "disable_automated_rotation": true})
	require.Empty(t, y.read("config").Data["next_vault_rotation"])
	for range 5 {
		y.minute(time.Hour)
	}
	require.Empty(t, y.rotated)
	y.write("config", map[string]any{"disable_automated_rotation": false})
	y.minute(59 * time.Minute)
	require.Empty(t, y.rotated)
	y.minute(time.Minute)
	require.Len(t, y.rotated, 1)
}

// The plan of the root token begins anew with each root token: one that was rotated by hand is not rotated again soon.
func TestRotationByHandMovesThePlan(t *testing.T) {
	y := newYearly(t, map[string]any{"rotation_period": "1h"})
	y.minute(40 * time.Minute)
	y.write("config/rotate-root", nil)
	y.minute(30 * time.Minute)
	require.Len(t, y.rotated, 1, "by hand")
	y.minute(31 * time.Minute)
	require.Len(t, y.rotated, 2)
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
