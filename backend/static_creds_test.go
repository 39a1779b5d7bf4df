package backend

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

// What static-creds answers, to the letter: consumers go by names and types.
func TestStaticCredsGolden(t *testing.T) {
	last := time.Date(2027, 3, 1, 12, 0, 0, 123456789, time.UTC)
	m := newMount(t)
	m.connected()
	m.write("config", map[string]any{"external_url": "https://influx.example"})
	role := store.StaticRole{
		Current: store.StaticToken{
			Token: "dG9rZW4=", AuthorizationID: "0e9f8a7b6c5d4e3f", Org: "acme", OrgID: "03a2bbf46309a000", Description: "Read buckets metrics",
			Connection: m.stored().ID,
		},
		RotationTimes: store.RotationTimes{LastRotation: last},
	}
	m.clock.stop(last.Add(5 * time.Minute))
	const common = `"token":"dG9rZW4=","authorization_id":"0e9f8a7b6c5d4e3f","org":"acme","org_id":"03a2bbf46309a000",` +
		`"url":"https://influx.example","description":"Read buckets metrics","last_vault_rotation":"2027-03-01T12:00:00.123456789Z"`
	for name, c := range map[string]struct {
		plan store.RotationPlan
		next time.Time
		want string
	}{
		"period":   {store.RotationPlan{RotationPeriod: 86400}, last.Add(24 * time.Hour), `{` + common + `,"rotation_period":86400,"ttl":86100}`},
		"schedule": {store.RotationPlan{RotationSchedule: "0 3 * * *", RotationWindow: 7200}, time.Date(2027, 3, 2, 3, 0, 0, 0, time.UTC), `{` + common + `,"rotation_period":86400,"ttl":53700}`},
		"by hand":  {store.RotationPlan{}, time.Time{}, `{` + common + `,"rotation_period":300,"ttl":300}`},
	} {
		role.RotationPlan, role.NextRotation = c.plan, c.next
		require.NoError(t, store.StaticRoles.Put(t.Context(), m.storage, "kept", &role))
		m.vault.InvalidateKey(t.Context(), "static-role/kept")
		encoded, err := json.Marshal(m.readStatic("kept"))
		require.NoError(t, err, name)
		require.JSONEq(t, c.want, string(encoded), name)
	}
}

// plans are one of each kind.
var plans = map[string]map[string]any{
	"period":   {"rotation_period": "1h"},
	"schedule": {"rotation_schedule": "0 14 * * *"},
	"by hand":  {},
}

// Two reads without a rotation in between differ in ttl alone, and ttl counts down and is never 0: it does not jump up
// before a new token is there.
func TestStaticCredsChangeOnlyWithTheToken(t *testing.T) {
	t.Parallel()
	for name, plan := range plans {
		t.Run(name, func(t *testing.T) {
			m := newMount(t)
			m.clock.set(time.Date(2027, 1, 1, 12, 30, 0, 0, time.UTC))
			server := m.statically(plan)
			server.Refuse("POST", authorizations) // no rotation succeeds
			first := m.readStatic("kept")
			ttl := seconds(t, first["ttl"])
			step := time.Minute
			if !atLength() {
				step = 15 * time.Minute
			}
			for passed := step; passed <= 3*time.Hour; passed += step {
				m.clock.advance(step)
				_ = m.tick()
				now := m.readStatic("kept")
				if left := seconds(t, now["ttl"]); name == "by hand" {
					require.Equal(t, ttl, left)
				} else {
					require.Positive(t, left)
					require.LessOrEqual(t, left, max(ttl, readSoon))
					ttl = left
				}
				require.Equal(t, withoutTTL(first), withoutTTL(now))
			}
			if name == "by hand" {
				return
			}
			server.Intercept(nil)
			next := first
			for range 50 { // longer than the longest pause between two attempts
				m.minutes(1)
				if next = m.readStatic("kept"); next["token"] != first["token"] {
					break
				}
			}
			require.NotEqual(t, first["token"], next["token"])
			require.Greater(t, seconds(t, next["ttl"]), readSoon)
		})
	}
}

// seconds is a whole number as it comes over either host.
func seconds(t *testing.T, value any) int {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(value))
	require.NoError(t, err)
	return n
}

func withoutTTL(answer map[string]any) map[string]any {
	rest := maps.Clone(answer)
	delete(rest, "ttl")
	return rest
}

// overJSON is an answer as a client of Vault decodes it.
func overJSON(t testing.TB, answer map[string]any) map[string]any {
	t.Helper()
	encoded, err := json.Marshal(answer)
	require.NoError(t, err)
	var decoded map[string]any
	require.NoError(t, json.Unmarshal(encoded, &decoded))
	return decoded
}

// consul-template, and with it Vault Agent and Nomad, sleeps for ttl + 1 s where there is a rotation_period, a ttl above
// 0 and no lease; otherwise for 5 minutes.
func TestStaticCredsSuitConsulTemplate(t *testing.T) {
	for name, plan := range plans {
		m := newMount(t)
		m.statically(plan)
		resp := m.read("static-creds/kept")
		require.Nil(t, resp.Secret, name)
		answer := overJSON(t, resp.Data)
		require.Contains(t, answer, "rotation_period", name)
		require.Positive(t, answer["ttl"].(float64), name)
	}
}

// Telegraf takes strings.
func TestStaticCredsAreFlat(t *testing.T) {
	m := newMount(t)
	m.statically(map[string]any{"rotation_period": "1h"})
	answer := m.readStatic("kept")
	for _, field := range []string{"token", "authorization_id", "org", "org_id", "url", "description"} {
		require.IsType(t, "", answer[field], field)
		require.NotEmpty(t, answer[field], field)
	}
	require.Equal(t, []string{
		"authorization_id", "description", "last_vault_rotation", "org", "org_id", "rotation_period", "token", "ttl", "url",
	}, slices.Sorted(maps.Keys(answer)))
}
