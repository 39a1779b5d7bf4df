package backend

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// InfluxDB compares IDs alone: what a role may do outside its organization is no leave for its callers to name things
// there.
func TestNarrowingStaysInTheOrganization(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	server.AddUser("vault")
	const mine, theirs, named = "03a2bbf46309a001", "03a2bbf46309a002", "03a2bbf46309a003"
	globex := server.AddOrg("globex")
	orgs := map[string]string{mine: server.OrgID(), theirs: globex, named: globex}
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		kind, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/api/v2/"), "/")
		if orgID := orgs[id]; orgID != "" && (kind == "dashboards" || kind == "tasks") {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `{"id":%q,"orgID":%q}`, id, orgID)
			return
		}
		next.ServeHTTP(w, r)
	})
	m.write("roles/type", map[string]any{"write_resources": "dashboards,tasks", "allow_privileged": true, "user": "vault"})
	m.write("roles/named", map[string]any{"write_resources": "tasks", "allow_privileged": true, "user": "vault",
		"permissions": []any{apiPermission("write", "type", "dashboards", "id", named)}})
	m.write("roles/all", map[string]any{"token_type": "all-access", "allow_privileged": true, "user": "vault"})
	m.write("roles/operator", map[string]any{"token_type": "operator", "allow_privileged": true, "user": "vault"})
	for _, c := range []struct {
		role, kind, id string
		works          bool
	}{
		{"type", "dashboards", mine, true}, {"named", "dashboards", named, true}, {"operator", "dashboards", theirs, true},
		{"all", "dashboards", mine, true}, {"all", "tasks", mine, true},
		{"type", "dashboards", theirs, false}, {"type", "tasks", theirs, false}, {"named", "tasks", named, false},
		{"all", "dashboards", theirs, false}, {"all", "tasks", theirs, false},
	} {
		t.Run(c.role+" "+c.kind+" "+c.id, func(t *testing.T) {
			m := m.in(t)
			narrowing := map[string]any{"permissions": []any{apiPermission("write", "type", c.kind, "id", c.id)}}
			if c.works {
				l := m.leased(m.ok(logical.UpdateOperation, "creds/"+c.role, narrowing))
				require.Equal(t, []string{"write:orgs/" + server.OrgID() + "/" + c.kind + "/" + c.id}, inWords(live(server)[l.id].Permissions))
				tidyUp(t, server, l)
				return
			}
			require.Equal(t, "permissions[0]: "+c.kind+" "+c.id+` can't be seen to be of org "acme"; if it is meant all the same, the role has to name it by this ID`,
				m.rejected(logical.UpdateOperation, "creds/"+c.role, narrowing))
			require.Empty(t, live(server))
		})
	}
}
