package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// landscape is what the roles of these tests are about.
type landscape struct {
	// home is the config's organization, other one that roles have to name.
	home, other lab.Named
	// metrics is home's bucket; its namesake is other's.
	metrics, namesake lab.Named
	alerts            lab.Named
	// root owns tokens where nothing else is said.
	root, dedicated   lab.Named
	monitoring, tasks lab.Named
}

func newLandscape(t *testing.T, influx *lab.Influx) landscape {
	t.Helper()
	made := influx.Onboarding
	l := landscape{home: made.Org, metrics: made.Bucket, root: made.User, other: newOrg(t, influx), dedicated: newUser(t, influx)}
	l.namesake = newBucket(t, influx, l.other.ID, bucket)
	l.alerts = newBucket(t, influx, l.home.ID, unique("alerts"))
	var err error
	l.monitoring, err = influx.BucketNamed(t.Context(), l.home.ID, "_monitoring")
	require.NoError(t, err)
	l.tasks, err = influx.BucketNamed(t.Context(), l.home.ID, "_tasks")
	require.NoError(t, err)
	return l
}

// to is one permission.
func to(action, kind, id, orgID string) lab.Permission {
	return lab.Permission{Action: action, Resource: lab.Resource{Type: kind, ID: id, OrgID: orgID}}
}

// form is one way to write a role, and all that its token may do.
type form struct {
	name  string
	role  map[string]any
	grant []lab.Permission
}

func bucketForms(l landscape) []form {
	readMetrics := to("read", "buckets", l.metrics.ID, l.home.ID)
	writeAlerts := to("write", "buckets", l.alerts.ID, l.home.ID)
	both := []lab.Permission{readMetrics, to("read", "buckets", l.alerts.ID, l.home.ID)}
	return []form{
		{"read by name", map[string]any{"read_buckets": bucket}, []lab.Permission{readMetrics}},
		{"write by name", map[string]any{"write_buckets": l.alerts.Name}, []lab.Permission{writeAlerts}},
		{"read and write", map[string]any{"read_buckets": bucket, "write_buckets": l.alerts.Name}, []lab.Permission{readMetrics, writeAlerts}},
		{"a comma list", map[string]any{"read_buckets": bucket + ", " + l.alerts.Name}, both},
		{"a list", map[string]any{"read_buckets": []string{bucket, l.alerts.Name}}, both},
		{"a JSON list", map[string]any{"read_buckets": fmt.Sprintf("[%q, %q]", bucket, l.alerts.Name)}, both},
		{"by ID", map[string]any{"read_buckets": "id:" + l.metrics.ID, "write_buckets": "id:" + l.alerts.ID}, []lab.Permission{readMetrics, writeAlerts}},
		{"read all", map[string]any{"read_buckets": "*"}, []lab.Permission{to("read", "buckets", "", l.home.ID)}},
		{"write all", map[string]any{"write_buckets": "*"}, []lab.Permission{to("write", "buckets", "", l.home.ID)}},
		{"system buckets", map[string]any{"read_buckets": "_monitoring", "write_buckets": "_tasks"}, []lab.Permission{
			to("read", "buckets", l.monitoring.ID, l.home.ID), to("write", "buckets", l.tasks.ID, l.home.ID),
		}},
		{"the other organization's bucket of the same name", map[string]any{"org": l.other.Name, "read_buckets": bucket}, []lab.Permission{
			to("read", "buckets", l.namesake.ID, l.other.ID),
		}},
		{"the other organization by ID", map[string]any{"org_id": l.other.ID, "write_buckets": "*"}, []lab.Permission{
			to("write", "buckets", "", l.other.ID),
		}},
	}
}

