package e2e

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// byHand makes a token with InfluxDB's API for the time of a test.
func byHand(t *testing.T, influx *lab.Influx, orgID, ownerID string, permissions ...lab.Permission) lab.Authorization {
	t.Helper()
	made, err := influx.CreateAuthorization(t.Context(), lab.Authorization{OrgID: orgID, UserID: ownerID, Permissions: permissions})
	require.NoError(t, err)
	t.Cleanup(func() { _ = influx.DeleteAuthorization(context.Background(), made.ID) }) // some tests delete it themselves
	return made
}

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
				assert.Equal(t, 300, m.seconds)
				assert.ElementsMatch(t, s.grant, e.granted(t, m))
				e.revoke(t, m.lease)
			})
		}
		assert.Empty(t, e.inInflux(t))
	})
}

func TestClonesAreRefusedWhereTheyLeadElsewhere(t *testing.T) {
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandmarks(t, e.influx)
		elsewhere := newOrg(t, e.influx)
		late, err := e.influx.CreateBucket(t.Context(), l.home.ID, unique("late"))
		require.NoError(t, err)
		clone := func(orgID string, permissions ...lab.Permission) string {
			return byHand(t, e.influx, orgID, l.root.ID, permissions...).ID
		}
		read := to("read", "buckets", l.metrics.ID, l.home.ID)
		good, theirs := clone(l.home.ID, read), clone(l.other.ID, to("read", "buckets", "", l.other.ID))
		dangling := clone(l.home.ID, read, to("read", "buckets", late.ID, l.home.ID))
		require.NoError(t, e.influx.DeleteBucket(t.Context(), late.ID))
		const others = ` other tokens of org "acme"` + meant
		for _, r := range []refusal{
			{"of another organization", fields{"clone_from": theirs}, []string{fmt.Sprintf(`clone_from: authorization %s belongs to another organization than "acme"; set org or org_id to its own`, theirs)}},
			{"into another organization", fields{"clone_from": good, "org": elsewhere.Name}, []string{fmt.Sprintf("clone_from: authorization %s belongs to another organization than %q; set org or org_id to its own", good, elsewhere.Name)}},
			{"with a list", fields{"clone_from": good, "write_buckets": bucket}, []string{"clone_from: excludes write_buckets: a clone has just what its source had"}},
			{"with a type", fields{"clone_from": good, "token_type": "all-access", "allow_privileged": true}, []string{"clone_from: excludes token_type all-access"}},
			{"of a bucket that is gone", fields{"clone_from": dangling}, []string{"clone_from[1]: no bucket has the ID " + late.ID}},
			{"of another organization's bucket", fields{"clone_from": clone(l.home.ID, to("read", "buckets", l.namesake.ID, l.home.ID))},
				[]string{fmt.Sprintf(`clone_from[0]: bucket %s belongs to another organization (%s), not to "acme"`, l.namesake.ID, l.other.ID)}},
			{"of another organization's dashboard", fields{"clone_from": clone(l.home.ID, to("read", "dashboards", l.foreign, l.home.ID))},
				[]string{"clone_from[0]: dashboards " + l.foreign + unseen + "; if it is meant all the same, set allow_privileged=true"}},
			{"of what has to be meant", fields{"clone_from": clone(l.home.ID, to("read", "authorizations", "", l.home.ID), read, to("write", "authorizations", "", l.home.ID))},
				[]string{"clone_from[0]: read on authorizations can read" + others, "clone_from[2]: write on authorizations can make" + others}},
			{"of everywhere", fields{"clone_from": clone(l.home.ID, to("read", "buckets", "", ""))},
				[]string{`clone_from[0]: read on buckets of every organization leaves org "acme"` + meant}},
		} {
			t.Run(r.name, func(t *testing.T) {
				assert.Equal(t, r.says, e.refusedLines(t, "roles/table", r.role))
			})
		}
		assert.Empty(t, e.inInflux(t))
	})
}
