package e2e

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What InfluxDB answers a token that it knows, and that may not do what it asks for.
const notAllowed = http.StatusUnauthorized

// call is one call with a token, and its answer's status.
type call struct {
	what         string
	method, path string
	body         any
	status       int
}

// assertAnswers makes calls with the token of a role.
func (e *engine) assertAnswers(t *testing.T, name string, role map[string]any, calls ...call) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		e.role(t, "tried", role)
		m := e.mint(t, "tried")
		for _, c := range calls {
			status, answer, err := e.influx.Call(t.Context(), m.token, c.method, c.path, c.body)
			require.NoError(t, err)
			assert.Equal(t, c.status, status, "%s: %s %s: %s", c.what, c.method, c.path, answer)
		}
		e.revoke(t, m.lease)
	})
}

func TestResourceTokensEndAtTheirGrants(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		const dashboards, variables = "/api/v2/dashboards", "/api/v2/variables"
		named := func(orgID string) map[string]any { return map[string]any{"orgID": orgID, "name": unique("thing")} }
		renamed := map[string]any{"name": unique("renamed")}
		ours := handmade(t, e.influx, dashboards, named(l.home.ID))
		sibling := handmade(t, e.influx, dashboards, named(l.home.ID))
		theirs := handmade(t, e.influx, dashboards, named(l.other.ID))
		variable := named(l.home.ID)
		variable["arguments"] = map[string]any{"type": "constant", "values": []string{"a"}}
		unread := handmade(t, e.influx, variables, variable)
		users, orgs := "/api/v2/users/", "/api/v2/orgs/"

		e.assertAnswers(t, "read", map[string]any{"read_resources": "dashboards"},
			call{"granted", "GET", ours, nil, http.StatusOK},
			call{"write instead of read", "PATCH", ours, renamed, notAllowed},
			call{"another type", "GET", unread, nil, notAllowed},
			call{"another organization", "GET", theirs, nil, notAllowed})
		e.assertAnswers(t, "write", map[string]any{"write_resources": "dashboards"},
			call{"granted", "POST", dashboards, named(l.home.ID), http.StatusCreated},
			call{"read instead of write", "GET", ours, nil, notAllowed},
			call{"another type", "POST", variables, variable, notAllowed},
			call{"another organization", "POST", dashboards, named(l.other.ID), notAllowed})
		e.assertAnswers(t, "one of them", map[string]any{"permissions": []any{
			map[string]any{"action": "read", "resource": map[string]any{"type": "dashboards", "id": ours[len(dashboards)+1:]}},
		}},
			call{"granted", "GET", ours, nil, http.StatusOK},
			call{"its sibling", "GET", sibling, nil, notAllowed})
		e.assertAnswers(t, "in every organization", map[string]any{"allow_privileged": true, "permissions": []any{
			map[string]any{"action": "read", "resource": map[string]any{"type": "dashboards", "orgID": "*"}},
		}},
			call{"granted", "GET", ours, nil, http.StatusOK},
			call{"granted elsewhere", "GET", theirs, nil, http.StatusOK},
			call{"write instead of read", "PATCH", theirs, renamed, notAllowed},
			call{"another type", "GET", unread, nil, notAllowed})
		e.assertAnswers(t, "owner and organization", map[string]any{"read_resources": "users,orgs"},
			call{"the owner", "GET", users + l.root.ID, nil, http.StatusOK},
			call{"another user", "GET", users + l.dedicated.ID, nil, notAllowed},
			call{"the organization", "GET", orgs + l.home.ID, nil, http.StatusOK},
			call{"another organization", "GET", orgs + l.other.ID, nil, notAllowed},
			call{"write instead of read", "PATCH", orgs + l.home.ID, renamed, notAllowed})
		e.assertAnswers(t, "all-access", map[string]any{"token_type": "all-access", "org": l.other.Name, "allow_privileged": true},
			call{"dashboards", "PATCH", theirs, renamed, http.StatusOK},
			call{"buckets", "POST", "/api/v2/buckets", map[string]any{"orgID": l.other.ID, "name": unique("new"), "retentionRules": []any{}}, http.StatusCreated},
			call{"its organization", "GET", orgs + l.other.ID, nil, http.StatusOK},
			call{"its organization's name", "PATCH", orgs + l.other.ID, renamed, notAllowed},
			call{"another organization", "GET", orgs + l.home.ID, nil, notAllowed},
			call{"another organization's dashboards", "GET", ours, nil, notAllowed},
			call{"another user", "GET", users + l.dedicated.ID, nil, notAllowed})
		// Beyond this one there is nothing.
		e.assertAnswers(t, "operator", map[string]any{"token_type": "operator", "allow_privileged": true},
			call{"dashboards", "PATCH", ours, renamed, http.StatusOK},
			call{"another organization's", "PATCH", theirs, renamed, http.StatusOK},
			call{"another organization", "PATCH", orgs + l.other.ID, renamed, http.StatusOK},
			call{"another user", "GET", users + l.dedicated.ID, nil, http.StatusOK})
	})
}

