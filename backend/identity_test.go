package backend

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// person is an entity as Vault would tell it: with metadata of its own, of its alias and of its group.
func person(name string, metadata map[string]string) *logical.Entity {
	return &logical.Entity{
		ID: "entity-" + name, Name: name, Metadata: metadata,
		Aliases: []*logical.Alias{{MountAccessor: "auth_approle_1", Name: "alias-" + name, Metadata: map[string]string{"team": "team-" + name}}},
	}
}

// as sends a request of an entity and its groups; nil stands for a root token.
func (m *testMount) as(entity *logical.Entity, groups []*logical.Group, op logical.Operation, path string, data map[string]any) (*logical.Response, error) {
	m.t.Helper()
	m.system.EntityVal, m.system.GroupsVal = entity, groups
	req := &logical.Request{Operation: op, Path: path, Data: data}
	if entity != nil {
		req.EntityID = entity.ID
	}
	return m.send(m.t.Context(), req)
}

// mintAs is creds for an entity.
func (m *testMount) mintAs(entity *logical.Entity, groups []*logical.Group, role string) *leased {
	m.t.Helper()
	resp, err := m.as(entity, groups, logical.ReadOperation, "creds/"+role, nil)
	require.NoError(m.t, err)
	return m.leased(resp)
}

// refusedAs is creds for an entity that gets none.
func (m *testMount) refusedAs(server *influxtest.Server, entity *logical.Entity, groups []*logical.Group, role string) string {
	m.t.Helper()
	before, made := m.snapshot(), len(server.IssuedTokens())
	resp, err := m.as(entity, groups, logical.ReadOperation, "creds/"+role, nil)
	status, text := refusal(m.t, resp, err)
	require.Equal(m.t, 400, status, text)
	require.Equal(m.t, before, m.snapshot())
	require.Len(m.t, server.IssuedTokens(), made, "nothing was made: %s", text)
	return text
}

func inTeam(name, bucket string) []*logical.Group {
	return []*logical.Group{{ID: "group-1", Name: "other"}, {ID: "group-2", Name: name, Metadata: map[string]string{"bucket": bucket}}}
}

// Each caller gets the buckets of its own name, whichever way the template takes to it.
func TestTemplatesYieldTheCallersOwn(t *testing.T) {
	const (
		name   = "{{identity.entity.name}}"
		alias  = "{{identity.entity.aliases.auth_approle_1.metadata.team}}"
		entity = "{{identity.entity.metadata.bucket}}"
		group  = "{{identity.groups.names.devs.metadata.bucket}}"
	)
	m := newMount(t)
	server := m.connected()
	bucket := map[string]string{}
	userID := map[string]string{}
	for _, who := range []string{"ann", "bob"} {
		userID[who] = server.AddUser(who)
		for _, b := range []string{who, "app-" + who, "team-" + who, "meta-" + who, "group-" + who} {
			bucket[b] = server.AddBucket(server.OrgID(), b)
		}
	}
	for title, c := range map[string]struct {
		role        map[string]any
		read, write []string // %s is the caller's name
	}{
		"the entity's name":        {map[string]any{"read_buckets": name}, []string{"%s"}, nil},
		"part of a name":           {map[string]any{"write_buckets": "app-" + name}, nil, []string{"app-%s"}},
		"blanks inside":            {map[string]any{"read_buckets": "app-{{ identity.entity.name }}"}, []string{"app-%s"}, nil},
		"the alias's metadata":     {map[string]any{"read_buckets": alias}, []string{"team-%s"}, nil},
		"the entity's metadata":    {map[string]any{"read_buckets": entity}, []string{"meta-%s"}, nil},
		"the group's metadata":     {map[string]any{"read_buckets": []string{group}}, []string{"group-%s"}, nil},
		"beside plain names":       {map[string]any{"read_buckets": []string{"metrics", name, alias}, "write_buckets": entity}, []string{"metrics", "%s", "team-%s"}, []string{"meta-%s"}},
		"twice the same":           {map[string]any{"read_buckets": []string{name, name}}, []string{"%s"}, nil},
		"as a permission":          {map[string]any{"permissions": []any{apiPermission("write", "type", "buckets", "name", name), apiPermission("read", "type", "buckets", "name", "metrics")}}, []string{"metrics"}, []string{"%s"}},
		"under a wider permission": {map[string]any{"read_buckets": []string{"*", name}}, []string{"*"}, nil},
		"the user":                 {map[string]any{"read_buckets": "metrics", "user": name}, []string{"metrics"}, nil},
	} {
		t.Run(title, func(t *testing.T) {
			m := m.in(t)
			require.Nil(t, m.write("roles/own", c.role))
			for _, who := range []string{"ann", "bob", "ann"} { // what is remembered of one is not another's
				l := m.mintAs(person(who, map[string]string{"bucket": "meta-" + who}), inTeam("devs", "group-"+who), "own")
				token := live(server)[l.id]
				var want []string
				expect := func(action string, names []string) []string {
					filled := []string{}
					for _, n := range names {
						n = strings.ReplaceAll(n, "%s", who)
						filled = append(filled, n)
						id := "/" + bucket[n]
						switch n {
						case "*":
							id = ""
						case "metrics":
							id = "/" + server.BucketID()
						}
						want = append(want, action+":orgs/"+server.OrgID()+"/buckets"+id)
					}
					return filled
				}
				read, write := expect("read", c.read), expect("write", c.write)
				require.ElementsMatch(t, want, inWords(token.Permissions))
				require.ElementsMatch(t, read, listOf(l.data["read_buckets"]))
				require.ElementsMatch(t, write, listOf(l.data["write_buckets"]))
				if c.role["user"] != nil {
					require.Equal(t, userID[who], token.UserID)
				}
				tidyUp(t, server, l)
			}
		})
	}
	// Without a template there is nothing to tell.
	l := m.mintAs(person("ann", nil), nil, "app")
	require.NotContains(t, l.data, "read_buckets")
	require.NotContains(t, l.data, "write_buckets")
	tidyUp(t, server, l)
}

