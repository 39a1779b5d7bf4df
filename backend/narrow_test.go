package backend

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
	"vault-plugin-secrets-influxdb/backend/permission"
)

var credsReads = []logical.Operation{logical.ReadOperation, logical.UpdateOperation}

// inWords are a token's permissions as InfluxDB says them, sorted.
func inWords(permissions []influxtest.Permission) []string {
	words := make([]string, len(permissions))
	for i, p := range permissions {
		words[i] = p.String()
	}
	slices.Sort(words)
	return words
}

// apiPermission is one permission as a request's permissions field has it.
func apiPermission(action string, resource ...string) map[string]any {
	object := map[string]any{}
	for i := 0; i < len(resource); i += 2 {
		object[resource[i]] = resource[i+1]
	}
	return map[string]any{"action": action, "resource": object}
}

// narrowable is a mount with a role of each kind, in an InfluxDB with a second organization.
func narrowable(t testing.TB, m *testMount) (server *influxtest.Server, alerts, foreign string) {
	t.Helper()
	server = m.connected()
	alerts = server.AddBucket(server.OrgID(), "alerts")
	server.AddBucket(server.OrgID(), "other")
	foreign = server.AddBucket(server.AddOrg("globex"), "theirs")
	server.AddUser("vault")
	m.write("roles/custom", map[string]any{"read_buckets": "metrics,alerts", "write_buckets": "metrics",
		"read_resources": "tasks", "permissions": []any{apiPermission("read", "type", "dashboards")}, "max_ttl": "1h"})
	m.write("roles/star", map[string]any{"read_buckets": "*", "write_buckets": "*"})
	m.write("roles/all", map[string]any{"token_type": "all-access", "allow_privileged": true, "user": "vault"})
	m.write("roles/operator", map[string]any{"token_type": "operator", "allow_privileged": true, "user": "vault"})
	return server, alerts, foreign
}

func TestNarrowing(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server, alerts, _ := narrowable(t, m)
	org, metrics, in := server.OrgID(), server.BucketID(), "orgs/"+server.OrgID()+"/"
	allType := func(action, kind string) []any { return []any{apiPermission(action, "type", kind, "orgID", "*")} }
	for name, c := range map[string]struct {
		role      string
		narrowing map[string]any
		want      []string
		says      string
	}{
		"one bucket":              {"custom", map[string]any{"read_buckets": "metrics"}, []string{"read:" + in + "buckets/" + metrics}, "Read buckets metrics"},
		"the other action":        {"custom", map[string]any{"write_buckets": []string{"metrics"}}, []string{"write:" + in + "buckets/" + metrics}, "Write buckets metrics"},
		"by ID":                   {"custom", map[string]any{"read_buckets": "id:" + strings.ToUpper(alerts)}, []string{"read:" + in + "buckets/" + alerts}, "Read buckets alerts"},
		"a type":                  {"custom", map[string]any{"read_resources": "tasks"}, []string{"read:" + in + "tasks"}, "Read tasks"},
		"one of a type":           {"operator", map[string]any{"permissions": []any{apiPermission("read", "type", "tasks", "id", "03a2bbf46309a000")}}, []string{"read:" + in + "tasks/03a2bbf46309a000"}, "Read tasks 03a2bbf46309a000"},
		"as a permission":         {"custom", map[string]any{"permissions": []any{apiPermission("write", "type", "buckets", "name", "metrics")}}, []string{"write:" + in + "buckets/" + metrics}, "Write buckets metrics"},
		"as a permission in JSON": {"custom", map[string]any{"permissions": `[{"action":"read","resource":{"type":"dashboards"}}]`}, []string{"read:" + in + "dashboards"}, "Read dashboards"},
		"some of each":            {"custom", map[string]any{"read_buckets": "alerts,alerts", "write_buckets": "metrics", "read_resources": "dashboards"}, []string{"read:" + in + "buckets/" + alerts, "read:" + in + "dashboards", "write:" + in + "buckets/" + metrics}, "Read buckets alerts dashboards Write buckets metrics"},
		"one list empty":          {"custom", map[string]any{"read_buckets": "", "write_buckets": "metrics"}, []string{"write:" + in + "buckets/" + metrics}, "Write buckets metrics"},
		"of all":                  {"star", map[string]any{"read_buckets": "alerts"}, []string{"read:" + in + "buckets/" + alerts}, "Read buckets alerts"},
		"all of all":              {"star", map[string]any{"write_buckets": "*"}, []string{"write:" + in + "buckets"}, "Write buckets"},
		"buckets as a type":       {"star", map[string]any{"read_resources": "buckets"}, []string{"read:" + in + "buckets"}, "Read buckets"},
		"all-access":              {"all", map[string]any{"read_buckets": "metrics", "write_resources": "tasks"}, []string{"read:" + in + "buckets/" + metrics, "write:" + in + "tasks"}, "Read buckets metrics Write tasks"},
		"all-access, orgs":        {"all", map[string]any{"read_resources": "orgs"}, []string{"read:orgs/" + org}, "Read orgs " + org},
		"operator":                {"operator", map[string]any{"write_resources": "orgs"}, []string{"write:orgs/" + org}, "Write orgs " + org},
		"operator, everywhere":    {"operator", map[string]any{"permissions": allType("read", "buckets")}, []string{"read:buckets"}, "Read buckets"},
	} {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			for _, op := range credsReads {
				l := m.leased(m.ok(op, "creds/"+c.role, maps.Clone(c.narrowing)))
				token := live(server)[l.id]
				require.Equal(t, c.want, inWords(token.Permissions))
				require.True(t, strings.HasPrefix(token.Description, c.says+" (vault influxdb/creds/"+c.role+" for token-alice) [vault:v1:"), token.Description)
				require.NotContains(t, l.data, "read_buckets")
				tidyUp(t, server, l)
			}
		})
	}
	// Not narrowed they say what they are.
	for role, says := range map[string]string{"all": "All Access (vault ", "operator": "Operator (vault ", "star": "Read buckets Write buckets (vault "} {
		l := m.mint(role)
		require.True(t, strings.HasPrefix(live(server)[l.id].Description, says), live(server)[l.id].Description)
		tidyUp(t, server, l)
	}
}

