package backend

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/tidy"
)

func TestTidyStates(t *testing.T) {
	m := newMount(t)
	status, text := m.refused(logical.UpdateOperation, "tidy", nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "influxdb is not configured")

	server := m.connected()
	idle := m.tidied()
	require.Equal(t, []any{tidyIdle, "", "", ""}, []any{idle["state"], idle["time_started"], idle["time_finished"], idle["last_error"]})

	id := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	gone := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	server.Fail(http.MethodDelete, authorizations+"/"+id, 503, "text/plain", "down")
	failed := m.tidy(nil)
	require.Equal(t, tidyFailed, failed["state"])
	require.Contains(t, failed["last_error"], "authorization "+id+" of role app is not deleted yet")
	matched, deleted, failures := counts(t, failed)
	require.Equal(t, []float64{2, 1, 1}, []float64{matched, deleted, failures})
	require.False(t, exists(server, gone))

	server.Intercept(nil)
	done := m.tidy(nil)
	require.Equal(t, []any{tidyDone, ""}, []any{done["state"], done["last_error"]})
	require.NotEmpty(t, done["time_started"])
	require.NotEmpty(t, done["time_finished"])
	require.False(t, exists(server, id))

	for name, fault := range map[string]func(){
		"is down":        func() { server.Refuse("", "/") },
		"can't list":     func() { server.Fail(http.MethodGet, authorizations, 500, "", "") },
		"cuts it short":  func() { server.Fail(http.MethodGet, authorizations, 200, "application/json", `{"authorizations":[`) },
		"makes no probe": func() { server.Refuse(http.MethodPost, authorizations) },
	} {
		fault()
		state := m.tidy(nil)
		require.Equal(t, tidyFailed, state["state"], name)
		require.NotEmpty(t, state["last_error"], name)
		server.Intercept(nil)
	}
}

// InfluxDB goes away in the middle: the run ends soon, and the next one does the rest.
func TestTidyEndsSoonWhileInfluxDBIsDown(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	const many = 60
	for range many {
		handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	}
	var probed atomic.Bool
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodDelete {
			if probed.Swap(true) { // the first one is the probe's
				faulttest.Refused(w, r, next)
			}
		}
		next.ServeHTTP(w, r)
	})
	server.ResetRequests()
	state := m.tidy(nil)
	require.Equal(t, tidyFailed, state["state"])
	matched, deleted, failed := counts(t, state)
	require.Equal(t, []float64{many, 0, many}, []float64{matched, deleted, failed})
	require.LessOrEqual(t, len(deletions(server)), 1+enoughFailures+deletionsAtOnce)
	server.Intercept(nil)
	require.Equal(t, tidyDone, m.tidy(nil)["state"])
	require.Empty(t, live(server))
}

func TestTidyIsBlindWithoutTheRightToList(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	m.storedToken(blindToken(server))
	state := m.tidy(nil)
	require.Equal(t, tidyBlind, state["state"])
	require.Contains(t, state["last_error"], "lacks read:orgs/"+server.OrgID()+"/authorizations or read:users/"+server.UserID())
	require.True(t, exists(server, id))
	require.Len(t, live(server), 1, "its probe is gone")

	checked := m.examine(server, "")
	require.False(t, checked.healthy)
	require.Contains(t, checked.problems[0], "tidy is blind")
	require.Contains(t, checked.problems[0], "lacks read:orgs/"+server.OrgID()+"/authorizations")

	m.editConfig(func(config map[string]any) { config["token"], config["revision"] = server.RootToken(), "back" })
	require.Equal(t, tidyDone, m.tidy(nil)["state"])
	require.True(t, m.examine(server, "").healthy)
	require.False(t, exists(server, id))
}

func TestCheckTellsAFailedTidy(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	server.Fail(http.MethodGet, authorizations, 500, "", "")
	require.Equal(t, tidyFailed, m.tidy(nil)["state"])
	server.Intercept(nil)
	checked := m.examine(server, "")
	require.Len(t, checked.problems, 1)
	require.Contains(t, checked.problems[0], "the last run of tidy failed at ")
}

// One run at a time; a stalled InfluxDB holds neither the tick nor the end of the mount.
func TestTidyUnderAStalledInfluxDB(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	m.write("config", map[string]any{"request_timeout": "3s"})
	id := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	require.NoError(t, m.tick())
	defer server.Stall(http.MethodGet, authorizations)()
	m.clock.advance(2 * firstTidy)
	require.NoError(t, m.tick(), "it returns and leaves the run behind")
	running := m.read("tidy-status").Data
	require.Equal(t, tidyRunning, running["state"])
	require.NotEmpty(t, running["time_started"])
	require.Empty(t, running["time_finished"])

	status, text := m.refused(logical.UpdateOperation, "tidy", nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, text, "a run of tidy is under way")
	require.True(t, m.examine(server, "").healthy)

	m.backend.Cleanup(context.Background())
	state := m.tidied()
	require.Equal(t, tidyCancelled, state["state"])
	require.True(t, exists(server, id))
}

