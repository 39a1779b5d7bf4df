package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// leastRoot is what every root token needs (docs/root-token.md), without the right to grant anything of use.
func leastRoot(l landscape) []lab.Permission {
	return []lab.Permission{
		to("read", "authorizations", "", l.home.ID), to("write", "authorizations", "", l.home.ID),
		to("read", "users", l.root.ID, ""), to("write", "users", l.root.ID, ""),
		to("read", "orgs", l.home.ID, ""), to("read", "buckets", "", l.home.ID),
	}
}

// rootedIn connects an engine of its own with a root token that holds just these permissions.
func rootedIn(t *testing.T, influx *lab.Influx, l landscape, held []lab.Permission) (*engine, string) {
	t.Helper()
	root := byHand(t, influx, l.home.ID, l.root.ID, held...)
	e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}
	e.write(t, "config", map[string]any{"url": influx.URL, "token": root.Token, "org": org})
	return e, root.Token
}

// grants asks InfluxDB for a token of one permission, and deletes it. It answers InfluxDB's status.
func grants(t *testing.T, influx *lab.Influx, root string, l landscape, p lab.Permission) int {
	t.Helper()
	wanted := lab.Authorization{OrgID: l.home.ID, Permissions: []lab.Permission{p}}
	status, answer, err := influx.Call(t.Context(), root, http.MethodPost, "/api/v2/authorizations", wanted)
	require.NoError(t, err)
	if status == http.StatusCreated {
		var made lab.Authorization
		require.NoError(t, json.Unmarshal(answer, &made))
		require.NoError(t, influx.DeleteAuthorization(t.Context(), made.ID))
	}
	return status
}

// lacking is how a role is refused for what its root token does not hold.
func lacking(field, words string) string {
	return fmt.Sprintf("%s: the root token does not hold %s, so it can't grant it; see docs/root-token.md", field, words)
}

// rootCase is one item of a role's list, and what it means to InfluxDB.
type rootCase struct {
	permission lab.Permission
	field      string
	item       any
	// missing is what the role's refusal calls it; empty where the root token can grant it.
	missing string
}

func rootCases(l landmarks) []rootCase {
	in := func(action, kind string) lab.Permission { return to(action, kind, "", l.home.ID) }
	return []rootCase{
		{to("read", "buckets", l.metrics.ID, l.home.ID), "read_buckets", bucket, ""},
		{to("write", "buckets", l.alerts.ID, l.home.ID), "write_buckets", l.alerts.Name, ""},
		{to("write", "buckets", l.metrics.ID, l.home.ID), "write_buckets", bucket, "write:buckets/metrics in org acme"},
		{to("write", "buckets", l.tasks.ID, l.home.ID), "write_buckets", "id:" + l.tasks.ID, "write:buckets/_tasks in org acme"},
		{in("read", "dashboards"), "read_resources", "dashboards", ""},
		{in("read", "variables"), "read_resources", "variables", "read:variables in org acme"},
		{to("read", "users", l.root.ID, ""), "read_resources", "users", ""},
		{in("write", "dashboards"), "write_resources", "dashboards", "write:dashboards in org acme"},
		{in("write", "telegrafs"), "write_resources", "telegrafs", ""},
		{to("write", "orgs", l.home.ID, ""), "write_resources", "orgs", "write:orgs/" + l.home.ID},
		{in("write", "tasks"), "write_resources", "tasks", "write:tasks in org acme"},
		{to("read", "labels", l.label, l.home.ID), "permissions", raw("read", "type", "labels", "id", l.label), ""},
		{to("write", "labels", l.label, l.home.ID), "permissions", raw("write", "type", "labels", "id", l.label), "write:labels/" + l.label + " in org acme"},
		{to("read", "telegrafs", "", ""), "permissions", raw("read", "type", "telegrafs", "orgID", "*"), "read:telegrafs in every organization"},
		{in("read", "views"), "permissions", raw("read", "type", "views"), ""},
		{to("read", "sources", "", ""), "permissions", raw("read", "type", "sources", "orgID", "*"), ""},
		{to("read", "users", l.dedicated.ID, ""), "permissions", raw("read", "type", "users", "id", l.dedicated.ID), "read:users/" + l.dedicated.ID},
	}
}

