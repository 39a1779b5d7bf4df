package role

import (
	"strings"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/store"
)

func onBucket(name string) map[string]any {
	return map[string]any{"action": "read", "resource": map[string]any{"type": "buckets", "name": name}}
}

// Every field that may hold a template is rendered, and the role in storage stays as it is.
func TestRender(t *testing.T) {
	const name = "{{identity.entity.name}}"
	r := &store.Role{
		User: name, ReadBuckets: []string{"metrics", "app-" + name}, WriteBuckets: []string{name},
		Permissions: []map[string]any{{"action": "read"}, onBucket(name), onBucket("metrics")},
		Description: name, ReadResources: []string{"tasks"},
	}
	before := *r
	require.True(t, HasTemplates(r))
	rendered, err := Render(r, ann(nil))
	require.NoError(t, err)
	require.Equal(t, &store.Role{
		User: "ann", ReadBuckets: []string{"metrics", "app-ann"}, WriteBuckets: []string{"ann"},
		Permissions: []map[string]any{{"action": "read"}, onBucket("ann"), onBucket("metrics")},
		Description: name, ReadResources: []string{"tasks"},
	}, rendered)
	require.Equal(t, &before, r)
	require.Equal(t, onBucket(name), r.Permissions[1])
	require.Equal(t, []string{"metrics", "app-" + name}, r.ReadBuckets)

	plain := &store.Role{ReadBuckets: []string{"metrics"}, Description: name}
	rendered, err = Render(plain, nil)
	require.NoError(t, err)
	require.Same(t, plain, rendered)
}

func TestRenderNamesEveryFieldThatCannotBeFilled(t *testing.T) {
	const template = "{{identity.entity.metadata.bucket}}"
	r := &store.Role{User: template, ReadBuckets: []string{"metrics", template}, WriteBuckets: []string{template}, Permissions: []map[string]any{onBucket(template)}}
	for value, reason := range map[string]string{
		" \t":                    "the template yields an empty name for this caller",
		"*":                      `the template yields "*" for this caller; it must yield a name`,
		"id:0123456789abcdef":    `the template yields "id:0123456789abcdef" for this caller; it must yield a name`,
		strings.Repeat("x", 600): "the template yields 600 bytes for this caller; at most 512 are allowed",
		"":                       `"{{identity.entity.metadata.bucket}}" can't be filled in for this caller: no value could be found for one of the template directives`,
	} {
		metadata := map[string]string{"bucket": value}
		if value == "" {
			metadata = nil
		}
		_, err := Render(r, ann(metadata))
		require.EqualError(t, err, strings.Join([]string{
			"user: " + reason, "read_buckets[1]: " + reason, "write_buckets[0]: " + reason, "permissions[0].resource.name: " + reason,
		}, "\n"))
	}
}

// A caller is looked up once, and only for a role that has templates.
func TestACallerIsLookedUpOnce(t *testing.T) {
	system := &countingSystem{StaticSystemView: logical.StaticSystemView{EntityVal: &logical.Entity{Name: "ann"}}}
	c := NewCaller(system, "entity-ann", "")
	_, err := Render(&store.Role{ReadBuckets: []string{"metrics"}}, c)
	require.NoError(t, err)
	require.Zero(t, system.asked)
	_, err = Render(&store.Role{ReadBuckets: []string{"{{identity.entity.name}}", "{{identity.entity.name}}"}}, c)
	require.NoError(t, err)
	require.Equal(t, 1, system.asked)
}

type countingSystem struct {
	logical.StaticSystemView
	asked int
}

func (s *countingSystem) EntityInfo(id string) (*logical.Entity, error) {
	s.asked++
	return s.StaticSystemView.EntityInfo(id)
}

func TestTemplatedField(t *testing.T) {
	const name = "{{ identity.entity.name }}"
	r := &store.Role{Description: "for " + name + " and {{.Role}}"}
	require.Equal(t, "description", TemplatedField(r))
	require.False(t, HasTemplates(r), "what its tokens may do does not depend on the caller")
	r.Permissions = []map[string]any{onBucket("metrics"), onBucket(name)}
	require.Equal(t, "permissions", TemplatedField(r))
	r.WriteBuckets = []string{"metrics", name}
	require.Equal(t, "write_buckets", TemplatedField(r))
	r.ReadBuckets = []string{name}
	require.Equal(t, "read_buckets", TemplatedField(r))
	r.User = name
	require.Equal(t, "user", TemplatedField(r))
	require.Empty(t, TemplatedField(&store.Role{ReadBuckets: []string{"metrics"}, Description: "{{.Role}}"}))
}

func TestValidateTemplates(t *testing.T) {
	for _, good := range []string{
		"metrics", "{{identity.entity.id}}", "{{ identity.entity.name }}", "{{identity.entity.metadata.a-b.c}}", "x-{{identity.entity.name}}-{{identity.entity.metadata.x}}",
		"{{identity.entity.aliases.auth_jwt_1.custom_metadata.x}}", "{{identity.groups.ids.1-2.name}}", "{{identity.groups.names.my devs.id}}",
	} {
		require.NoError(t, validateTemplate(good), good)
	}
	for _, bad := range []string{"{{", "a}}b", "{{identity.entity.name}", "{{{{identity.entity.name}}}}", "{{}}", "{{.Role}}", "{{identity.entity.nam}}", "{{identity.entity.name}}-{{time.now}}"} {
		r := &store.Role{User: bad, ReadBuckets: []string{"metrics", bad}, WriteBuckets: []string{bad}, Permissions: []map[string]any{onBucket("metrics"), onBucket(bad)}}
		problems := validateTemplates(r)
		require.Len(t, problems, 4, bad)
		for i, field := range []string{"user", "read_buckets[1]", "write_buckets[0]", "permissions[1].resource.name"} {
			require.ErrorContains(t, problems[i], field+`: "`+bad+`" is not an identity template: `)
		}
	}
}

// Each mint asks whether its role has templates.
func TestLookingForTemplatesAllocatesNothing(t *testing.T) {
	r := &store.Role{ReadBuckets: []string{"a", "b"}, WriteBuckets: []string{"c"}, Permissions: []map[string]any{onBucket("metrics")}}
	require.Zero(t, testing.AllocsPerRun(100, func() { HasTemplates(r) }))
}