func TestTidyEndsWithAPanic(t *testing.T) {
	m := newDirectMount(t) // the panic is in what would be Vault's own process
	server := m.connected()
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path == authorizations {
			m.storage.failing(func(string, string) bool { panic(canary) })
		}
		next.ServeHTTP(w, r)
	})
	m.write("tidy", nil)
	m.until(m.tidyIsIdle)
	m.storage.failing(nil)
	server.Intercept(nil)
	state := m.tidied()
	require.Equal(t, []any{tidyFailed, "internal error in the InfluxDB secrets engine; Vault's log has the details"}, []any{state["state"], state["last_error"]})
	m.silent([]string{canary})
	require.Equal(t, tidyDone, m.tidy(nil)["state"])
}

// A process that outlived its Vault has no storage, and no business in InfluxDB.
func TestTidyDeletesNothingWithoutStorage(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodGet && r.URL.Path == authorizations {
			m.storage.failOn("get", "")
		}
		next.ServeHTTP(w, r)
	})
	state := m.tidy(nil)
	require.Equal(t, tidyFailed, state["state"])
	require.Contains(t, state["last_error"], errStorage.Error())
	require.True(t, exists(server, id))

	m.storage.failOn("get", "config")
	m.clock.advance(2 * firstTidy)
	require.NoError(t, m.tick())
	require.Contains(t, m.log.String(), "background work failed")
	require.True(t, exists(server, id))
}

// startOf is when the last run began.
func (m *testMount) startOf() string { return m.tidied()["time_started"].(string) }

func TestTidyRunsByItself(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	id := handMade(t, server, m.outlived(testUUID, kindLease).String(), "active")
	require.NoError(t, m.tick())
	m.clock.advance(firstTidy - time.Minute) // half a tick early counts as due, and the clock runs on meanwhile
	require.NoError(t, m.tick())
	require.Equal(t, tidyIdle, m.tidied()["state"], "not with the start")
	m.clock.advance(firstTidy/10 + time.Minute)
	require.NoError(t, m.tick())
	require.Equal(t, tidyDone, m.tidied()["state"], "a few minutes after it")
	require.False(t, exists(server, id))

	first := m.startOf()
	m.clock.advance(time.Hour - time.Minute)
	require.NoError(t, m.tick())
	require.Equal(t, first, m.startOf())
	m.clock.advance(8 * time.Minute)
	require.NoError(t, m.tick())
	require.NotEqual(t, first, m.startOf(), "every tidy_interval, with some jitter")

	// A shorter interval does not wait for what a longer one planned.
	m.write("config", map[string]any{"tidy_interval": "60h"})
	m.clock.advance(2 * time.Hour)
	require.NoError(t, m.tick())
	second := m.startOf()
	m.write("config", map[string]any{"tidy_interval": "10m"})
	require.NoError(t, m.tick())
	m.clock.advance(10 * time.Minute)
	require.NoError(t, m.tick())
	require.NotEqual(t, second, m.startOf())
}

func TestTidyIntervalOfZeroMeansByHand(t *testing.T) {
	m := newMount(t)
	server := influxtest.New(t)
	server.SetClock(m.clock.now)
	resp := m.write("config", connectionTo(server, map[string]any{"tidy_interval": 0}))
	require.Contains(t, warned(resp), "tidy_interval: 0; tokens that a crash or a lost answer left behind stay")
	require.EqualValues(t, 0, m.read("config").Data["tidy_interval"])
	for range 5 {
		require.NoError(t, m.tick())
		m.clock.advance(24 * time.Hour)
	}
	require.Equal(t, tidyIdle, m.tidied()["state"])
	require.Equal(t, tidyDone, m.tidy(nil)["state"])

	require.Empty(t, warned(m.write("config", map[string]any{"tidy_interval": ""})), "an empty string is the default")
	require.EqualValues(t, tidy.DefaultInterval, m.read("config").Data["tidy_interval"])
}

// A mount that is disabled or moved starts nothing.
func TestTidyDoesNotRunByItselfWhileTainted(t *testing.T) {
	m := newMount(t)
	m.connected()
	m.system.TaintedVal = true
	for range 3 {
		require.NoError(t, m.tick())
		m.clock.advance(time.Hour)
	}
	require.Equal(t, tidyIdle, m.tidied()["state"])
}
