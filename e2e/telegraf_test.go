package e2e

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// telegrafInput makes a point with the next number each 200 milliseconds, and writes at once.
const telegrafInput = `
[agent]
  interval = "200ms"
  flush_interval = "200ms"
  round_interval = false
  precision = "1ns"
  omit_hostname = true
[[inputs.mock]]
  metric_name = "counted"
  [[inputs.mock.step]]
    name = "number"
    start = 0.0
    step = 1.0
`

// A Telegraf that reads static-creds writes through three rotations and loses nothing: the first with a grace, the
// second as after a leak, with none, the third with one that is seen to end.
func telegrafLosesNothing(t *testing.T, e *engine) func(*testing.T) {
	w := startTelegraf(t, e, recipes, "telegraf")
	w.awaitMore(t)
	first := e.stands(t, "telegraf")
	second := e.rotate(t, "telegraf", "1h")
	assert.Equal(t, http.StatusNoContent, writes(t, e.influx, first.token))
	w.awaitMore(t)
	third := e.rotate(t, "telegraf", "0")
	assert.Equal(t, http.StatusUnauthorized, writes(t, e.influx, first.token))
	assert.Equal(t, http.StatusUnauthorized, writes(t, e.influx, second.token))
	w.awaitMore(t)
	e.rotate(t, "telegraf", briefGrace)
	assertEnded := e.watchGrace(t, "telegraf", third.token)
	return func(t *testing.T) {
		w.awaitMore(t)
		assertEnded(t)
		w.awaitMore(t)
		require.NoError(t, w.program.Stop())
		fmt.Printf("telegraf: %d points through three rotations on InfluxDB %s, none lost\n", w.assertNoneLost(t), e.influx.Version)
	}
}

// The older output loses nothing to a rotation with a grace, either. What is refused it drops, unlike the newer one.
func TestTelegrafWithTheOutputFor1x(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		w := startTelegraf(t, e, v1Clients, "telegraf-v1")
		w.awaitMore(t)
		for range 2 {
			e.rotate(t, "telegraf", "1h")
			w.awaitMore(t)
		}
		w.assertNoneLost(t)

		require.NoError(t, e.influx.DeleteAuthorization(t.Context(), e.stands(t, "telegraf").id))
		require.NoError(t, w.program.Await(t.Context(), "a refusal", func(context.Context) error {
			if log := w.program.Logs(); !strings.Contains(log, "will be dropped: 401") {
				return fmt.Errorf("its log:\n%s", log)
			}
			return nil
		}))
		assert.Equal(t, "done", e.tidy(t, nil)["state"], "it makes another token")
		w.awaitMore(t)
		require.NoError(t, w.program.Stop())
		numbers := w.numbers(t.Context(), t)
		assert.Less(t, len(numbers)-1, numbers[len(numbers)-1], "points are lost")
	})
}

// startTelegraf starts a Telegraf that a document shows, with something to write.
func startTelegraf(t *testing.T, e *engine, document, name string) *writer {
	t.Helper()
	counted := newBucket(t, e.influx, e.influx.Onboarding.Org.ID, unique("counted"))
	l := e.telegrafLogin(t, counted.Name+","+bucket)
	telegraf, err := shared.lab.StartTelegraf(t.Context(), telegrafInput+recipeOf(t, document, name, map[string]string{
		"https://vault.example:8200": shared.vault.Address, "https://influxdb.example:8086": e.influx.URL,
		`"influxdb"`: strconv.Quote(e.path), `"metrics"`: strconv.Quote(counted.Name),
		"00000000-0000-0000-0000-000000000000": l.roleID, "${VAULT_SECRET_ID}": l.secretID,
	}))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, telegraf.Stop()) })
	return &writer{engine: e, program: telegraf, bucket: counted.Name}
}

// telegrafLogin runs what docs/recipes.md has for Telegraf on Vault's side: a static role, which writes some buckets here,
// a policy, and an AppRole. Its names are of this test alone, since the Vault isn't; there AppRoles are enabled once for all.
func (e *engine) telegrafLogin(t *testing.T, buckets string) login {
	t.Helper()
	require.NoError(t, appRoles())
	name := unique("telegraf")
	shown := newFolder(t).runs(t, typed(t, recipes, "## Telegraf", map[string]string{
		" influxdb/static-roles/": " " + e.path + "/static-roles/", `"influxdb/static-creds/`: `"` + e.path + "/static-creds/",
		"=metrics": "=" + buckets, "policy write telegraf ": "policy write " + name + " ", "=telegraf ": "=" + name + " ",
		"vault auth enable approle\n": "", "auth/approle/role/telegraf": "auth/approle/role/" + name,
	}))
	e.deleteStaticRole(t, "telegraf")
	ids := map[string]string{}
	for _, found := range shownID.FindAllStringSubmatch(shown, -1) {
		ids[found[1]] = found[2]
	}
	require.Len(t, ids, 2, shown)
	return login{roleID: ids["role_id"], secretID: ids["secret_id"]}
}

// shownID is what the command shows of an AppRole.
var shownID = regexp.MustCompile(`(?m)^(role_id|secret_id) +(\S+)$`)

// writer is a program that counts in a bucket.
type writer struct {
	*engine
	program *lab.Program
	bucket  string
}

// awaitMore waits for some points more.
func (w *writer) awaitMore(t *testing.T) {
	t.Helper()
	before := len(w.numbers(t.Context(), t))
	require.NoError(t, w.program.Await(t.Context(), "more points", func(ctx context.Context) error {
		if now := len(w.numbers(ctx, t)); now < before+5 {
			return fmt.Errorf("%d points, after %d; its log:\n%s", now, before, w.program.Logs())
		}
		return nil
	}))
}

// assertNoneLost asserts that each number is there once, and returns how many there are.
func (w *writer) assertNoneLost(t *testing.T) int {
	t.Helper()
	numbers := w.numbers(t.Context(), t)
	for i, number := range numbers {
		require.Equal(t, i, number, "of %d points", len(numbers))
	}
	return len(numbers)
}

// numbers are the numbers in the bucket, sorted.
func (w *writer) numbers(ctx context.Context, t *testing.T) []int {
	t.Helper()
	status, answer, err := w.influx.Query(ctx, w.influx.Operator, org, fmt.Sprintf(
		`from(bucket: %q) |> range(start: -1h) |> filter(fn: (r) => r._field == "number") |> keep(columns: ["_value"])`, w.bucket))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, answer)
	rows, err := csv.NewReader(strings.NewReader(answer)).ReadAll()
	require.NoError(t, err)
	var numbers []int
	for _, row := range rows[min(1, len(rows)):] {
		number, err := strconv.ParseFloat(row[len(row)-1], 64)
		require.NoError(t, err)
		numbers = append(numbers, int(number))
	}
	slices.Sort(numbers)
	return numbers
}