// What a role does not cover is refused, all of it at once, and nothing is made.
func TestNarrowingIsNoWidening(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server, _, foreign := narrowable(t, m)
	org := server.OrgID()
	beyond := func(role, words string) string { return `role "` + role + `" does not cover ` + words }
	cases := map[string]struct {
		role      string
		narrowing map[string]any
		says      []string
	}{
		"another bucket":       {"custom", map[string]any{"read_buckets": "metrics,other"}, []string{"read_buckets[1]: " + beyond("custom", "read:buckets/other in org acme")}},
		"another action":       {"custom", map[string]any{"write_buckets": "alerts"}, []string{"write_buckets[0]: " + beyond("custom", "write:buckets/alerts in org acme")}},
		"all buckets":          {"custom", map[string]any{"read_buckets": "*"}, []string{"read_buckets[0]: " + beyond("custom", "read:buckets in org acme")}},
		"another type":         {"custom", map[string]any{"read_resources": "tasks,labels"}, []string{"read_resources[1]: " + beyond("custom", "read:labels in org acme")}},
		"write for read":       {"custom", map[string]any{"write_resources": "tasks"}, []string{"write_resources[0]: " + beyond("custom", "write:tasks in org acme")}},
		"no such type":         {"custom", map[string]any{"read_resources": "task"}, []string{"read_resources[0]: " + beyond("custom", "read:task in org acme")}},
		"more than one":        {"custom", map[string]any{"read_buckets": "other", "write_buckets": "alerts,metrics,other"}, []string{"read_buckets[0]: " + beyond("custom", "read:buckets/other in org acme"), "write_buckets[0]: " + beyond("custom", "write:buckets/alerts in org acme"), "write_buckets[2]: " + beyond("custom", "write:buckets/other in org acme")}},
		"as a permission":      {"custom", map[string]any{"permissions": []any{apiPermission("read", "type", "buckets", "name", "alerts"), apiPermission("write", "type", "buckets", "name", "other")}}, []string{"permissions[1]: " + beyond("custom", "write:buckets/other in org acme")}},
		"unknown bucket":       {"custom", map[string]any{"read_buckets": "metrics,nope"}, []string{`read_buckets[1]: no bucket "nope" in org "acme"`}},
		"unknown to all":       {"star", map[string]any{"read_buckets": "nope"}, []string{`read_buckets[0]: no bucket "nope" in org "acme"`}},
		"unknown ID":           {"star", map[string]any{"read_buckets": "id:03a2bbf46309a000"}, []string{`read_buckets[0]: no bucket has the ID 03a2bbf46309a000`}},
		"bad ID":               {"star", map[string]any{"read_buckets": "id:metrics"}, []string{`read_buckets[0]: "id:metrics" is not an ID; write id: and 16 hexadecimal digits`}},
		"another organization": {"operator", map[string]any{"read_buckets": "id:" + foreign}, []string{"read_buckets[0]: bucket " + foreign + " belongs to another organization"}},
		"not of all buckets":   {"star", map[string]any{"read_resources": "tasks"}, []string{"read_resources[0]: " + beyond("star", "read:tasks in org acme")}},
		"more than all-access": {"all", map[string]any{"write_resources": "orgs,tasks"}, []string{"write_resources[0]: " + beyond("all", "write:orgs/"+org)}},
		"every organization":   {"all", map[string]any{"permissions": []any{apiPermission("read", "type", "buckets", "orgID", "*")}}, []string{"permissions[0]: " + beyond("all", "read:buckets")}},
		"every type":           {"star", map[string]any{"write_resources": "*"}, nil},
		"instance":             {"operator", map[string]any{"write_resources": "instance"}, []string{"write_resources[0]: instance is for InfluxDB's own set-up; no token can hold it"}},
		"a template":           {"star", map[string]any{"read_buckets": "{{identity.entity.name}}"}, []string{`read_buckets[0]: no bucket "{{identity.entity.name}}" in org "acme"`}},
		"another user":         {"all", map[string]any{"permissions": []any{apiPermission("write", "type", "users", "id", server.UserID())}}, []string{"permissions[0]: " + beyond("all", "write:users/"+server.UserID())}},
	}
	for _, field := range []string{"read_buckets", "write_buckets", "read_resources", "write_resources", "permissions"} {
		empty := []string{field + ": empty; the token would grant nothing. Leave it out for all that the role grants"}
		cases["empty "+field] = struct {
			role      string
			narrowing map[string]any
			says      []string
		}{"custom", map[string]any{field: []any{}}, empty}
		cases["blank "+field] = struct {
			role      string
			narrowing map[string]any
			says      []string
		}{"operator", map[string]any{field: ""}, empty}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := m.in(t)
			for _, op := range credsReads {
				server.ResetRequests()
				text := m.rejected(op, "creds/"+c.role, maps.Clone(c.narrowing))
				lines := strings.Split(text, "\n")
				for i, want := range c.says {
					require.True(t, strings.HasPrefix(lines[i], want), text)
				}
				if c.says != nil {
					require.Len(t, lines, len(c.says), text)
				}
				for _, r := range server.Requests() {
					require.Equal(t, http.MethodGet, r.Method)
				}
			}
		})
	}
	text := m.rejected(logical.ReadOperation, "creds/star", map[string]any{"write_resources": "*"})
	require.Len(t, strings.Split(text, "\n"), len(influxtest.ResourceTypes())-2, "all but buckets, and instance")
	require.Empty(t, live(server))
}

