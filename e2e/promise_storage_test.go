package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// An entry of storage that can't be read spoils nothing but itself: leases are minted, renewed and revoked, static roles
// rotated, and check says how to remove it.
func TestAnUnreadableEntrySpoilsOnlyItself(t *testing.T) {
	t.Parallel()
	vault := openVault(t)
	for name, key := range map[string]string{
		"a deletion by ID":         "pending/0011223344556677",
		"a deletion by nonce":      "pending/nonce-0011223344556677",
		"a role":                   "role/broken",
		"a static role":            "static-role/broken",
		"a static role's rotation": "intention/static/other",
		"a former connection":      "connection/0011223344556677",
	} {
		t.Run(name, func(t *testing.T) {
			e := engineIn(t, vault, unique("influxdb"), influxOfHost(t))
			e.role(t, "app", bucketRole(nil))
			e.write(t, "static-roles/meter", bucketRole(nil))
			held := e.mint(t, "app")
			for _, text := range []string{`{"version":1,"author`, `{"version":99}`} {
				e.store(t, key, text)
				e.reload(t)
				assert.Equal(t, 7200, e.renew(t, held.lease, 7200))
				e.assertLeases(t)
				assertWorks(t, e.influx, e.rotate(t, "meter", "0").token)
				assert.Equal(t, "done", e.tidy(t, nil)["state"])
				assert.Contains(t, fmt.Sprint(e.problems(t)), "entries/"+key)
				e.remove(t, "entries/"+key)
				assert.Empty(t, e.problems(t))
			}
			_, err := e.vault.Logical().DeleteWithContext(t.Context(), e.path+"/entries/role/app")
			answeredWith(t, http.StatusBadRequest, err)
			e.revoke(t, held.lease)
			e.remove(t, "static-roles/meter")
			require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
			assertGone(t, e.influx, held)
		})
	}
}

// The clock was ahead for an hour, and what was planned then lies a year ahead: static roles are rotated all the same,
// their previous tokens end, and static-creds promises no year.
func TestTimesThatAClockAheadHasSet(t *testing.T) {
	t.Parallel()
	e := engineIn(t, openVault(t), "influxdb", influxOf(t, lab.InfluxVersion))
	plans := map[string]map[string]any{
		"period": {"rotation_period": "1h", "grace_period": "30m"}, "schedule": {"rotation_schedule": "0 * * * *", "grace_period": "30m"},
	}
	before := map[string]standing{}
	previous := map[string]standing{}
	for name, plan := range plans {
		e.staticRole(t, name, plan)
		previous[name] = e.stands(t, name)
		before[name] = e.rotate(t, name, "30m")
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(e.stored(t, "static-role/"+name)), &entry))
		entry["next_rotation"] = time.Now().AddDate(1, 0, 0).UTC().Format(time.RFC3339Nano)
		entry["last_rotation"] = time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
		entry["previous"].(map[string]any)["ends"] = entry["next_rotation"]
		text, err := json.Marshal(entry)
		require.NoError(t, err)
		e.store(t, "static-role/"+name, string(text))
	}
	e.reload(t)
	for name := range plans {
		ttl, err := e.handsOut(t, "static-creds/"+name).Data["ttl"].(json.Number).Int64()
		require.NoError(t, err)
		assert.LessOrEqual(t, ttl, int64(3600), name)
	}
	for name := range plans {
		assertWorks(t, e.influx, e.awaitOther(t, name, before[name]).token)
		e.awaitEnd(t, previous[name].id)
		assert.LessOrEqual(t, len(e.staticTokens(t)), 4, "a current and a previous one of each")
	}
}

// tellsTime answers as InfluxDB does whose clock differs.
func tellsTime(differs time.Duration) fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Date", time.Now().Add(differs).UTC().Format(http.TimeFormat))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}
}

// Where InfluxDB's clock and ours differ, tidy deletes nothing by its deadline, and says so.
func TestTidyWhereClocksDiffer(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		p := startProxy(t, influx, "", nil)
		e := briefEngine(t, influx, map[string]any{"url": p.URL, "token": influx.Operator, "tidy_interval": 0})
		dead := e.handMade(t, lookAlike(e.mountUUID(t), "lease", time.Now().Add(-time.Hour)))
		for _, differs := range []time.Duration{-time.Hour, time.Hour, -5 * time.Minute, 5 * time.Minute} {
			p.intercept(tellsTime(differs))
			state := e.tidy(t, nil)
			assert.Equal(t, "skewed", state["state"], differs)
			assert.Equal(t, "0", fmt.Sprint(state["deleted_count"]), differs)
			assert.True(t, e.exists(t, dead), differs)
			assert.Contains(t, fmt.Sprint(e.problems(t)), "clock", differs)
		}
		p.intercept(tellsTime(-2 * time.Minute))
		assertCounts(t, e.tidy(t, nil), 1, 1)
		assert.False(t, e.exists(t, dead))
		p.mend()
		assert.Empty(t, e.problems(t))
	})
}