// listOf is a list of an answer, also as the plugin protocol brings it.
func listOf(value any) []string {
	list := []string{}
	switch v := value.(type) {
	case []string:
		return v
	case []any:
		for _, item := range v {
			list = append(list, item.(string))
		}
	}
	return list
}

// A narrowed token is one of the caller's own.
func TestTemplatesAndNarrowing(t *testing.T) {
	m := newMount(t)
	server := m.connected()
	for _, bucket := range []string{"ann", "bob"} {
		server.AddBucket(server.OrgID(), bucket)
	}
	m.write("roles/own", map[string]any{"read_buckets": "metrics,{{identity.entity.name}}"})
	for _, op := range credsReads {
		resp, err := m.as(person("ann", nil), nil, op, "creds/own", map[string]any{"read_buckets": "ann"})
		require.NoError(t, err)
		l := m.leased(resp)
		require.Equal(t, []string{"ann"}, listOf(l.data["read_buckets"]))
		require.Empty(t, listOf(l.data["write_buckets"]))
		tidyUp(t, server, l)
		resp, err = m.as(person("ann", nil), nil, op, "creds/own", map[string]any{"read_buckets": "bob"})
		_, text := refusal(t, resp, err)
		require.Equal(t, `read_buckets[0]: role "own" does not cover read:buckets/bob in org acme`, text)
	}
	require.Empty(t, live(server))
}

