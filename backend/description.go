package backend

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// defaultDescription says what the token may do, then who asked for it.
const defaultDescription = `{{.Permissions}} (vault {{.Mount}}creds/{{.Role}} for {{.DisplayName}})`

// defaultStaticDescription is the same for a static role, which nobody in particular asks for.
const defaultStaticDescription = `{{.Permissions}} (vault {{.Mount}}static-creds/{{.Role}})`

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

// compileDescription parses a role's description. fill is asked for each identity template in it. Of Go's
// template language just the placeholders are let in: a loop could keep the process of all mounts busy.
func compileDescription(text string, fill func(string) (string, error)) (*template.Template, error) {
	if text == "" {
		return compiledDefault, nil
	}
	functions := template.FuncMap{"identity": func(selector string) (string, error) { return fill("{{" + selector + "}}") }}
	compiled, err := template.New("description").Funcs(functions).Parse(identityPattern.ReplaceAllString(text, `{{identity "$1"}}`))
	if err != nil {
		return nil, err
	}
	if compiled.Tree == nil || len(compiled.Templates()) > 1 {
		return nil, errNotPlaceholder
	}
	if odd := oddNode(compiled.Root); odd != nil {
		return nil, fmt.Errorf("%w: %s", errNotPlaceholder, clip(odd.String()))
	}
	return compiled, nil
}

var errNotPlaceholder = errors.New("only placeholders and {{if .Field}} are allowed, no functions and no loops")

// oddNode finds a part of a template that is neither plain text nor a placeholder nor a condition on a field.
func oddNode(list *parse.ListNode) parse.Node {
	if list == nil {
		return nil
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
		case *parse.ActionNode:
			if !isPlaceholder(n.Pipe) {
				return n
			}
		case *parse.IfNode:
			if !isPlaceholder(n.Pipe) {
				return n
			}
			for _, branch := range []*parse.ListNode{n.List, n.ElseList} {
				if odd := oddNode(branch); odd != nil {
					return odd
				}
			}
		default:
			return n
		}
	}
	return nil
}

// isPlaceholder reports whether what stands between the braces is a .Field of who or a known identity "…".
func isPlaceholder(pipe *parse.PipeNode) bool {
	if len(pipe.Decl) > 0 || len(pipe.Cmds) != 1 {
		return false
	}
	args := pipe.Cmds[0].Args
	switch first := args[0].(type) {
	case *parse.FieldNode:
		return len(args) == 1 && len(first.Ident) == 1 && isField(first.Ident[0])
	case *parse.IdentifierNode:
		if first.Ident != "identity" || len(args) != 2 {
			return false
		}
		selector, ok := args[1].(*parse.StringNode)
		return ok && checkTemplate("{{"+selector.Text+"}}") == nil
	}
	return false
}

// isField reports whether a description can hold a field: one that stands in a condition would be missed by trying.
func isField(name string) bool {
	_, ok := reflect.TypeFor[who]().FieldByName(name)
	return ok
}

var compiledDefault = template.Must(template.New("description").Parse(defaultDescription))

// checkDescription refuses a template that could not be filled in at a mint.
func checkDescription(text string) error {
	compiled, err := compileDescription(text, func(template string) (string, error) {
		return "", checkTemplate(template)
	})
	if err == nil {
		err = compiled.Execute(io.Discard, who{})
	}
	if err != nil {
		return &permission.Problem{Field: "description", Text: fmt.Sprintf(
			"not a template that can be used; it may hold {{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}}, {{.EntityID}} and identity templates: %v", err)}
	}
	return nil
}

// template is the role's description, or what stands for one that has none.
func (d demand) template() string {
	if d.role.Description == "" && d.kind == kindStatic {
		return defaultStaticDescription
	}
	return d.role.Description
}

// who is what the description can say.
func (d demand) who(permissions []permission.Permission) who {
	return who{
		Permissions: d.wording(permissions),
		Mount:       d.mount,
		Role:        d.name,
		DisplayName: d.caller.displayName,
		EntityID:    d.caller.entityID,
	}
}

// describe is the part of a token's description that people read.
func describe(text string, w who, c *caller) (string, error) {
	compiled, err := compileDescription(text, c.fill)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := compiled.Execute(&b, w); err != nil {
		return "", badInput("description: %v", err)
	}
	human := strings.TrimSpace(unstamped(b.String()))
	if len(human) > maxHumanPart {
		human = strings.ToValidUTF8(human[:maxHumanPart], "") + "…"
	}
	return human, nil
}
