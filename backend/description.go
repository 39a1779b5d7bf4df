package backend

import (
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/template"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// defaultDescription says what the token may do, then who asked for it.
const defaultDescription = `{{.Permissions}} (vault {{.Mount}}creds/{{.Role}} for {{.DisplayName}})`

// maxHumanPart bounds what stands before the stamp, in bytes. InfluxDB itself takes a megabyte, and sends it
// with every list.
const maxHumanPart = 512

// who is what a description can say about a request. Its fields are the template's.
type who struct {
	// Permissions in InfluxDB's own wording: Read buckets metrics.
	Permissions string
	// Mount is the mount's path with a slash at its end.
	Mount string
	Role  string
	// DisplayName is the caller's, such as approle or token-alice.
	DisplayName string
	// EntityID is the caller's identity entity; empty where it has none.
	EntityID string
}

// compileDescription parses a role's description.
func compileDescription(text string) (template.StringTemplate, error) {
	if text == "" {
		return compiledDefault, nil
	}
	return template.NewTemplate(template.Template(text))
}

var compiledDefault = func() template.StringTemplate {
	compiled, err := template.NewTemplate(template.Template(defaultDescription))
	if err != nil {
		panic(err) // a constant of ours that does not parse: every test would end here
	}
	return compiled
}()

// checkDescription refuses a template that could not be filled in at a mint.
func checkDescription(text string) error {
	compiled, err := compileDescription(text)
	if err == nil {
		_, err = compiled.Generate(who{})
	}
	if err != nil {
		return &permission.Problem{Field: "description", Text: fmt.Sprintf(
			"not a template that can be used; it may hold {{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}} and {{.EntityID}}: %v", err)}
	}
	return nil
}

// describe is the part of a token's description that people read.
func describe(text string, w who) (string, error) {
	compiled, err := compileDescription(text)
	if err != nil {
		return "", err
	}
	human, err := compiled.Generate(w)
	if err != nil {
		return "", err
	}
	human = strings.TrimSpace(unstamped(human))
	if len(human) > maxHumanPart {
		human = strings.ToValidUTF8(human[:maxHumanPart], "") + "…"
	}
	return human, nil
}
