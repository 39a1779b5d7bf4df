package backend

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
)

// templateKey is a key of a template in the recipe for External Secrets Operator.
var templateKey = regexp.MustCompile(`(?m)^ +(\w+): "(\{\{.*\}\})"$`)

// External Secrets Operator makes a secret of each answer, at each refresh: of all its keys, or of those in the recipe's
// template. With the template ten refreshes with one rotation between them are two secrets; without it each is another.
func TestExternalSecretsOperatorFollowsRotations(t *testing.T) {
	page, err := os.ReadFile("../docs/recipes.md")
	require.NoError(t, err)
	_, recipe, found := strings.Cut(string(page), "\n## External Secrets Operator\n")
	require.True(t, found)
	recipe, _, _ = strings.Cut(recipe, "\n## ")
	keys := templateKey.FindAllStringSubmatch(recipe, -1)
	require.NotEmpty(t, keys)

	for name, plan := range plans {
		if name == "by hand" { // the one whose ttl stays
			continue
		}
		m := newMount(t)
		m.clock.set(time.Date(2027, 1, 1, 12, 30, 0, 0, time.UTC))
		m.clock.freeze()
		m.statically(plan)
		templated, whole := map[string]bool{}, map[string]bool{}
		for refresh := range 10 {
			if refresh == 5 {
				m.write("rotate-role/kept", nil)
			}
			answer := m.readStatic("kept")
			encoded, err := json.Marshal(answer)
			require.NoError(t, err)
			whole[string(encoded)] = true
			templated[render(t, keys, answer)] = true
			m.clock.advance(5 * time.Minute)
		}
		require.Len(t, templated, 2, name)
		require.Len(t, whole, 10, name)
	}
}

// render is what the templates make of an answer.
func render(t *testing.T, keys [][]string, answer map[string]any) string {
	t.Helper()
	var secret strings.Builder
	for _, key := range keys {
		parsed, err := template.New(key[1]).Option("missingkey=error").Parse(key[2])
		require.NoError(t, err)
		require.NoError(t, parsed.Execute(&secret, answer))
		secret.WriteByte('\n')
	}
	return secret.String()
}
