package e2e

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// source is a token to clone, and what its clone then holds.
type source struct {
	name       string
	org, owner string
	permission []lab.Permission
	role       fields
	grant      []lab.Permission
}

func sources(l landmarks) []source {
	readMetrics, writeMetrics := to("read", "buckets", l.metrics.ID, l.home.ID), to("write", "buckets", l.metrics.ID, l.home.ID)
	readAll := to("read", "buckets", "", l.home.ID)
	privileged, there := fields{"allow_privileged": true}, fields{"org": l.other.Name}
	namesake := []lab.Permission{to("read", "buckets", l.namesake.ID, l.other.ID)}
	capitals := fields{"org_id": strings.ToUpper(l.other.ID)}
	return []source{
		{"a bucket token", l.home.ID, l.root.ID, []lab.Permission{readMetrics, writeMetrics}, nil, []lab.Permission{readMetrics, writeMetrics}},
		{"an all-access token", l.home.ID, l.root.ID, l.allAccess(l.home.ID, l.root.ID), privileged, l.allAccess(l.home.ID, l.root.ID)},
		{"an operator token", l.home.ID, l.root.ID, l.operator(), privileged, l.operator()},
		{"a token made by hand", l.home.ID, l.dedicated.ID, []lab.Permission{
			to("read", "buckets", l.metrics.ID, ""), readMetrics, to("write", "labels", l.label, l.home.ID), to("read", "orgs", l.home.ID, ""),
		}, nil, []lab.Permission{readMetrics, to("write", "labels", l.label, l.home.ID), to("read", "orgs", l.home.ID, "")}},
		{"a token with more than it needs", l.home.ID, l.root.ID, []lab.Permission{readMetrics, readAll, readMetrics}, nil, []lab.Permission{readAll}},
		{"a token of another organization", l.other.ID, l.root.ID, namesake, there, namesake},
		{"the same, by ID in capitals", l.other.ID, l.root.ID, namesake, capitals, namesake},
	}
}

// What was copied stays, whatever becomes of the source.
func TestClonesOutliveTheirSource(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandmarks(t, e.influx)
		for _, s := range sources(l) {
			t.Run(s.name, func(t *testing.T) {
				made := byHand(t, e.influx, s.org, s.owner, s.permission...)
				role := fields{"clone_from": made.ID}
				maps.Copy(role, s.role)
				d := definition{role: role, grant: s.grant, orgID: s.org}
				e.assertStored(t, l.landscape, d)

				require.NoError(t, e.influx.DeleteAuthorization(t.Context(), made.ID))
				m := e.mint(t, "table")
				assert.ElementsMatch(t, s.grant, e.granted(t, m), "the source is gone")
				e.revoke(t, m.lease)
				_, err := e.vault.Logical().JSONMergePatch(t.Context(), e.path+"/roles/table", fields{"ttl": "5m"})
				require.NoError(t, err, "another field changes without the source")
				m = e.mint(t, "table")
				assert.InDelta(t, 300, m.seconds, 2)
				assert.ElementsMatch(t, s.grant, e.granted(t, m))
				e.revoke(t, m.lease)
			})
		}
		assert.Empty(t, e.inInflux(t))
	})
}

// What leads elsewhere is refused although InfluxDB itself made the token that is to be cloned.
func TestClonesAreRefusedWhereTheyLeadElsewhere(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandmarks(t, e.influx)
		clone := func(permission lab.Permission) []string {
			return e.refusedLines(t, "roles/table", fields{"clone_from": byHand(t, e.influx, l.home.ID, l.root.ID, permission).ID})
		}
		assert.Equal(t, []string{fmt.Sprintf(`clone_from[0]: bucket %s belongs to another organization (%s), not to "acme"`, l.namesake.ID, l.other.ID)},
			clone(to("read", "buckets", l.namesake.ID, l.home.ID)))
		assert.Equal(t, []string{"clone_from[0]: dashboards " + l.foreign + unseen + "; if it is meant all the same, set allow_privileged=true"},
			clone(to("read", "dashboards", l.foreign, l.home.ID)))
		assert.Empty(t, e.inInflux(t))
	})
}