func TestBucketTokensEndAtTheirGrants(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandscape(t, e.influx)
		assertWorks(t, e.influx, e.influx.Operator) // so that there is something to read
		for _, kind := range []struct {
			name string
			role map[string]any
			// All that it may, of the three buckets below.
			reads, writes []target
		}{
			{"read", map[string]any{"read_buckets": bucket}, []target{{org, bucket}}, nil},
			{"write", map[string]any{"write_buckets": bucket}, nil, []target{{org, bucket}}},
			{"read all", map[string]any{"read_buckets": "*"}, []target{{org, bucket}, {org, l.alerts.Name}}, nil},
			{"write all", map[string]any{"write_buckets": "*"}, nil, []target{{org, bucket}, {org, l.alerts.Name}}},
			{"read one, write another", map[string]any{"read_buckets": bucket, "write_buckets": l.alerts.Name},
				[]target{{org, bucket}}, []target{{org, l.alerts.Name}}},
			{"the other organization's", map[string]any{"org": l.other.Name, "read_buckets": bucket, "write_buckets": bucket},
				[]target{{l.other.Name, bucket}}, []target{{l.other.Name, bucket}}},
			{"by ID", map[string]any{"write_buckets": "id:" + l.alerts.ID}, nil, []target{{org, l.alerts.Name}}},
			{"other types are no buckets", map[string]any{"read_resources": "dashboards,tasks,orgs"}, nil, nil},
			{"everywhere", map[string]any{"allow_privileged": true, "permissions": []any{
				map[string]any{"action": "write", "resource": map[string]any{"type": "buckets", "orgID": "*"}},
			}}, nil, []target{{org, bucket}, {org, l.alerts.Name}, {l.other.Name, bucket}}},
		} {
			t.Run(kind.name, func(t *testing.T) {
				e.role(t, "tried", kind.role)
				m := e.mint(t, "tried")
				for _, p := range []target{{org, bucket}, {org, l.alerts.Name}, {l.other.Name, bucket}} {
					assert.Equal(t, slices.Contains(kind.reads, p), e.reads(t, m, p), "reading %s", p)
					assert.Equal(t, slices.Contains(kind.writes, p), e.writes(t, m, p), "writing %s", p)
				}
			})
		}
	})
}

// target is where points are written and read.
type target struct{ org, bucket string }

func (e *engine) reads(t *testing.T, m minted, p target) bool {
	t.Helper()
	status, _, err := e.influx.QueryPoint(t.Context(), m.token, p.org, p.bucket)
	require.NoError(t, err)
	// To a token that may not read it a bucket does not exist.
	require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, status)
	return status == http.StatusOK
}

func (e *engine) writes(t *testing.T, m minted, p target) bool {
	t.Helper()
	status, err := e.influx.WritePoint(t.Context(), m.token, p.org, p.bucket)
	require.NoError(t, err)
	require.Contains(t, []int{http.StatusNoContent, http.StatusForbidden}, status)
	return status == http.StatusNoContent
}
