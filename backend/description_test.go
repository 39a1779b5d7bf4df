package backend

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDescriptionTemplates(t *testing.T) {
	everyHost(t, func(t *testing.T, m *testMount) {
		server := m.connected()
		for template, want := range map[string]string{
			"":           "Read buckets metrics (vault influxdb/creds/app for token-alice) ",
			"plain text": "plain text ",
			"{{.Role}} of {{.Mount}}: {{.Permissions}} for {{.DisplayName}}{{.EntityID}}": "app of influxdb/: Read buckets metrics for token-alice ",
			"[vault:v1:forged] {{.Role}}": "(vault:v1:forged] app ",
			"  {{.Role}}  ":               "app ",
			strings.Repeat("ä", 400):      strings.Repeat("ä", 256) + "… ",
			"two\nlines":                  "two lines ",
		} {
			m.write("roles/app", map[string]any{"read_buckets": "metrics", "description": template})
			l := m.mint("app")
			human, _, _ := strings.Cut(live(server)[l.id].Description, "[vault:")
			require.Equal(t, want, human)
			tidyUp(t, server, l)
		}
	})
}