// permissionForms are the forms of the permissions field. raw is the field's value as InfluxDB's API has it.
func permissionForms(l landscape) []form {
	raw := func(action string, resource map[string]any) map[string]any {
		return map[string]any{"action": action, "resource": resource}
	}
	const elsewhere = "0ada5b0a2d000000" // nothing that can be seen to be home's
	byName := []any{
		raw("read", map[string]any{"type": "buckets", "name": bucket}),
		raw("write", map[string]any{"type": "tasks"}),
	}
	asText, _ := json.Marshal(byName) // strings in maps: nothing to fail
	named := []lab.Permission{to("read", "buckets", l.metrics.ID, l.home.ID), to("write", "tasks", "", l.home.ID)}
	one := func(action string, resource map[string]any) []any { return []any{raw(action, resource)} }
	privileged := func(permissions any) map[string]any {
		return map[string]any{"permissions": permissions, "allow_privileged": true}
	}
	return []form{
		{"a list", privileged(byName), named},
		{"a JSON string", privileged(string(asText)), named},
		{"bucket by ID", map[string]any{"permissions": one("write", map[string]any{"type": "buckets", "id": l.alerts.ID})},
			[]lab.Permission{to("write", "buckets", l.alerts.ID, l.home.ID)}},
		{"all buckets", map[string]any{"permissions": one("read", map[string]any{"type": "buckets"})},
			[]lab.Permission{to("read", "buckets", "", l.home.ID)}},
		{"one thing by ID", privileged(one("read", map[string]any{"type": "dashboards", "id": elsewhere})),
			[]lab.Permission{to("read", "dashboards", elsewhere, l.home.ID)}},
		{"org named", map[string]any{"permissions": one("read", map[string]any{"type": "labels", "org": l.home.Name})},
			[]lab.Permission{to("read", "labels", "", l.home.ID)}},
		{"orgID given", map[string]any{"permissions": one("read", map[string]any{"type": "buckets", "name": bucket, "orgID": l.home.ID})},
			[]lab.Permission{to("read", "buckets", l.metrics.ID, l.home.ID)}},
		{"every organization", privileged(one("read", map[string]any{"type": "buckets", "orgID": "*"})),
			[]lab.Permission{to("read", "buckets", "", "")}},
		{"the organization itself", map[string]any{"permissions": one("read", map[string]any{"type": "orgs"})},
			[]lab.Permission{to("read", "orgs", l.home.ID, "")}},
		{"the owner", map[string]any{"permissions": one("read", map[string]any{"type": "users"})},
			[]lab.Permission{to("read", "users", l.root.ID, "")}},
		{"the owner by ID", map[string]any{"permissions": one("read", map[string]any{"type": "users", "id": l.root.ID})},
			[]lab.Permission{to("read", "users", l.root.ID, "")}},
		{"another user", privileged(one("read", map[string]any{"type": "users", "id": l.dedicated.ID})),
			[]lab.Permission{to("read", "users", l.dedicated.ID, "")}},
		{"besides the lists", map[string]any{
			"read_buckets": bucket, "read_resources": "views", "permissions": one("read", map[string]any{"type": "labels"}),
		}, []lab.Permission{
			to("read", "buckets", l.metrics.ID, l.home.ID), to("read", "views", "", l.home.ID), to("read", "labels", "", l.home.ID),
		}},
	}
}

// assertGrants writes a role and compares what InfluxDB says of its token, permission by permission.
func (e *engine) assertGrants(t *testing.T, f form) {
	t.Helper()
	t.Run(f.name, func(t *testing.T) {
		name := unique("form")
		e.role(t, name, f.role)
		assert.ElementsMatch(t, f.grant, e.granted(t, e.mint(t, name)))
	})
}

func TestEveryFormOfARoleGrantsWhatItSays(t *testing.T) {
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		t.Run("buckets", func(t *testing.T) {
			for _, f := range bucketForms(l) {
				e.assertGrants(t, f)
			}
		})
		t.Run("permissions", func(t *testing.T) {
			for _, f := range permissionForms(l) {
				e.assertGrants(t, f)
			}
		})
	})
}

func TestRoleNamesOrganizationAndOwner(t *testing.T) {
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		for name, role := range map[string]map[string]any{
			"by name": {"org": l.other.Name, "user": l.dedicated.Name},
			"by ID":   {"org_id": l.other.ID, "user_id": l.dedicated.ID},
		} {
			t.Run(name, func(t *testing.T) {
				role["read_resources"] = "orgs,users"
				e.role(t, "app", role)
				made := e.authorization(t, e.mint(t, "app").id)
				assert.Equal(t, l.other.ID, made.OrgID)
				assert.Equal(t, l.dedicated.ID, made.UserID)
				assert.ElementsMatch(t, []lab.Permission{
					to("read", "orgs", l.other.ID, ""), to("read", "users", l.dedicated.ID, ""),
				}, made.Permissions, "the organization and the owner are the role's")
			})
		}
		e.role(t, "app", bucketRole(nil))
		made := e.authorization(t, e.mint(t, "app").id)
		assert.Equal(t, l.home.ID, made.OrgID, "the config's organization")
		assert.Equal(t, l.root.ID, made.UserID, "the root token's user")
	})
}
