package backend

import (
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// rooted gives the mount a root token that holds what it takes to mint, and a few permissions more.
func rooted(m *testMount, server *influxtest.Server, more ...influxtest.Permission) (root string, held []influxtest.Permission) {
	m.t.Helper()
	held = minting(server.OrgID(), server.UserID(), more...)
	_, root = server.AddToken(server.OrgID(), server.UserID(), held...)
	m.write("config", map[string]any{"token": root})
	return root, held
}

func notHeld(field, words string) string {
	return field + ": the root token does not hold " + words + ", so it can't grant it; see docs/root-token.md"
}

// Each permission that the root token lacks is named, with where the role asks for it, and none that it holds.
func TestRoleNamesWhatTheRootLacks(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	org := server.OrgID()
	alerts := server.AddBucket(org, "alerts")
	root, _ := rooted(m, server, influxtest.InOrg("read", "buckets", org), influxtest.InOrg("read", "tasks", org), influxtest.InOrgByID("write", "buckets", alerts, org))
	tokens := len(server.Tokens())
	data := map[string]any{
		"read_buckets": "metrics", "write_buckets": []string{"alerts", "metrics", "id:" + server.BucketID()},
		"read_resources": "tasks,dashboards", "write_resources": "labels,orgs", "allow_privileged": true,
		"permissions": []any{apiPermission("read", "type", "buckets"), apiPermission("write", "type", "telegrafs"), apiPermission("read", "type", "buckets", "orgID", "*"), apiPermission("read", "type", "views", "id", "03a2bbf46309a000")},
	}
	for range 2 {
		require.Equal(t, []string{
			notHeld("write_buckets[1]", "write:buckets/metrics in org acme"),
			notHeld("read_resources[1]", "read:dashboards in org acme"),
			notHeld("write_resources[0]", "write:labels in org acme"),
			notHeld("write_resources[1]", "write:orgs/"+org),
			notHeld("permissions[1]", "write:telegrafs in org acme"),
			notHeld("permissions[2]", "read:buckets in every organization"),
			notHeld("permissions[3]", "read:views/03a2bbf46309a000 in org acme"),
		}, strings.Split(m.rejected(logical.UpdateOperation, "roles/new", data), "\n"))
		require.Len(t, server.Tokens(), tokens, "no probe is left")
	}
	m.silent([]string{root})

	// With the other problems of the role.
	text := m.rejected(logical.UpdateOperation, "roles/new", map[string]any{"write_buckets": "metrics", "read_resources": "task"})
	require.Contains(t, text, "read_resources[0]: \"task\" is not a resource type")
	require.Contains(t, text, notHeld("write_buckets[0]", "write:buckets/metrics in org acme"))
	text = m.rejected(logical.UpdateOperation, "roles/new", map[string]any{"write_buckets": "metrics,nope", "ttl": "2h", "max_ttl": "1h"})
	require.Contains(t, text, `write_buckets[1]: no bucket "nope"`)
	require.Contains(t, text, "ttl: ")

	text = m.rejected(logical.UpdateOperation, "roles/new", map[string]any{"token_type": "all-access", "allow_privileged": true})
	require.Contains(t, text, notHeld("token_type", "write:tasks in org acme"))
	require.NotContains(t, text, "read:tasks in")

	// What it holds it grants.
	require.Nil(t, m.write("roles/new", map[string]any{"read_buckets": "*", "write_buckets": "alerts", "read_resources": "tasks"}))
	tidyUp(t, server, m.mint("new"))
	require.Len(t, server.Tokens(), tokens)
}

// What is named is what InfluxDB itself refuses when it is asked for alone.
func TestRoleNamesJustWhatInfluxDBRefuses(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewSource(seed))
	types := []string{"buckets", "tasks", "dashboards", "labels", "telegrafs", "variables", "views", "checks"}
	for range 25 {
		var more []influxtest.Permission
		for _, kind := range types {
			for _, action := range []string{"read", "write"} {
				switch random.Intn(4) {
				case 0:
					more = append(more, influxtest.InOrg(action, kind, server.OrgID()))
				case 1:
					more = append(more, influxtest.Everywhere(action, kind))
				}
			}
		}
		_, held := rooted(m, server, more...)
		var wanted []influxtest.Permission
		list := func(action string) (kinds []string) {
			for _, kind := range types {
				if random.Intn(2) == 0 {
					kinds = append(kinds, kind)
					wanted = append(wanted, influxtest.InOrg(action, kind, server.OrgID()))
				}
			}
			return kinds
		}
		data := map[string]any{"read_resources": list("read"), "write_resources": list("write"), "allow_privileged": true}
		var refused []string
		next := map[string]int{}
		for _, p := range wanted {
			index := next[p.Action]
			next[p.Action]++
			if !grantedBy(t, server, held, p) {
				refused = append(refused, notHeld(fmt.Sprintf("%s_resources[%d]", p.Action, index), p.Action+":"+p.Resource.Type+" in org acme"))
			}
		}
		if len(wanted) == 0 {
			continue
		}
		resp, err := m.request(logical.UpdateOperation, "roles/random", data)
		if len(refused) == 0 {
			require.NoError(t, err, "seed %d", seed)
			require.NoError(t, resp.Error())
			continue
		}
		_, text := refusal(t, resp, err)
		require.Equal(t, refused, strings.Split(text, "\n"), "seed %d", seed)
		require.Empty(t, live(server))
	}
}