func TestARoleNamesAllThatItsRootTokenLacks(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		l := newLandmarks(t, influx)
		e, root := rootedIn(t, influx, l.landscape, append(leastRoot(l.landscape),
			to("write", "buckets", l.alerts.ID, l.home.ID), to("read", "dashboards", "", l.home.ID), to("write", "telegrafs", "", l.home.ID),
			to("read", "labels", l.label, ""), to("read", "views", "", ""), to("read", "sources", "", ""),
		))
		all, held := map[string][]any{}, map[string]any{"allow_privileged": true}
		var says []string
		var granted []lab.Permission
		for _, w := range rootCases(l) {
			if all[w.field] = append(all[w.field], w.item); w.missing != "" {
				says = append(says, lacking(fmt.Sprintf("%s[%d]", w.field, len(all[w.field])-1), w.missing))
				assert.Equal(t, http.StatusForbidden, grants(t, influx, root, l.landscape, w.permission), "%s, asked for alone", w.missing)
				continue
			}
			granted = append(granted, w.permission)
			items, _ := held[w.field].([]any)
			held[w.field] = append(items, w.item)
			assert.Equal(t, http.StatusCreated, grants(t, influx, root, l.landscape, w.permission), "%v, asked for alone", w.item)
		}
		role := map[string]any{"allow_privileged": true}
		for field, items := range all {
			role[field] = items
		}
		assert.Equal(t, says, e.refusedLines(t, "roles/app", role))
		assert.Empty(t, e.inInflux(t), "no trial is left behind")

		e.role(t, "app", held)
		assert.Empty(t, e.inInflux(t), "no trial is left behind")
		m := e.mint(t, "app")
		assert.ElementsMatch(t, granted, e.granted(t, m))
		e.assertJust(t, m)
		role["verify"] = false
		e.role(t, "app", role)
		first := fmt.Sprintf("write:orgs/%s/buckets/%s", l.home.ID, l.metrics.ID)
		assert.Equal(t, []string{fmt.Sprintf(`POST %s/api/v2/authorizations: 403 "permission %s is not allowed: %[2]s is unauthorized"`, influx.URL, first)},
			e.refusedLines(t, "creds/app", nil), "without a look it is the mint that fails")
		e.assertJust(t, m)
	})
}

// everyID are the IDs of all tokens of an InfluxDB.
func everyID(t *testing.T, influx *lab.Influx) []string {
	t.Helper()
	all, err := influx.Authorizations(t.Context())
	require.NoError(t, err)
	var ids []string
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return ids
}

func TestARootTokenThatIsTooSmallIsRefused(t *testing.T) {
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		l := newLandscape(t, influx)
		const see = "; see docs/root-token.md"
		for _, c := range []struct {
			name    string
			without lab.Permission
			// config and role are what the writes say; empty where they work.
			config, role string
		}{
			{"may make no tokens", to("write", "authorizations", "", l.home.ID), "token lacks write:orgs/" + l.home.ID + `/authorizations, needed to create tokens in org "acme"` + see, ""},
			{"may make none for its user", to("write", "users", l.root.ID, ""), "token lacks write:users/" + l.root.ID + `, needed to create tokens for user "root"` + see, ""},
			{"sees no buckets", to("read", "buckets", "", l.home.ID), "",
				fmt.Sprintf(`write_buckets[0]: GET %s/api/v2/buckets: 200 "the root token can't see it: it is inactive or lacks read:orgs/%s/buckets"`, influx.URL, l.home.ID)},
			{"sees no tokens", to("read", "authorizations", "", l.home.ID), "", ""},
			{"sees no user", to("read", "users", l.root.ID, ""), "", ""},
		} {
			t.Run(c.name, func(t *testing.T) {
				held := append(leastRoot(l), to("write", "buckets", "", l.home.ID))
				root := byHand(t, influx, l.home.ID, l.root.ID, slices.DeleteFunc(held, func(p lab.Permission) bool { return p == c.without })...)
				before := everyID(t, influx)
				e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}
				config := map[string]any{"url": influx.URL, "token": root.Token, "org_id": l.home.ID}
				if c.config != "" {
					assert.Equal(t, []string{c.config}, e.refusedLines(t, "config", config))
					assert.ElementsMatch(t, before, everyID(t, influx), "no trial is left behind")
					return
				}
				e.write(t, "config", config)
				role := map[string]any{"write_buckets": bucket}
				if c.role != "" {
					assert.Equal(t, []string{c.role}, e.refusedLines(t, "roles/app", role))
					role = map[string]any{"write_buckets": "*"}
				}
				e.role(t, "app", role)
				assert.ElementsMatch(t, before, everyID(t, influx), "no trial is left behind")
				assert.True(t, e.writes(t, e.mint(t, "app"), target{org, bucket}))
				assert.Equal(t, []string{"the root token lacks write:users/" + l.dedicated.ID + ", needed to create tokens of this role" + see},
					e.refusedLines(t, "roles/app", map[string]any{"write_buckets": "*", "user_id": l.dedicated.ID}))
			})
		}
	})
}
