package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// definition is one way to write a role.
type definition struct {
	name string
	role map[string]any
	// grant is all that InfluxDB then stores of a token.
	grant []lab.Permission
	// reads are the fields that read back in another form: a list that was written as a text.
	reads map[string]any
	// orgID and ownerID are whose the token is; empty means the config's organization and the root token's user.
	orgID, ownerID string
}

// landmarks are a landscape and what roles name in it by ID.
type landmarks struct {
	landscape
	// board and label are home's, foreign is the other organization's dashboard.
	board, label, foreign string
	// idle is a user that is switched off.
	idle  lab.Named
	types []string
}

func newLandmarks(t *testing.T, influx *lab.Influx) landmarks {
	t.Helper()
	l := landmarks{landscape: newLandscape(t, influx), idle: newUser(t, influx)}
	made := func(kind, orgID string) string {
		path := handmade(t, influx, "/api/v2/"+kind, map[string]any{"orgID": orgID, "name": unique(kind)})
		return path[strings.LastIndex(path, "/")+1:]
	}
	l.board, l.label, l.foreign = made("dashboards", l.home.ID), made("labels", l.home.ID), made("dashboards", l.other.ID)
	status, answer, err := influx.Call(t.Context(), influx.Operator, http.MethodPatch, "/api/v2/users/"+l.idle.ID,
		map[string]any{"name": l.idle.Name, "status": "inactive"})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s", answer)
	l.types, err = influx.ResourceTypes(t.Context())
	require.NoError(t, err)
	return l
}

// everyType is all of each type in an organization, as a token of an owner holds it.
func (l landmarks) everyType(action, orgID, ownerID string) []lab.Permission {
	all := make([]lab.Permission, len(l.types))
	elsewhere := landscape{home: lab.Named{ID: orgID}, root: lab.Named{ID: ownerID}}
	for i, kind := range l.types {
		all[i] = whole(action, kind, elsewhere)
	}
	return all
}

// allAccess is what such a token holds: everything of the organization, but not its name.
func (l landmarks) allAccess(orgID, ownerID string) []lab.Permission {
	all := l.everyType("read", orgID, ownerID)
	for _, p := range l.everyType("write", orgID, ownerID) {
		if p.Resource.Type != "orgs" {
			all = append(all, p)
		}
	}
	return all
}

// operator is every type, everywhere.
func (l landmarks) operator() []lab.Permission {
	var all []lab.Permission
	for _, kind := range l.types {
		all = append(all, to("read", kind, "", ""), to("write", kind, "", ""))
	}
	return all
}

// raw is one permission in the form of InfluxDB's API; resource holds keys and values.
func raw(action string, resource ...string) map[string]any {
	object := map[string]any{}
	for i := 0; i < len(resource); i += 2 {
		object[resource[i]] = resource[i+1]
	}
	return map[string]any{"action": action, "resource": object}
}

// asRead is how a role reads back: every field, lists as lists, and nothing normalised.
func (d definition) asRead() map[string]any {
	fields := map[string]any{
		"org": "", "org_id": "", "token_type": "custom", "read_buckets": []any{}, "write_buckets": []any{},
		"read_resources": []any{}, "write_resources": []any{}, "read_databases": []any{}, "write_databases": []any{}, "permissions": []any{}, "clone_from": "", "user": "", "user_id": "",
		"description": "", "ttl": 0, "max_ttl": 0, "max_leases": 0, "allow_privileged": false,
	}
	for _, written := range []map[string]any{d.role, d.reads} {
		for name, value := range written {
			_, text := value.(string)
			if _, list := fields[name].([]any); list && text {
				value = []any{value}
			}
			fields[name] = value
		}
	}
	delete(fields, "verify")
	return fields
}