// How often InfluxDB is asked is bounded.
func TestRoleNamesAHundredThatTheRootLacks(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	server := m.connected()
	var names []string
	for i := range 120 {
		names = append(names, fmt.Sprintf("bucket-%03d", i))
		server.AddBucket(server.OrgID(), names[i])
	}
	rooted(m, server, influxtest.InOrg("read", "buckets", server.OrgID()))
	text := m.rejected(logical.UpdateOperation, "roles/wide", map[string]any{"write_buckets": names})
	lines := strings.Split(text, "\n")
	require.Len(t, lines, maxDryRuns+1)
	require.Contains(t, lines[maxDryRuns], "and perhaps more")
	require.Contains(t, text, "write_buckets[0]: ")
	require.Empty(t, live(server))
}

func TestRoleForAnOwnerThatTheRootMayNotWrite(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	vault := server.AddUser("vault")
	rooted(m, server, influxtest.InOrg("read", "buckets", server.OrgID()), influxtest.ByID("read", "users", vault))
	want := "the root token lacks write:users/" + vault + ", needed to create tokens of this role; see docs/root-token.md"
	for _, owner := range []map[string]any{{"user": "vault"}, {"user_id": vault}} {
		owner["read_buckets"] = "metrics"
		require.Equal(t, want, m.rejected(logical.UpdateOperation, "roles/new", owner))
		owner["read_resources"] = "task"
		text := m.rejected(logical.UpdateOperation, "roles/new", owner)
		require.Contains(t, text, want)
		require.Contains(t, text, "read_resources[0]: ")
	}
	require.Empty(t, live(server))
}

func TestRoleForAnInactiveOwner(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	vault := server.AddUser("vault")
	server.SetUserActive(vault, false)
	const want = `user: "vault" is inactive: its tokens would be refused`
	for _, owner := range []map[string]any{{"user": "vault"}, {"user_id": vault}} {
		owner["read_buckets"] = "metrics"
		require.Equal(t, want, m.rejected(logical.UpdateOperation, "roles/new", owner))
		owner["write_buckets"] = "metrcs"
		require.Contains(t, m.rejected(logical.UpdateOperation, "roles/new", owner), want+"\n"+`write_buckets[0]: no bucket "metrcs"`)
	}
	// The configuration's owner is the role's where it names none.
	server.SetUserActive(vault, true)
	for _, owner := range []map[string]any{{"user": "vault"}, {"user_id": vault}} {
		m.write("config", owner)
		server.SetUserActive(vault, false)
		require.Equal(t, want, m.rejected(logical.UpdateOperation, "roles/new", map[string]any{"read_buckets": "metrics"}), "%v", owner)
		server.SetUserActive(vault, true)
	}
	m.write("roles/new", map[string]any{"read_buckets": "metrics"})
	require.Empty(t, live(server))
}