// What a template yields is one exact name or an error; nothing in it means more than itself.
func TestTemplatesYieldNamesAlone(t *testing.T) {
	t.Parallel()
	const (
		template = "{{identity.entity.metadata.bucket}}"
		notAName = "; it must yield a name"
	)
	noBucket := func(name string) string { return "no bucket \"" + name + "\" in org \"acme\"" }
	m := newMount(t)
	server := m.connected()
	server.AddBucket(server.OrgID(), "a")
	server.AddBucket(server.OrgID(), "b")
	m.write("roles/read", map[string]any{"read_buckets": []string{"metrics", template}})
	m.write("roles/api", map[string]any{"permissions": []any{apiPermission("write", "type", "buckets", "name", template)}})
	m.write("roles/user", map[string]any{"read_buckets": "metrics", "user": template})
	for value, says := range map[string]string{
		"":                        "the template yields an empty name for this caller",
		" \t":                     "the template yields an empty name for this caller",
		"*":                       `the template yields "*" for this caller` + notAName,
		"id:0123456789abcdef":     `the template yields "id:0123456789abcdef" for this caller` + notAName,
		"id:" + server.BucketID(): `the template yields "id:` + server.BucketID() + `" for this caller` + notAName,
		strings.Repeat("x", 600):  "the template yields 600 bytes for this caller; at most 512 are allowed",
		"a,b":                     noBucket("a,b"),
		`["a","b"]`:               `no bucket "[\"a\",\"b\"]" in org "acme"`,
		"{{identity.entity.id}}":  noBucket("{{identity.entity.id}}"),
		"{{.Role}}":               noBucket("{{.Role}}"),
		"x}}":                     noBucket("x}}"),
		"../x":                    noBucket("../x"),
		"a&name=metrics":          noBucket("a&name=metrics"),
		"a\nb":                    `no bucket "a\nb" in org "acme"`,
		"METRICS":                 noBucket("METRICS"),
		server.BucketID():         `no bucket named "` + server.BucketID() + `"; if this is an ID write id:` + server.BucketID(),
	} {
		who := person("ann", map[string]string{"bucket": value})
		for role, field := range map[string]string{"read": "read_buckets[1]", "api": "permissions[0].resource.name"} {
			text := m.refusedAs(server, who, nil, role)
			if strings.HasPrefix(says, "no bucket") { // told by what looks names up
				field = strings.TrimSuffix(field, ".resource.name")
			}
			require.Equal(t, field+": "+says, text)
		}
		text := m.refusedAs(server, who, nil, "user")
		if !strings.HasPrefix(says, "no bucket") {
			require.Equal(t, "user: "+says, text)
		}
		require.True(t, strings.HasPrefix(text, "user: "), text)
	}
	// What looks like more is a name like any other.
	for _, name := range []string{"a,b", "{{identity.entity.id}}", "../x", "a&name=metrics", "x}}"} {
		id := server.AddBucket(server.OrgID(), name)
		l := m.mintAs(person("ann", map[string]string{"bucket": name}), nil, "read")
		require.ElementsMatch(t, []string{"read:orgs/" + server.OrgID() + "/buckets/" + server.BucketID(), "read:orgs/" + server.OrgID() + "/buckets/" + id},
			inWords(live(server)[l.id].Permissions))
		require.Equal(t, []string{"metrics", name}, listOf(l.data["read_buckets"]))
		tidyUp(t, server, l)
	}
}

// A caller who lacks what a template asks for is told so, field by field.
func TestTemplatesThatCannotBeFilled(t *testing.T) {
	const (
		meta  = "{{identity.entity.metadata.bucket}}"
		group = "{{identity.groups.names.devs.metadata.bucket}}"
		alias = "{{identity.entity.aliases.auth_approle_1.metadata.none}}"
	)
	m := newMount(t)
	server := m.connected()
	m.write("roles/own", map[string]any{"read_buckets": []string{"metrics", meta, group, alias},
		"permissions": []any{apiPermission("read", "type", "buckets", "name", meta)}, "user": meta})
	const notFound = `" can't be filled in for this caller: no value could be found for one of the template directives`
	require.Equal(t, strings.Join([]string{
		`user: "` + meta + notFound,
		`read_buckets[1]: "` + meta + notFound,
		`read_buckets[2]: "` + group + `" can't be filled in for this caller: string contains groups template directives but no groups were provided`,
		`read_buckets[3]: "` + alias + notFound,
		`permissions[0].resource.name: "` + meta + notFound,
	}, "\n"), m.refusedAs(server, person("ann", nil), nil, "own"))
	require.Contains(t, m.refusedAs(server, person("ann", nil), inTeam("ops", "x"), "own"),
		`read_buckets[2]: "`+group+`" can't be filled in for this caller: entity is not a member of group "devs"`)

	const none = "the caller has no identity entity (a root token has none), which the role's templates need; log in through an auth method"
	for _, line := range strings.Split(m.refusedAs(server, nil, nil, "own"), "\n") {
		require.True(t, strings.HasSuffix(line, ": "+none), line)
	}
	// Vault may not know the entity any more.
	m.system.EntityVal = nil
	resp, err := m.send(t.Context(), &logical.Request{Operation: logical.ReadOperation, Path: "creds/own", EntityID: "gone"})
	_, text := refusal(t, resp, err)
	require.Contains(t, text, none)
	require.Empty(t, live(server))

	// The description alone.
	m.write("roles/told", map[string]any{"read_buckets": "metrics", "description": meta})
	require.Contains(t, m.refusedAs(server, nil, nil, "told"), "description: ")
	require.Contains(t, m.refusedAs(server, nil, nil, "told"), none)
	require.Contains(t, m.refusedAs(server, person("ann", nil), nil, "told"), "no value could be found")
}

