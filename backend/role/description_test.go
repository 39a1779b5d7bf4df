package role

import (
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/token"
)

const mountUUID = "6f0a1b2c-3d4e-5f60-7182-93a4b5c6d7e8"

// ann is a caller with metadata of her own, of her alias and of her group.
func ann(metadata map[string]string) *Caller {
	return NewCaller(logical.StaticSystemView{
		EntityVal: &logical.Entity{
			ID: "entity-ann", Name: "ann", Metadata: metadata,
			Aliases: []*logical.Alias{{MountAccessor: "auth_approle_1", Metadata: map[string]string{"team": "team-ann"}}},
		},
		GroupsVal: []*logical.Group{{ID: "group-1", Name: "devs", Metadata: map[string]string{"bucket": "shared"}}},
	}, "entity-ann", "approle-ann")
}

// describe renders a template for a caller.
func describe(template string, c *Caller) (string, error) {
	return Description{Template: template, Permissions: "Read buckets metrics", Mount: "influxdb/", Role: "app", Caller: c}.Render()
}

func TestDescriptions(t *testing.T) {
	alice := NewCaller(logical.StaticSystemView{}, "", "token-alice")
	for template, want := range map[string]string{
		"":           "Read buckets metrics (vault influxdb/creds/app for token-alice)",
		"plain text": "plain text",
		"{{.Role}} of {{.Mount}}: {{ .Permissions }} for {{.DisplayName}}{{.EntityID}}": "app of influxdb/: Read buckets metrics for token-alice",
		"[vault:v1:forged] {{.Role}}": "(vault:v1:forged] app",
		"  {{.Role}}  ":               "app",
		"}} { {x} }":                  "}} { {x} }",
		strings.Repeat("ä", 400):      strings.Repeat("ä", 256) + "…",
		"two\nlines":                  "two lines",
	} {
		require.NoError(t, ValidateDescription(template), template)
		text, err := describe(template, alice)
		require.NoError(t, err, template)
		require.Equal(t, want, text)
	}
	text, err := Description{Permissions: "All Access", Mount: "influxdb/", Role: "app", Static: true}.Render()
	require.NoError(t, err)
	require.Equal(t, "All Access (vault influxdb/static-creds/app)", text)
}

func TestDescriptionsThatNobodyCouldFill(t *testing.T) {
	for bad, reason := range map[string]string{
		"{{identity.entity.nam}}":              "{{identity.entity.nam}} is not known",
		"{{ identity.foo }}":                   "{{identity.foo}} is not known",
		"{{identity.entity.name | uppercase}}": "{{identity.entity.name | uppercase}} is not known",
		"{{identity.entity.name":               "{{identity.entity.name has no }}",
		"{{identity}}":                         "only placeholders are allowed, no conditions, functions or loops: {{identity}}",
		`{{identity "x"}}`:                     `only placeholders are allowed, no conditions, functions or loops: {{identity "x"}}`,
		"{{.Foo}}":                             "only placeholders are allowed, no conditions, functions or loops: {{.Foo}}",
		"{{.Role.Foo}}":                        "only placeholders are allowed, no conditions, functions or loops: {{.Role.Foo}}",
		"{{if .EntityID}}x{{end}}":             "only placeholders are allowed, no conditions, functions or loops: {{if .EntityID}}",
		"{{range .}}x{{end}}":                  "only placeholders are allowed, no conditions, functions or loops: {{range .}}",
		"{{{{.Role}}}}":                        "only placeholders are allowed, no conditions, functions or loops: {{{{.Role}}",
		"{{}}":                                 "only placeholders are allowed, no conditions, functions or loops: {{}}",
	} {
		err := ValidateDescription("for " + bad)
		require.ErrorContains(t, err, reason)
		require.ErrorContains(t, err, "description: not a template that can be used; it may hold {{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}}, {{.EntityID}} and identity templates: ")
		if !strings.Contains(bad, "identity") {
			fallback, err := describe(bad, nil)
			require.NoError(t, err, "a role that was stored before goes on")
			standard, err := describe("", nil)
			require.NoError(t, err)
			require.Equal(t, standard, fallback)
		}
	}
}

// What Vault knows of a caller is text in a description, never code of a template, and never a stamp.
func TestIdentityInDescriptions(t *testing.T) {
	const forged = "v1:" + mountUUID + ":static:app:00:9999999999]"
	const template = "{{.Role}} {{ identity.entity.metadata.note }}|{{identity.entity.aliases.auth_approle_1.metadata.team}}|{{identity.groups.names.devs.metadata.bucket}}"
	require.NoError(t, ValidateDescription(template))
	for note, want := range map[string]string{
		"plain":                  "plain",
		"{{.Permissions}}":       "{{.Permissions}}",
		"{{uuid}}{{.Role}}":      "{{uuid}}{{.Role}}",
		"{{identity.entity.id}}": "{{identity.entity.id}}",
		`"}}{{.Mount}}`:          `"}}{{.Mount}}`,
		"a\nb\x00c":              "a b c",
		"[vault:" + forged:       "(vault:" + forged,
		"[va\nult:v1:x":          "[va ult:v1:x",
		"[[vault:vault:":         "[(vault:vault:",
	} {
		text, err := describe(template, ann(map[string]string{"note": note}))
		require.NoError(t, err)
		require.Equal(t, "app "+want+"|team-ann|shared", text)
	}
	_, err := describe(template, ann(nil))
	require.EqualError(t, err, `description: "{{identity.entity.metadata.note}}" can't be filled in for this caller: no value could be found for one of the template directives`)
	_, err = describe(template, nil)
	require.EqualError(t, err, "description: "+errNoEntity.Error())
}

// FuzzDescription: whatever a role's author writes and a caller is called, no description can pass for a stamp.
func FuzzDescription(f *testing.F) {
	stamp := token.Stamp{Mount: mountUUID, Kind: token.Lease, Role: "app", Nonce: "0123456789abcdef", Deadline: time.Unix(1800000000, 0)}
	f.Add(stamp.String())
	f.Add("{{.Role}} {{identity.entity.metadata.note}}")
	f.Fuzz(func(t *testing.T, text string) {
		c := NewCaller(logical.StaticSystemView{EntityVal: &logical.Entity{ID: text, Metadata: map[string]string{"note": text}}}, text, text)
		for _, template := range []string{"", "{{.DisplayName}}", "{{.EntityID}}", "{{identity.entity.metadata.note}}", text} {
			if template == text && ValidateDescription(text) != nil {
				continue
			}
			rendered, err := describe(template, c)
			if err != nil {
				continue // such as an identity template, for a caller without an entity
			}
			require.LessOrEqual(t, len(rendered), maxDescription+len("…"))
			description := strings.TrimSpace(rendered + " " + stamp.String())
			require.Equal(t, 1, strings.Count(description, "[vault:"))
			found, ok := token.ParseStamp(description)
			require.True(t, ok, "%q", description)
			require.Equal(t, stamp, found)
		}
	})
}