// InfluxDB compares IDs alone: what is not seen to be of the organization has to be meant.
func TestRoleWithResourcesOfAnotherOrganization(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	org, other := server.OrgID(), server.AddOrg("globex")
	user := server.AddUser("vault")
	theirs := server.AddBucket(other, "theirs")
	const mine, foreign, unknown = "03a2bbf46309a000", "03a2bbf46309a001", "03a2bbf46309a002"
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		for id, of := range map[string]string{mine: org, foreign: other} {
			if r.URL.Path == "/api/v2/tasks/"+id {
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"id":%q,"orgID":%q}`, id, of)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
	role := func(kind, id string) map[string]any {
		return map[string]any{"permissions": []any{apiPermission("read", "type", "labels"), apiPermission("read", "type", kind, "id", id)}}
	}
	for _, c := range [][2]string{{"tasks", foreign}, {"tasks", unknown}, {"views", mine}, {"users", user}, {"orgs", other}} {
		data := role(c[0], c[1])
		require.Equal(t, "permissions[1]: "+c[0]+" "+c[1]+` can't be seen to be of org "acme"; if it is meant all the same, set allow_privileged=true`,
			m.rejected(logical.UpdateOperation, "roles/new", data))
		data["allow_privileged"] = true
		m.write("roles/new", data)
		tidyUp(t, server, m.mint("new"))
		m.rejected(logical.PatchOperation, "roles/new", map[string]any{"allow_privileged": false})
	}
	for _, c := range [][2]string{{"tasks", mine}, {"users", server.UserID()}, {"orgs", org}} {
		require.Nil(t, m.write("roles/new", role(c[0], c[1])))
		tidyUp(t, server, m.mint("new"))
	}
	// A bucket of another organization is never meant.
	for _, allow := range []bool{false, true} {
		data := role("buckets", theirs)
		data["allow_privileged"] = allow
		require.Equal(t, "permissions[1]: bucket "+theirs+" belongs to another organization ("+other+`), not to "acme"`,
			m.rejected(logical.UpdateOperation, "roles/new", data))
	}
	// Stored without a look, it is refused at the mint.
	data := role("tasks", foreign)
	data["verify"] = false
	m.write("roles/new", data)
	require.Contains(t, m.rejected(logical.ReadOperation, "creds/new", nil), "permissions[1]: tasks "+foreign+" can't be seen to be of org")
	require.Empty(t, live(server))
}

// A name that depends on the caller is no part of the trial; the rest is.
func TestTrialLeavesTemplatesOut(t *testing.T) {
	const name = "{{identity.entity.name}}"
	m := newMount(t)
	server := m.connected()
	rooted(m, server, influxtest.InOrg("read", "buckets", server.OrgID()))
	var posted []string
	server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			body, _ := io.ReadAll(r.Body)
			posted = append(posted, string(body))
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		next.ServeHTTP(w, r)
	})
	require.Equal(t, notHeld("write_buckets[1]", "write:buckets/metrics in org acme"),
		m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_buckets": []string{name, "metrics"}, "write_buckets": []string{name, "metrics"}}))
	require.Nil(t, m.write("roles/own", map[string]any{"read_buckets": []string{name, "metrics"}, "write_buckets": name,
		"permissions": []any{apiPermission("write", "type", "buckets", "name", "x-"+name)}, "user": name}))
	require.Nil(t, m.write("roles/own", map[string]any{"write_buckets": name}))
	require.NotEmpty(t, posted)
	for _, body := range posted {
		require.NotContains(t, body, "{{")
		require.NotContains(t, body, "identity.")
	}
	require.Empty(t, live(server))
}