// Templates that Vault could never fill in are refused with the role, each with its place.
func TestTemplatesThatNobodyCouldFill(t *testing.T) {
	t.Parallel()
	m := newMount(t)
	m.connected()
	for _, bad := range []string{
		"{{", "}}", "a{{b", "{{identity.entity.name}", "}}x{{", "{{identity.entity.name}}}}", "{{{{identity.entity.name}}}}",
		"{{}}", "{{name}}", "{{.Role}}", "{{identity}}", "{{identity.entity}}", "{{identity.entity.nam}}", "{{identity.entity.metadata}}",
		"{{identity.entity.metadata.}}", "{{identity.entity.groups.names}}", "{{identity.entity.aliases.acc}}", "{{identity.entity.aliases.acc.metadata}}",
		"{{identity.groups.names.devs}}", "{{identity.groups.name.devs.metadata.x}}", "{{identity.groups.names.devs.metadata}}",
		"{{identity.entity.name | uppercase}}", "{{identity.entity.name}}-{{x}}", "{{time.now}}",
	} {
		text := m.rejected(logical.UpdateOperation, "roles/own", map[string]any{
			"user": bad, "read_buckets": []string{"metrics", bad}, "write_buckets": []string{bad},
			"permissions": []any{apiPermission("read", "type", "buckets", "name", bad)},
		})
		lines := strings.Split(text, "\n")
		require.Len(t, lines, 4, "%s: %s", bad, text)
		for i, field := range []string{"user", "read_buckets[1]", "write_buckets[0]", "permissions[0].resource.name"} {
			require.True(t, strings.HasPrefix(lines[i], field+`: "`+bad+`" is not an identity template`), "%s: %s", bad, text)
		}
		m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_buckets": []string{bad}, "verify": false})
	}
	for _, bad := range []string{"{{identity.entity.nam}}", "{{ identity.foo }}", "{{identity.entity.name | uppercase}}", "{{identity.entity.name", "{{identity}}",
		"{{if .EntityID}}{{identity.entity.nam}}{{end}}", "{{if .EntityID}}{{.DisplayName}}{{end}}", "{{.Foo}}", "{{if .EntityID}}{{.Role.Foo}}{{end}}", "{{if identity.foo.bar}}x{{end}}", `{{identity "x"}}`} {
		text := m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_buckets": "metrics", "description": "for " + bad})
		require.True(t, strings.HasPrefix(text, "description: not a template that can be used"), "%s: %s", bad, text)
	}
	for _, good := range []string{
		"{{identity.entity.id}}", "{{ identity.entity.name }}", "{{identity.entity.metadata.a-b.c}}", "x-{{identity.entity.name}}-{{identity.entity.metadata.x}}",
		"{{identity.entity.aliases.auth_jwt_1.id}}", "{{identity.entity.aliases.auth_jwt_1.name}}", "{{identity.entity.aliases.auth_jwt_1.metadata.x}}",
		"{{identity.entity.aliases.auth_jwt_1.custom_metadata.x}}",
		"{{identity.groups.ids.1-2.name}}", "{{identity.groups.names.my devs.id}}", "{{identity.groups.names.devs.metadata.x}}",
	} {
		role := map[string]any{"read_buckets": []any{good}, "user": good, "description": "for " + good}
		require.Empty(t, warned(m.write("roles/own", role)), good)
		require.Equal(t, []string{good}, listOf(m.read("roles/own").Data["read_buckets"]))
	}
}