func TestNarrowingWithTTL(t *testing.T) {
	m := newMount(t)
	server, _, _ := narrowable(t, m)
	for _, op := range credsReads {
		l := m.leased(m.ok(op, "creds/custom", map[string]any{"read_buckets": "metrics", "ttl": "90s"}))
		require.Equal(t, 90*time.Second, l.secret.TTL)
		require.Equal(t, time.Hour, l.secret.MaxTTL)
		require.Len(t, live(server)[l.id].Permissions, 1)
		tidyUp(t, server, l)

		resp := m.ok(op, "creds/custom", map[string]any{"read_buckets": "metrics", "ttl": "2h"})
		require.Equal(t, "ttl: 2h0m0s is longer than allowed; the lease has 1h0m0s", warned(resp))
		require.Equal(t, time.Hour, resp.Secret.TTL)
		l = m.leased(resp)
		require.Len(t, live(server)[l.id].Permissions, 1)
		tidyUp(t, server, l)
	}
}

// A bucket that a request names is the one that has the name now.
func TestNarrowingNoticesABucketMadeAnew(t *testing.T) {
	m := newMount(t)
	server, alerts, _ := narrowable(t, m)
	narrowing := map[string]any{"read_buckets": "alerts"}
	first := m.leased(m.ok(logical.ReadOperation, "creds/star", narrowing))
	server.DeleteBucket(alerts)
	require.Equal(t, `read_buckets[0]: no bucket "alerts" in org "acme"`, m.rejected(logical.ReadOperation, "creds/star", narrowing))
	anew := server.AddBucket(server.OrgID(), "alerts")
	l := m.leased(m.ok(logical.ReadOperation, "creds/star", narrowing))
	require.Equal(t, anew, live(server)[l.id].Permissions[0].Resource.ID)
	tidyUp(t, server, first, l)
}

