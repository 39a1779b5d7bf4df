package backend

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
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

// identityPattern finds an identity template such as {{identity.entity.name}}: Vault's own form, which Go's
// templates would not take.
var identityPattern = regexp.MustCompile(`\{\{\s*(identity\.[^{}"]+?)\s*\}\}`)

// compileDescription parses a role's description. fill is asked for each identity template in it.
func compileDescription(text string, fill func(string) (string, error)) (template.StringTemplate, error) {
	if text == "" {
		return compiledDefault, nil
	}
	return template.NewTemplate(
		template.Template(identityPattern.ReplaceAllString(text, `{{identity "$1"}}`)),
		template.Function("identity", func(selector string) (string, error) { return fill("{{" + selector + "}}") }),
	)
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
	compiled, err := compileDescription(text, func(template string) (string, error) {
		_, err := framework.ValidateIdentityTemplate(template)
		return "", err
	})
	if err == nil {
		_, err = compiled.Generate(who{})
	}
	if err != nil {
		return &permission.Problem{Field: "description", Text: fmt.Sprintf(
			"not a template that can be used; it may hold {{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}}, {{.EntityID}} and identity templates: %v", err)}
	}
	return nil
}

// describe is the part of a token's description that people read.
func describe(text string, w who, c *caller) (string, error) {
	compiled, err := compileDescription(text, c.fill)
	if err != nil {
		return "", err
	}
	human, err := compiled.Generate(w)
	if err != nil {
		return "", badInput("description: %v", err)
	}
	human = strings.TrimSpace(unstamped(human))
	if len(human) > maxHumanPart {
		human = strings.ToValidUTF8(human[:maxHumanPart], "") + "…"
	}
	return human, nil
}