// A probe can't be used, and where its deletion fails its stamp says that it should be gone in a minute.
func TestTrialLeavesNoProbe(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	rooted(m, server, influxtest.InOrg("read", "buckets", server.OrgID()))
	for name, fault := range map[string]func(){
		"refused": func() { server.Refuse("DELETE", "/api/v2/authorizations") },
		"a 500": func() {
			server.Fail("DELETE", "/api/v2/authorizations", 500, "application/json", `{"code":"internal error","message":"x"}`)
		},
		"a page": func() { server.Fail("DELETE", "/api/v2/authorizations", 502, "text/html", "<html>") },
	} {
		for _, c := range []struct {
			data map[string]any
			good bool
		}{
			{map[string]any{"read_buckets": "metrics"}, true},
			{map[string]any{"read_buckets": "metrics", "write_buckets": "metrics"}, false},
		} {
			fault()
			if c.good {
				require.Contains(t, warned(m.write("roles/new", c.data)), "stored without a look at InfluxDB: ", name)
			} else {
				require.Contains(t, m.rejected(logical.UpdateOperation, "roles/new", c.data), notHeld("write_buckets[0]", "write:buckets/metrics in org acme"), name)
			}
			server.Intercept(nil)
			left := live(server)
			require.Len(t, left, 1)
			for id, probe := range left {
				require.Equal(t, "inactive", probe.Status)
				st, ok := readStamp(probe.Description)
				require.True(t, ok)
				require.Equal(t, []string{testUUID, kindLease, probeRole}, []string{st.Mount, st.Kind, st.Role})
				require.WithinDuration(t, m.clock.now().Add(time.Minute), st.Deadline, 30*time.Second)
				deleteToken(t, server, id)
			}
		}
	}
	require.Empty(t, m.pendingIDs())
}

// A trial without InfluxDB's own answer may have made its probe: it is written down, and not made again. A static role,
// whose token would be asked for next, is not stored.
func TestTrialWithoutAnAnswer(t *testing.T) {
	for _, status := range []int{0, 400, 403, 429, 502} { // 0: none
		for _, path := range []string{"roles/new", "static-roles/new"} {
			t.Run(fmt.Sprint(status, path), func(t *testing.T) {
				m := newMount(t)
				server := m.connected()
				if status == 0 {
					server.LoseAnswer(http.MethodPost, authorizations)
				} else {
					server.ReplaceAnswer(http.MethodPost, authorizations, status, "text/html", "<html>")
				}
				server.ResetRequests()
				resp, err := m.request(logical.UpdateOperation, path, map[string]any{"read_buckets": "metrics"})
				if down := status == 0 || status == 429 || status == 502; down && path == "roles/new" {
					require.NoError(t, err)
					require.Contains(t, warned(resp), "stored without a look at InfluxDB: ")
				} else {
					status, text := refusal(t, resp, err)
					require.Equal(t, http.StatusBadGateway, status)
					require.Contains(t, text, "whether the token was created is not known")
					require.Empty(t, m.keys("static-role/"))
				}
				require.Equal(t, 1, posted(server))
				require.Len(t, m.pendingIDs(), 1)
				require.Len(t, live(server), 1)

				server.Intercept(nil)
				m.clock.advance(nonceAge)
				require.NoError(t, m.tick())
				require.Empty(t, m.pendingIDs())
				require.Empty(t, live(server))
			})
		}
	}
}

// posted counts the requests that ask for a token.
func posted(server *influxtest.Server) int {
	posts := 0
	for _, r := range server.Requests() {
		if r.Method == http.MethodPost {
			posts++
		}
	}
	return posts
}

func TestTrialWarnsOfTheRootTokensUser(t *testing.T) {
	const warning = "user: the owner of this role's privileged tokens is the root token's own user; what they leave behind runs with its rights. Set user to one that is made for it"
	m := newMount(t)
	server := m.connected()
	vault := server.AddUser("vault")
	privileged := func(more map[string]any) map[string]any {
		data := map[string]any{"write_resources": "tasks", "allow_privileged": true}
		for key, value := range more {
			data[key] = value
		}
		return data
	}
	for _, more := range []map[string]any{nil, {"user": "admin"}, {"user_id": server.UserID()}} {
		require.Equal(t, warning, warned(m.write("roles/new", privileged(more))), "%v", more)
	}
	for _, more := range []map[string]any{{"user": "vault"}, {"user_id": vault}} {
		require.Empty(t, warned(m.write("roles/new", privileged(more))), "%v", more)
	}
	require.Empty(t, warned(m.write("roles/new", map[string]any{"read_buckets": "metrics", "allow_privileged": true})))
	m.write("config", map[string]any{"user": "vault"})
	require.Empty(t, warned(m.write("roles/new", privileged(nil))))
	m.write("config", map[string]any{"user": "admin"})
	require.Equal(t, warning, warned(m.write("roles/new", privileged(nil))))
}
