package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// narrowable writes a role of each kind of breadth.
func (e *engine) narrowable(t *testing.T, l landscape) {
	t.Helper()
	e.role(t, "star", map[string]any{"read_buckets": "*", "write_buckets": "*"})
	e.role(t, "names", map[string]any{
		"read_buckets": []string{bucket, l.alerts.Name}, "write_buckets": "id:" + l.metrics.ID, "read_resources": "dashboards",
	})
	e.role(t, "all-access", map[string]any{"token_type": "all-access", "allow_privileged": true, "user": l.dedicated.Name})
	e.role(t, "operator", map[string]any{"token_type": "operator", "allow_privileged": true, "user": l.dedicated.Name})
}

// Each bucket is tried with each token: what was not asked for is refused, although the role would grant it.
func TestNarrowedTokensEndAtWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		e.narrowable(t, l)
		metrics, alerts, namesake := target{org, bucket}, target{org, l.alerts.Name}, target{l.other.Name, bucket}
		readMetrics, writeMetrics := to("read", "buckets", l.metrics.ID, l.home.ID), to("write", "buckets", l.metrics.ID, l.home.ID)
		for _, c := range []struct {
			roles         []string
			narrow        map[string]string
			reads, writes []target
			grant         []lab.Permission
		}{
			{[]string{"star", "names", "all-access", "operator"}, map[string]string{"read_buckets": bucket},
				[]target{metrics}, nil, []lab.Permission{readMetrics}},
			{[]string{"star", "names", "all-access", "operator"}, map[string]string{"write_buckets": "id:" + l.metrics.ID},
				nil, []target{metrics}, []lab.Permission{writeMetrics}},
			{[]string{"star", "names", "operator"}, map[string]string{"read_buckets": fmt.Sprintf(`["%s", "metrics"]`, l.alerts.Name), "write_buckets": bucket},
				[]target{metrics, alerts}, []target{metrics}, []lab.Permission{readMetrics, writeMetrics, to("read", "buckets", l.alerts.ID, l.home.ID)}},
			{[]string{"star", "all-access", "operator"}, map[string]string{"write_buckets": "*"},
				nil, []target{metrics, alerts}, []lab.Permission{to("write", "buckets", "", l.home.ID)}},
			{[]string{"star", "all-access", "operator"}, map[string]string{"read_resources": "buckets"},
				[]target{metrics, alerts}, nil, []lab.Permission{to("read", "buckets", "", l.home.ID)}},
			{[]string{"names", "all-access", "operator"}, map[string]string{"permissions": `[{"action":"read","resource":{"type":"dashboards"}}]`},
				nil, nil, []lab.Permission{to("read", "dashboards", "", l.home.ID)}},
			{[]string{"operator"}, map[string]string{"permissions": `[{"action":"write","resource":{"type":"buckets","orgID":"*"}}]`},
				nil, []target{metrics, alerts, namesake}, []lab.Permission{to("write", "buckets", "", "")}},
		} {
			for i, role := range c.roles {
				t.Run(fmt.Sprint(role, c.narrow), func(t *testing.T) {
					m := e.mintWith(t, []string{http.MethodGet, http.MethodPut}[i%2], role, c.narrow)
					assert.ElementsMatch(t, c.grant, e.granted(t, m))
					for _, p := range []target{metrics, alerts, namesake} {
						assert.Equal(t, slices.Contains(c.writes, p), e.writes(t, m, p), "writing %s", p)
						assert.Equal(t, slices.Contains(c.reads, p), e.reads(t, m, p), "reading %s", p)
					}
					e.revoke(t, m.lease)
				})
			}
		}
		assert.Empty(t, e.inInflux(t))
	})
}

func TestNarrowedAllAccessEndsAtTheTypesAskedFor(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		e.narrowable(t, l)
		const dashboards, labels = "/api/v2/dashboards", "/api/v2/labels"
		named := func(orgID string) map[string]any { return map[string]any{"orgID": orgID, "name": unique("thing")} }
		renamed := map[string]any{"name": unique("renamed")}
		ours, theirs := handmade(t, e.influx, dashboards, named(l.home.ID)), handmade(t, e.influx, dashboards, named(l.other.ID))
		label := handmade(t, e.influx, labels, named(l.home.ID))
		for _, role := range []string{"all-access", "operator"} {
			m := e.mintWith(t, http.MethodGet, role, map[string]string{"read_resources": "dashboards,users", "write_resources": "labels"})
			for _, c := range []call{
				{"granted", "GET", ours, nil, http.StatusOK},
				{"granted", "PATCH", label, renamed, http.StatusOK},
				{"the owner", "GET", "/api/v2/users/" + l.dedicated.ID, nil, http.StatusOK},
				{"write instead of read", "PATCH", ours, renamed, notAllowed},
				{"read instead of write", "GET", label, nil, notAllowed},
				{"another type", "GET", "/api/v2/orgs/" + l.home.ID, nil, notAllowed},
				{"another user", "GET", "/api/v2/users/" + l.root.ID, nil, notAllowed},
				{"another organization", "GET", theirs, nil, notAllowed},
			} {
				status, answer, err := e.influx.Call(t.Context(), m.token, c.method, c.path, c.body)
				require.NoError(t, err)
				assert.Equal(t, c.status, status, "%s: %s: %s %s: %s", role, c.what, c.method, c.path, answer)
			}
		}
	})
}