// askInflux sends one request to the fake with a token and gives the status.
func askInflux(t testing.TB, server *influxtest.Server, token, method, path string, body any) int {
	t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, bytes.NewReader(encoded))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Token "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	return resp.StatusCode
}

// grantedBy asks the fake whether who holds some permissions may grant others: it compares by InfluxDB's own rule.
func grantedBy(t testing.TB, server *influxtest.Server, held []influxtest.Permission, wanted ...influxtest.Permission) bool {
	t.Helper()
	_, token := server.AddToken(server.OrgID(), server.UserID(), append(influxtest.MintingPermissions(server.OrgID(), server.UserID()), held...)...)
	status := askInflux(t, server, token, http.MethodPost, "/api/v2/authorizations",
		map[string]any{"orgID": server.OrgID(), "permissions": wanted, "status": "inactive"})
	require.Contains(t, []int{http.StatusCreated, http.StatusForbidden}, status)
	return status == http.StatusCreated
}

func ours(permissions []influxtest.Permission) []permission.Permission {
	same := make([]permission.Permission, len(permissions))
	for i, p := range permissions {
		same[i] = permission.Permission{Action: p.Action, Type: p.Resource.Type, ID: p.Resource.ID, OrgID: p.Resource.OrgID}
	}
	return same
}

// grantWorld makes random narrowings over a small world.
type grantWorld struct {
	*rand.Rand
	buckets, types, ids, orgIDs []string
}

func (w grantWorld) pick(from []string) string { return from[w.Intn(len(from))] }

func (w grantWorld) some(from []string, most int) []string {
	list := []string{}
	for range w.Intn(most + 1) {
		list = append(list, w.pick(from))
	}
	return list
}

func (w grantWorld) api() map[string]any {
	kind := w.pick(w.types)
	resource := []string{"type", kind}
	switch w.Intn(4) {
	case 0:
		resource = append(resource, "id", w.pick(w.ids))
	case 1:
		if kind == "buckets" {
			resource = append(resource, "name", w.pick([]string{"metrics", "alerts"}))
		}
	case 2:
		resource = append(resource, "orgID", w.pick(w.orgIDs))
	}
	return apiPermission(w.pick([]string{"read", "write"}), resource...)
}

func (w grantWorld) fields(most int) map[string]any {
	data := map[string]any{}
	for field, from := range map[string][]string{
		"read_buckets": w.buckets, "write_buckets": w.buckets,
		"read_resources": w.types, "write_resources": w.types,
	} {
		if list := w.some(from, most); len(list) > 0 {
			data[field] = list
		}
	}
	permissions := []any{}
	for range w.Intn(most + 1) {
		permissions = append(permissions, w.api())
	}
	if len(permissions) > 0 || len(data) == 0 {
		data["permissions"] = append(permissions, w.api())
	}
	return data
}

