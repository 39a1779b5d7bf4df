package e2e

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// telegrafWatches tries the Telegraf that writes what check says, and the dashboard that draws it: with a role that has
// tokens and one that has none, a static role that is rotated and one that isn't, and a deletion that is pending because
// the root token was switched off.
func telegrafWatches(t *testing.T, c consumer) func(*testing.T) {
	assertVersion(t, "telegraf", c)
	influx := newInflux(t, lab.InfluxOptions{})
	root := byHand(t, influx, influx.Onboarding.Org.ID, influx.Onboarding.User.ID, influx.Onboarding.Authorization.Permissions...)
	e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}
	e.write(t, "config", map[string]any{"url": influx.URL, "token": root.Token, "org": org, "request_timeout": patient})
	e.role(t, "app", bucketRole(nil))
	e.role(t, "idle", bucketRole(nil))
	l := e.telegrafLogin(t, bucket) // with a rotation_period of 24h
	e.staticRole(t, "by-hand", nil)
	e.mint(t, "app")
	e.mint(t, "app")
	pending := e.mint(t, "app")
	assert.Equal(t, "done", e.tidy(t, nil)["state"], "it counts the live tokens")
	setActive(t, influx, root.ID, false)
	t.Cleanup(func() { setActive(t, influx, root.ID, true) }) // before the mount goes
	assert.Error(t, e.tryRevoke(t.Context(), pending))

	agent := newAgent(t, e.mayRead(t, "check"))
	agent.follow(t, e, "vault", recipe(t, "agent-monitor", map[string]string{"/run/telegraf/": agent.dir + "/"}))
	config := recipe(t, "telegraf-check", map[string]string{
		"https://vault.example:8200": shared.vault.Address, "/v1/influxdb/": "/v1/" + e.path + "/",
		"/run/telegraf/": agent.dir + "/", `interval = "1m"`: `interval = "1s"`,
	}) + recipe(t, "telegraf", map[string]string{
		"https://vault.example:8200": shared.vault.Address, "https://influxdb.example:8086": influx.URL, `"influxdb"`: strconv.Quote(e.path),
		"00000000-0000-0000-0000-000000000000": l.roleID, "${VAULT_SECRET_ID}": l.secretID,
	})
	telegraf, err := shared.lab.StartTelegraf(t.Context(), "[agent]\n  flush_interval = \"200ms\"\n"+config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, telegraf.Stop()) })
	return func(t *testing.T) {
		d := dashboard{influx: influx, program: telegraf}
		d.load(t)
		uuid := e.uuid(t)
		live := d.await(t, "Live tokens", "role", "app")
		assert.Equal(t, map[string]int{"app": 3, "idle": 0}, live, "what is to be deleted lives")
		assert.Equal(t, map[string]int{uuid: 1}, d.await(t, "Pending deletions", "mount", uuid))
		assert.Positive(t, d.await(t, "Problems", "mount", uuid)[uuid])
		oldest := d.await(t, "Oldest pending deletion", "mount", uuid)
		assert.GreaterOrEqual(t, oldest[uuid], 0)
		rotations := d.await(t, "Until the next rotation", "role", "telegraf")
		assert.Len(t, rotations, 1, "by-hand has none")
		assert.InDelta(t, 24*3600, rotations["telegraf"], 3600)
		assert.Len(t, d.queries, 5, "every panel is tried")
	}
}

// setActive switches a token off or on.
func setActive(t *testing.T, influx *lab.Influx, id string, active bool) {
	t.Helper()
	status := map[bool]string{true: "active", false: "inactive"}[active]
	code, answer, err := influx.Call(context.Background(), influx.Operator, http.MethodPatch, "/api/v2/authorizations/"+id, map[string]string{"status": status})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code, string(answer))
}

// dashboard is docs/grafana-dashboard.json.
type dashboard struct {
	influx  *lab.Influx
	program *lab.Program
	// queries are those of the panels, by title.
	queries map[string]string
}

func (d *dashboard) load(t *testing.T) {
	t.Helper()
	var file struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Query string `json:"query"`
			} `json:"targets"`
		} `json:"panels"`
	}
	require.NoError(t, json.Unmarshal([]byte(document(t, "docs/grafana-dashboard.json")), &file))
	d.queries = map[string]string{}
	for _, panel := range file.Panels {
		require.Len(t, panel.Targets, 1)
		d.queries[panel.Title] = panel.Targets[0].Query
	}
}

// await runs the query of a panel, with what Grafana sets in it, until it answers a series; its last values are by a tag.
func (d *dashboard) await(t *testing.T, title, tag, series string) (values map[string]int) {
	t.Helper()
	query := d.queries[title]
	require.NotEmpty(t, query)
	query = fmt.Sprintf("option v = {timeRangeStart: -1h, timeRangeStop: now(), windowPeriod: 1s, defaultBucket: %q}\n", bucket) + query
	require.NoError(t, d.program.Await(t.Context(), title, func(ctx context.Context) error {
		status, answer, err := d.influx.Query(ctx, d.influx.Operator, org, query)
		if err != nil || status != http.StatusOK {
			return lab.Final(fmt.Errorf("%w: %d %s", err, status, answer))
		}
		values = lastByTag(t, answer, tag)
		if _, ok := values[series]; !ok {
			return fmt.Errorf("%v; Telegraf's log:\n%s", values, d.program.Logs())
		}
		return nil
	}))
	return values
}

// lastByTag are the last values of each series in an answer, which may have tables with different columns.
func lastByTag(t *testing.T, answer, tag string) map[string]int {
	t.Helper()
	values := map[string]int{}
	for table := range strings.SplitSeq(strings.ReplaceAll(answer, "\r\n", "\n"), "\n\n") {
		rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
		require.NoError(t, err)
		if len(rows) == 0 {
			continue
		}
		of, value := slices.Index(rows[0], tag), slices.Index(rows[0], "_value")
		require.Positive(t, of)
		for _, row := range rows[1:] {
			number, err := strconv.ParseFloat(row[value], 64)
			require.NoError(t, err)
			values[row[of]] = int(number)
		}
	}
	return values
}