// The rest of a role with templates is checked as any other's.
func TestTemplatesDoNotHideOtherProblems(t *testing.T) {
	influxtest.NotOnCloud(t, "it looks up no users")
	const name = "{{identity.entity.name}}"
	m := newMount(t)
	server := m.connected()
	text := m.rejected(logical.UpdateOperation, "roles/own", map[string]any{
		"read_buckets": []string{name, "metrcs"}, "write_buckets": []string{"app-" + name, "id:03a2bbf46309a000"}, "read_resources": "task", "user": name,
	})
	require.ElementsMatch(t, []string{
		`read_buckets[1]: no bucket "metrcs" in org "acme"; buckets there that look alike: metrics`,
		`write_buckets[1]: no bucket has the ID 03a2bbf46309a000`,
		`read_resources[0]: "task" is not a resource type (buckets, tasks, …); did you mean tasks?`,
	}, strings.Split(text, "\n"))
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_buckets": name, "user": "nobody"}), `user: no user "nobody"`)
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_buckets": "id:" + name}), "read_buckets[0]: ")
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_resources": name}), "read_resources[0]: ")
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"permissions": []any{apiPermission("read", "type", "buckets", "id", name)}}), "permissions[0].resource.id: ")
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_buckets": name, "org": name}), "org: ")
	require.Empty(t, live(server))

	// A root token that may not make tokens for the owner is found, though every name depends on the caller.
	vault := server.AddUser("vault")
	_, root := server.AddToken(server.OrgID(), server.UserID(), minting(server.OrgID(), server.UserID(),
		influxtest.Everywhere("read", "users"), influxtest.InOrg("read", "buckets", server.OrgID()))...)
	m.write("config", map[string]any{"token": root})
	require.Contains(t, m.rejected(logical.UpdateOperation, "roles/own", map[string]any{"read_buckets": name, "user": "vault"}),
		"the root token lacks write:users/"+vault)
	require.Empty(t, live(server))
}

// A privileged role whose owner depends on the caller is not warned about as if the root token's user owned it.
func TestTemplatedOwnerIsNotTheRootTokensUser(t *testing.T) {
	m := newMount(t)
	m.connected()
	privileged := map[string]any{"write_resources": "tasks", "allow_privileged": true}
	require.Contains(t, warned(m.write("roles/own", privileged)), "the root token's own user")
	privileged["user"] = "{{identity.entity.name}}"
	require.Empty(t, warned(m.write("roles/own", privileged)))
}

// What Vault knows of a caller is text in the description, never code of a template, and never a stamp.
func TestIdentityInDescriptions(t *testing.T) {
	forged := "[vault:v1:" + testUUID + ":static:app:00:9999999999]"
	m := newMount(t)
	server := m.connected()
	m.write("roles/told", map[string]any{"read_buckets": "metrics",
		"description": "{{.Role}} {{ identity.entity.metadata.note }}|{{identity.entity.aliases.auth_approle_1.metadata.team}}|{{identity.groups.names.devs.metadata.bucket}}"})
	for note, want := range map[string]string{
		"plain":                       "plain",
		"{{.Permissions}}":            "{{.Permissions}}",
		"{{uuid}}{{.Role}}":           "{{uuid}}{{.Role}}",
		"{{identity.entity.id}}":      "{{identity.entity.id}}",
		`"}}{{.Mount}}`:               `"}}{{.Mount}}`,
		"a\nb\x00c":                   "a b c",
		forged:                        "(vault:" + strings.TrimPrefix(forged, "[vault:"),
		"\n" + forged + "\n":          " (vault:" + strings.TrimPrefix(forged, "[vault:") + " ",
		"[va\nult:v1:x":               "[va ult:v1:x",
		"[[vault:vault:":              "[(vault:vault:",
		"<b>&amp;":                    "<b>&amp;",
		strings.Repeat("y", 2000):     "",
		strings.Repeat("[vault:", 90): "",
	} {
		l := m.mintAs(person("ann", map[string]string{"note": note}), inTeam("devs", "g"), "told")
		text := live(server)[l.id].Description
		if want != "" {
			require.True(t, strings.HasPrefix(text, "told "+want+"|team-ann|g [vault:v1:"+testUUID+":lease:told:"), "%q", text)
		}
		st, ok := readStamp(text)
		require.True(t, ok)
		require.Equal(t, []string{testUUID, kindLease, "told"}, []string{st.Mount, st.Kind, st.Role})
		require.Equal(t, 1, strings.Count(text, "[vault:"), "%q", text)
		require.Less(t, len(text), 800)
		require.Equal(t, text, l.data["description"])
		tidyUp(t, server, l)
	}
}