// assertStored writes a role as JSON over HTTP, reads it back, and compares what InfluxDB stores of its token.
func (e *engine) assertStored(t *testing.T, l landscape, d definition) {
	t.Helper()
	e.role(t, "table", d.role)
	read, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/roles/table")
	require.NoError(t, err)
	wanted, err := json.Marshal(d.asRead())
	require.NoError(t, err)
	got, err := json.Marshal(read.Data)
	require.NoError(t, err)
	assert.JSONEq(t, string(wanted), string(got), "reads back as it was written")

	if d.orgID == "" {
		d.orgID = l.home.ID
	}
	if d.ownerID == "" {
		d.ownerID = l.root.ID
	}
	m := e.mint(t, "table")
	made := e.authorization(t, m.id)
	assert.ElementsMatch(t, d.grant, made.Permissions)
	assert.Equal(t, d.orgID, made.OrgID)
	assert.Equal(t, d.ownerID, made.UserID)
	e.revoke(t, m.lease)
}

// refusedLines are what a write that is a 400 says, line by line.
func (e *engine) refusedLines(t *testing.T, path string, fields map[string]any) []string {
	t.Helper()
	_, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/"+path, fields)
	return e.linesOf(t, err)
}

// linesOf are what a 400 says, without Vault's frame around it, and with <mount> for the mount's path.
func (e *engine) linesOf(t *testing.T, err error) []string {
	t.Helper()
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusBadRequest, refused.StatusCode, "%v", err)
	require.Len(t, refused.Errors, 1)
	text := strings.TrimPrefix(refused.Errors[0], "1 error occurred:\n\t* ")
	return strings.Split(strings.TrimSpace(strings.ReplaceAll(text, e.path, "<mount>")), "\n")
}

func TestRolesGrantExactlyWhatTheySayAndReadBackAsWritten(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandmarks(t, e.influx)
		for _, table := range [][]definition{bucketRoles(l), resourceRoles(l), permissionRoles(l), wholeRoles(l)} {
			for _, d := range table {
				t.Run(d.name, func(t *testing.T) {
					if onOpenBao() && strings.HasPrefix(d.name, "a thousand") {
						t.Skip("a list that OpenBao itself refuses: TestOpenBaoTakesFewStrings")
					}
					e.assertStored(t, l.landscape, d)
				})
			}
		}
		require.NoError(t, lab.Await(t.Context(), time.Minute, "each token to be revoked, and each trial deleted", func(context.Context) error {
			if left := e.inInflux(t); len(left) > 0 { // at a tick, a list's probe is there for a moment
				return fmt.Errorf("left are %v", descriptions(left))
			}
			return nil
		}))
	})
}

// Each kind of mistake at once, as the real servers show it. Each mistake by itself is the unit tests'.
func TestABadRoleIsRefusedWithEveryReason(t *testing.T) {
	t.Parallel()
	const meant = "; if that is meant, set allow_privileged=true"
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		l := newLandmarks(t, e.influx)
		assert.Equal(t, []string{
			"permissions[1]: write on orgs can change who may do what, and make other tokens" + meant,
			`read_resources[0]: "label" is not a resource type (buckets, tasks, …); did you mean labels?`,
			`read_buckets[0]: no bucket "Metrcs" in org "acme"; buckets there that look alike: metrics`,
			fmt.Sprintf(`write_buckets[0]: bucket %s belongs to another organization (%s), not to "acme"`, l.namesake.ID, l.other.ID),
			"permissions[0]: dashboards " + l.foreign + unseen + "; if it is meant all the same, set allow_privileged=true",
		}, e.refusedLines(t, "roles/table", fields{
			"read_buckets": "Metrcs", "write_buckets": "id:" + l.namesake.ID, "read_resources": "label", "org": org,
			"permissions": []any{raw("read", "type", "dashboards", "id", l.foreign), raw("write", "type", "orgs")},
		}))
		assert.Contains(t, e.refuses(t, "roles/table", bucketRole(fields{"user": l.idle.Name})), "is inactive: its tokens would be refused")
		assert.Empty(t, e.inInflux(t), "no trial leaves a token")
		stored, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/roles/table")
		require.NoError(t, err)
		assert.Nil(t, stored, "nothing was stored")
	})
}
