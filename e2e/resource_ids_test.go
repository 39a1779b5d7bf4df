package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"path"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// handmade is something that the operator makes in an organization, by its path.
func handmade(t *testing.T, influx *lab.Influx, collection string, body map[string]any) string {
	t.Helper()
	status, answer, err := influx.Call(t.Context(), influx.Operator, http.MethodPost, collection, body)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status, "%s: %s", collection, answer)
	var made struct {
		ID string `json:"id"`
		// Labels alone are answered in an object of their own.
		Label lab.Named `json:"label"`
	}
	require.NoError(t, json.Unmarshal(answer, &made))
	path := collection + "/" + made.ID + made.Label.ID
	t.Cleanup(func() {
		_, _, err := influx.Call(context.Background(), influx.Operator, http.MethodDelete, path, nil)
		assert.NoError(t, err)
	})
	return path
}

// things are bodies that make one thing of a type, by type: all types whose things are made in one call and
// tell their organization. (dbrp's do so only to whoever knows it already.)
func things(orgID, bucketID string) map[string]map[string]any {
	const address = "http://127.0.0.1:1"
	all := map[string]map[string]any{
		"dashboards":            {},
		"labels":                {},
		"variables":             {"arguments": map[string]any{"type": "constant", "values": []string{"a"}}},
		"telegrafs":             {"config": "[agent]"},
		"tasks":                 {"flux": `option task = {name: "idle", every: 24h} buckets()`, "status": "inactive"},
		"scrapers":              {"bucketID": bucketID, "type": "prometheus", "url": address},
		"sources":               {"type": "v2", "url": address},
		"remotes":               {"remoteURL": address, "remoteAPIToken": "none", "remoteOrgID": orgID, "allowInsecureTLS": false},
		"notificationEndpoints": {"type": "http", "url": address, "method": "POST", "authMethod": "none", "status": "inactive"},
		"checks": {
			"type": "deadman", "every": "24h", "timeSince": "24h", "staleTime": "48h", "level": "CRIT", "status": "inactive",
			"query": map[string]any{"text": `from(bucket: "metrics") |> range(start: -1m)`},
		},
	}
	for _, body := range all {
		body["orgID"], body["name"] = orgID, unique("thing")
	}
	return all
}

// readOf is a role of one permission: to read one thing.
func readOf(kind, id string, more map[string]any) map[string]any {
	fields := map[string]any{"permissions": []any{
		map[string]any{"action": "read", "resource": map[string]any{"type": kind, "id": id}},
	}}
	maps.Copy(fields, more)
	return fields
}

// unseen is how a role is refused that names what is not seen to be its organization's.
const unseen = ` can't be seen to be of org "` + org + `"`

// InfluxDB goes by the ID alone, so that the ID of another organization's thing would reach into it.
func TestThingsAreGrantedByIDInTheirOwnOrganization(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		privileged, unverified := map[string]any{"allow_privileged": true}, map[string]any{"verify": false}
		theirs := things(l.other.ID, l.namesake.ID)
		for kind, body := range things(l.home.ID, l.metrics.ID) {
			t.Run(kind, func(t *testing.T) {
				own := path.Base(handmade(t, e.influx, "/api/v2/"+kind, body))
				foreign := path.Base(handmade(t, e.influx, "/api/v2/"+kind, theirs[kind]))
				e.role(t, "own", readOf(kind, own, nil))
				assert.Equal(t, []lab.Permission{to("read", kind, own, l.home.ID)}, e.granted(t, e.mint(t, "own")))

				assert.Contains(t, e.refuses(t, "roles/foreign", readOf(kind, foreign, nil)), kind+" "+foreign+unseen)
				e.role(t, "foreign", readOf(kind, foreign, unverified))
				assert.Contains(t, e.refuses(t, "creds/foreign", nil), unseen)
				assert.Empty(t, e.tokensOf(t, "foreign"))
				e.role(t, "meant", readOf(kind, foreign, privileged))
				assert.Equal(t, []lab.Permission{to("read", kind, foreign, l.home.ID)}, e.granted(t, e.mint(t, "meant")))

				// A role of all its organization's things does not reach another's, whatever else it may do.
				e.role(t, "all", map[string]any{"read_resources": kind, "allow_privileged": true})
				assert.Contains(t, e.refuses(t, "creds/all", readOf(kind, foreign, nil)), kind+" "+foreign+unseen)
				for role, id := range map[string]string{"all": own, "meant": foreign} {
					narrowed := e.mintWith(t, http.MethodPut, role, map[string]string{
						"permissions": `[{"action":"read","resource":{"type":"` + kind + `","id":"` + id + `"}}]`,
					})
					assert.Equal(t, []lab.Permission{to("read", kind, id, l.home.ID)}, e.granted(t, narrowed))
				}
			})
		}
	})
}

func TestThingsThatCannotBeSeenHaveToBeMeant(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		const nowhere = "0ada5b0a2d000000"
		// Of the last four InfluxDB shows nothing by ID.
		for _, kind := range []string{"dashboards", "tasks", "replications", "notificationRules", "views", "annotations", "notebooks", "secrets"} {
			assert.Contains(t, e.refuses(t, "roles/one", readOf(kind, nowhere, nil)), kind+" "+nowhere+unseen)
		}
		l := newLandscape(t, e.influx)
		assert.Contains(t, e.refuses(t, "roles/one", readOf("users", l.dedicated.ID, nil)), "users "+l.dedicated.ID+unseen)
		assert.Contains(t, e.refuses(t, "roles/one", readOf("orgs", l.other.ID, nil)), "orgs "+l.other.ID+unseen)
		assert.Contains(t, e.refuses(t, "roles/one", readOf("buckets", nowhere, nil)), "no bucket has the ID "+nowhere)
	})
}