// Whatever a role says and whatever is asked for: a narrowed token can do nothing that the role's own could not,
// and what is refused is not the role's.
func TestNarrowedTokensHoldNoMoreThanTheRole(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server, alerts, foreign := narrowable(t, m)
	server.AddBucket(server.OrgID(), "logs")
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	w := grantWorld{
		Rand:    rand.New(rand.NewSource(seed)),
		buckets: []string{"metrics", "alerts", "logs", "*", "id:" + server.BucketID(), "id:" + alerts},
		types:   []string{"buckets", "tasks", "dashboards", "orgs", "users", "authorizations"},
		ids:     []string{server.BucketID(), alerts, server.OrgID(), server.UserID(), "03a2bbf46309a000"},
		orgIDs:  []string{server.OrgID(), "*"},
	}
	hostile := w
	hostile.buckets = append([]string{"id:" + foreign, "theirs", "nope"}, append(w.buckets, w.buckets...)...)
	hostile.types = append([]string{"*"}, append(w.types, w.types...)...)
	buckets := []string{server.BucketID(), alerts, foreign}
	// The same narrowing of a role that may do everything says what was wanted.
	m.write("roles/everything", map[string]any{"token_type": "operator", "allow_privileged": true, "user": "admin"})
	var minted, refused, unclear int
	rounds := 250
	if !atLength() {
		rounds = 60
	}
	for range rounds {
		role := w.fields(4)
		role["allow_privileged"], role["verify"], role["user"] = true, false, "admin"
		if w.Intn(8) == 0 {
			role = map[string]any{"token_type": w.pick([]string{"all-access", "operator"}), "allow_privileged": true, "verify": false, "user": "admin"}
		}
		m.write("roles/random", role)
		resp, err := m.request(logical.ReadOperation, "creds/random", nil)
		if err != nil { // such as a bucket by the ID of something else
			continue
		}
		whole := m.leased(resp)
		held := live(server)[whole.id]
		narrowing := hostile.fields(1)
		for field := range narrowing {
			if len(narrowing) > 1 && w.Intn(2) == 0 {
				delete(narrowing, field)
			}
		}
		scene := fmt.Sprintf("seed %d, role %v, narrowing %v", seed, role, narrowing)
		resp, err = m.request(logical.UpdateOperation, "creds/random", maps.Clone(narrowing))
		if err != nil {
			status, text := refusal(t, resp, err)
			require.Equal(t, 400, status, scene)
			if resp, err = m.request(logical.UpdateOperation, "creds/everything", maps.Clone(narrowing)); err != nil {
				unclear++
			} else if wanted := m.leased(resp); strings.Contains(text, "can't be seen to be of org") { // nothing has that ID
				require.NoError(t, wanted.revoke(t.Context()))
			} else {
				if all := live(server)[wanted.id].Permissions; !slices.ContainsFunc(all, func(p influxtest.Permission) bool { return isMinting(server, p) }) {
					require.False(t, grantedBy(t, server, held.Permissions, all...), "%s: InfluxDB would grant it: %s", scene, text)
				}
				require.NotEmpty(t, permission.Missing(ours(held.Permissions), ours(live(server)[wanted.id].Permissions)), "%s: %s", scene, text)
				require.NoError(t, wanted.revoke(t.Context()))
			}
			refused++
			require.NoError(t, whole.revoke(t.Context()))
			continue
		}
		minted++
		l := m.leased(resp)
		narrow := live(server)[l.id]
		require.NotEmpty(t, narrow.Permissions, scene)
		require.Empty(t, permission.Missing(ours(held.Permissions), ours(narrow.Permissions)), scene)
		require.True(t, grantedBy(t, server, held.Permissions, narrow.Permissions...), scene)
		for _, bucket := range buckets {
			for _, method := range []string{http.MethodGet, http.MethodPatch} {
				path := "/api/v2/buckets/" + bucket
				if askInflux(t, server, narrow.Token, method, path, map[string]any{}) == http.StatusOK {
					require.Equal(t, http.StatusOK, askInflux(t, server, held.Token, method, path, map[string]any{}), "%s: %s %s", scene, method, path)
				}
			}
		}
		require.NoError(t, l.revoke(t.Context()))
		require.NoError(t, whole.revoke(t.Context()))
	}
	t.Logf("%d minted, %d refused (%d of them not of the role)", minted, refused, unclear)
	require.Greater(t, minted, rounds/25)
	require.Greater(t, refused, rounds/25)
	require.Empty(t, live(server))
}

// isMinting says that a permission is covered by those that grantedBy adds to what it is asked about.
func isMinting(server *influxtest.Server, p influxtest.Permission) bool {
	added := influxtest.MintingPermissions(server.OrgID(), server.UserID())
	return len(permission.Missing(ours(added), ours([]influxtest.Permission{p}))) == 0
}
