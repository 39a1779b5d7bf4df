package role

import (
	"fmt"
	"regexp"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/token"
)

const (
	// defaultDescription says what the token may do, then who asked for it.
	defaultDescription = `{{.Permissions}} (vault {{.Mount}}creds/{{.Role}} for {{.DisplayName}})`
	// defaultStaticDescription is the one of a static role, whose token is nobody's in particular.
	defaultStaticDescription = `{{.Permissions}} (vault {{.Mount}}static-creds/{{.Role}})`
)

// maxDescription bounds what stands before the stamp, in bytes. InfluxDB itself takes a megabyte, and sends it with
// every list.
const maxDescription = 512

// Description is the part of a token's description that people read, before its stamp.
type Description struct {
	// Template is the role's; empty means the default.
	Template string
	// Permissions are in InfluxDB's own wording: Read buckets metrics.
	Permissions string
	// Mount is the mount's path, with a slash at its end.
	Mount string
	Role  string
	// Static says that the token is a static role's.
	Static bool
	// Caller is who asks for the token; nil where nobody does.
	Caller *Caller
}

// Render fills the template in. The result can't pass for a stamp, and is cut to 512 bytes.
func (d Description) Render() (string, error) {
	caller := d.Caller
	if caller == nil {
		caller = &Caller{}
	}
	values := map[string]string{
		".Permissions": d.Permissions, ".Mount": d.Mount, ".Role": d.Role, ".DisplayName": caller.displayName, ".EntityID": caller.entityID,
	}
	text, err := expand(d.template(), values, func(selector string) (string, error) { return caller.render("{{" + selector + "}}") })
	if err != nil {
		return "", problem.InField("description", "%v", err)
	}
	text = strings.TrimSpace(token.Sanitize(text))
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "…"
	}
	return text, nil
}

// template is the role's, or the default where it has none. A role that was stored when templates could hold conditions
// gets the default, too: it must go on issuing tokens.
func (d Description) template() string {
	switch {
	case d.Template != "" && ValidateDescription(d.Template) == nil:
		return d.Template
	case d.Static:
		return defaultStaticDescription
	}
	return defaultDescription
}

// ValidateDescription refuses a template that could not be filled in when a token is issued.
func ValidateDescription(text string) error {
	values := map[string]string{".Permissions": "", ".Mount": "", ".Role": "", ".DisplayName": "", ".EntityID": ""}
	_, err := expand(text, values, func(selector string) (string, error) { return "", validateSelector(selector) })
	if err != nil {
		return problem.InField("description", "not a template that can be used; it may hold {{.Permissions}}, {{.Mount}}, {{.Role}}, {{.DisplayName}}, {{.EntityID}} and identity templates: %v", err)
	}
	return nil
}

// expand replaces each {{placeholder}} of a text by its value, or by what identity makes of an identity template. What a
// value holds is not looked at again.
func expand(text string, values map[string]string, identity func(selector string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(text, "{{")
		b.WriteString(plain)
		if !found {
			return b.String(), nil
		}
		placeholder, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", fmt.Errorf("{{%s has no }}", problem.Clip(rest))
		}
		placeholder = strings.TrimSpace(placeholder)
		value, known := values[placeholder]
		var err error
		switch {
		case strings.HasPrefix(placeholder, "identity."):
			value, err = identity(placeholder)
		case !known:
			err = fmt.Errorf("only placeholders are allowed, no conditions, functions or loops: {{%s}}", problem.Clip(placeholder))
		}
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = after
	}
}

// identityPattern finds an identity template, such as {{identity.entity.name}}.
var identityPattern = regexp.MustCompile(`\{\{\s*identity\.`)