// A schedule is five fields in UTC, and nothing else.
func TestSchedulesThatAreRefused(t *testing.T) {
	t.Parallel()
	e := briefEngine(t, influxOf(t, lab.InfluxVersion), nil)
	for _, schedule := range []string{
		"TZ=Europe/Berlin 0 3 * * *", "CRON_TZ=Europe/Berlin 0 3 * * *", "TZ=UTC 0 3 * * *", "TZ=", "TZ=UTC", "CRON_TZ=",
		"TZ= 0 3 * * *", "@daily", "@every 1h", "0 3 * *", "0 0 3 * * *", "* * * * * * *", "0 3 31 2 *",
	} {
		for path, fields := range map[string]map[string]any{
			"config": {}, "static-roles/meter": bucketRole(map[string]any{"grace_period": 0}),
		} {
			fields["rotation_schedule"] = schedule
			assert.Contains(t, e.refuses(t, path, fields), "rotation_schedule", "%s of %s", schedule, path)
		}
	}
	assert.Contains(t, e.refuses(t, "static-roles/meter", bucketRole(map[string]any{"rotation_schedule": "*/5 * * * *"})), "grace_period",
		"it comes due more often than the grace lasts")
	assert.Empty(t, e.staticTokens(t))
}

// A key that is there and null means something else to InfluxDB than to whoever wrote it.
func TestANullNameGrantsNothing(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		e := briefEngine(t, influx, nil)
		e.role(t, "broad", map[string]any{"token_type": "all-access", "allow_privileged": true})
		for _, resource := range []string{
			`{"type":"buckets","name":null}`, `{"type":"buckets","id":null}`, `{"type":"buckets","name":null,"id":null}`,
			`{"type":"buckets","orgID":null}`, `{"type":null}`,
		} {
			for _, action := range []string{"read", "write"} {
				permissions := fmt.Sprintf(`[{"action":%q,"resource":%s}]`, action, resource)
				var list []any
				require.NoError(t, json.Unmarshal([]byte(permissions), &list))
				for _, path := range []string{"roles/app", "static-roles/app", "creds/broad"} {
					for _, value := range []any{permissions, list} {
						assert.Contains(t, e.refuses(t, path, map[string]any{"permissions": value}), "permissions[0]", "%s: %s", path, permissions)
					}
				}
			}
		}
		assert.Empty(t, e.inInflux(t))
	})
}

// A static token that was ended comes back with an InfluxDB that is restored from a backup: check names it, and it can be
// deleted. The role's own token, which is gone, is replaced.
func TestStaticTokensOfARestoredInfluxDB(t *testing.T) {
	t.Parallel()
	onOwnInfluxes(t, func(t *testing.T, influx *lab.Influx) {
		e := briefEngine(t, influx, nil)
		e.staticRole(t, "meter", nil)
		ended := e.stands(t, "meter")
		backup := t.TempDir()
		require.NoError(t, influx.Stop())
		require.NoError(t, influx.Save(backup))
		require.NoError(t, influx.Start(t.Context()))
		lost := e.rotate(t, "meter", "0")
		assertGone(t, influx, minted{id: ended.id})
		require.NoError(t, influx.Stop())
		require.NoError(t, influx.PutBack(backup))
		require.NoError(t, influx.Start(t.Context()))
		assertWorks(t, influx, ended.token)

		assert.Equal(t, "done", e.tidy(t, nil)["state"])
		now := e.stands(t, "meter")
		assert.NotContains(t, []string{lost.token, ended.token}, now.token)
		assertWorks(t, influx, now.token)
		assert.Contains(t, fmt.Sprint(e.problems(t)), ended.id)
		assert.Contains(t, fmt.Sprint(e.problems(t)), "tokens/")
		_, err := e.vault.Logical().DeleteWithContext(t.Context(), e.path+"/tokens/"+now.id)
		answeredWith(t, http.StatusBadRequest, err)
		e.remove(t, "tokens/"+ended.id)
		assertGone(t, influx, minted{id: ended.id})
		assert.Empty(t, e.problems(t))
	})
}

// After a downgrade of InfluxDB the static roles' tokens are dead behind living IDs: each role gets another one.
func TestStaticTokensOfADowngradedInfluxDB(t *testing.T) {
	t.Parallel()
	influx := newInflux(t, lab.InfluxOptions{})
	e := briefEngine(t, influx, nil)
	e.role(t, "app", bucketRole(nil))
	dead := map[string]standing{}
	for _, name := range []string{"meter", "other", "third"} {
		e.staticRole(t, name, nil)
		dead[name] = e.stands(t, name)
	}
	require.NoError(t, influx.Stop())
	require.NoError(t, influx.Downgrade(t.Context(), lab.OldInfluxVersion))
	require.NoError(t, influx.RecoverOperator(t.Context()))
	for name, was := range dead {
		require.Equal(t, http.StatusUnauthorized, writes(t, influx, was.token), name)
	}
	e.reconnect(t, lab.Authorization{Token: influx.Operator})
	e.tidy(t, nil)
	for name, was := range dead {
		require.NoError(t, lab.Await(t.Context(), tickLimit, "a token of "+name+" that works", func(ctx context.Context) error {
			now, err := e.standing(ctx, name)
			if err == nil && now.token == was.token {
				err = fmt.Errorf("it is still the dead one")
			}
			return err
		}))
		assertWorks(t, influx, e.stands(t, name).token)
	}
}
