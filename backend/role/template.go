package role

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/helper/identitytpl"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// IsTemplate reports whether a name holds an identity template, such as app-{{identity.entity.name}}.
func IsTemplate(name string) bool {
	return strings.Contains(name, "{{") || strings.Contains(name, "}}")
}

// field is where a role holds a name that may be a template.
type field struct {
	name  string
	index int // in a list
}

// The fields that may hold templates, besides the description.
const (
	userField           = "user"
	readBucketsField    = "read_buckets"
	writeBucketsField   = "write_buckets"
	readDatabasesField  = "read_databases"
	writeDatabasesField = "write_databases"
	permissionsField    = "permissions"
)

// String is the field as problems name it: read_buckets[1].
func (f field) String() string {
	switch f.name {
	case userField:
		return f.name
	case permissionsField:
		return fmt.Sprintf("%s[%d].resource.name", f.name, f.index)
	}
	return fmt.Sprintf("%s[%d]", f.name, f.index)
}

// names yields every name in a role that may be a template, in the order in which the fields are documented.
func names(r *store.Role) iter.Seq2[field, string] {
	return func(yield func(field, string) bool) {
		if !yield(field{userField, 0}, r.User) {
			return
		}
		for _, list := range [...]struct {
			field string
			names []string
		}{
			{readBucketsField, r.ReadBuckets}, {writeBucketsField, r.WriteBuckets},
			{readDatabasesField, r.ReadDatabases}, {writeDatabasesField, r.WriteDatabases},
		} {
			for i, name := range list.names {
				if !yield(field{list.field, i}, name) {
					return
				}
			}
		}
		for i, p := range r.Permissions {
			resource, _ := p["resource"].(map[string]any)
			name, _ := resource["name"].(string)
			if !yield(field{permissionsField, i}, name) {
				return
			}
		}
	}
}

// set changes the name in a field of a role whose lists nobody shares.
func (f field) set(r *store.Role, name string) {
	switch f.name {
	case userField:
		r.User = name
	case readBucketsField:
		r.ReadBuckets[f.index] = name
	case writeBucketsField:
		r.WriteBuckets[f.index] = name
	case readDatabasesField:
		r.ReadDatabases[f.index] = name
	case writeDatabasesField:
		r.WriteDatabases[f.index] = name
	case permissionsField:
		p := maps.Clone(r.Permissions[f.index])
		resource := maps.Clone(p["resource"].(map[string]any))
		resource["name"] = name
		p["resource"] = resource
		r.Permissions[f.index] = p
	}
}

// HasTemplates reports whether what a role's tokens may do depends on the caller.
func HasTemplates(r *store.Role) bool { return templatedName(r) != "" }

// TemplatedField returns the first field of a role that depends on the caller; "" when none does.
func TemplatedField(r *store.Role) string {
	if name := templatedName(r); name != "" || !identityPattern.MatchString(r.Description) {
		return name
	}
	return "description"
}

func templatedName(r *store.Role) string {
	for f, name := range names(r) {
		if IsTemplate(name) {
			return f.name
		}
	}
	return ""
}

// Caller is who asks for a token, as Vault's identity knows them. It asks Vault once, and only for a role that has
// templates.
type Caller struct {
	system   logical.SystemView
	entityID string
	// displayName is what Vault calls the caller, such as approle or token-alice.
	displayName string

	loaded bool
	entity *logical.Entity
	groups []*logical.Group
}

// NewCaller makes the Caller of a request's identity entity and display name, each of which may be empty.
func NewCaller(sys logical.SystemView, entityID, displayName string) *Caller {
	return &Caller{system: sys, entityID: entityID, displayName: displayName}
}

var errNoEntity = errors.New("the caller has no identity entity (a root token has none), which the role's templates need; log in through an auth method")

// render replaces the templates in a text by Vault's own template function. A value that is missing, empty, or more than
// one is an error.
func (c *Caller) render(text string) (string, error) {
	if err := c.load(); err != nil {
		return "", err
	}
	_, rendered, err := identitytpl.PopulateString(identitytpl.PopulateStringInput{
		Mode: identitytpl.ACLTemplating, String: text, Entity: c.entity, Groups: c.groups,
	})
	if err != nil {
		return "", fmt.Errorf("%q can't be filled in for this caller: %w", text, err)
	}
	return rendered, nil
}

func (c *Caller) load() (err error) {
	switch {
	case c.loaded:
		return nil
	case c.entityID == "":
		return errNoEntity
	}
	if c.entity, err = c.system.EntityInfo(c.entityID); err != nil {
		return err
	}
	if c.entity == nil {
		return errNoEntity
	}
	c.groups, err = c.system.GroupsForEntity(c.entityID)
	c.loaded = err == nil
	return err
}

// Render returns a role with its templates filled in for a caller. Each yields one exact name. A role without templates
// is returned as it is.
func Render(r *store.Role, c *Caller) (*store.Role, error) {
	if !HasTemplates(r) {
		return r, nil
	}
	rendered := *r
	rendered.ReadBuckets, rendered.WriteBuckets = slices.Clone(r.ReadBuckets), slices.Clone(r.WriteBuckets)
	rendered.ReadDatabases, rendered.WriteDatabases = slices.Clone(r.ReadDatabases), slices.Clone(r.WriteDatabases)
	rendered.Permissions = slices.Clone(r.Permissions)
	var problems problem.List
	for f, text := range names(r) {
		if !IsTemplate(text) {
			continue
		}
		name, err := c.render(text)
		if err == nil {
			err = checkRendered(name)
		}
		if err != nil {
			problems.Add(f.String(), "%v", err)
		}
		f.set(&rendered, name)
	}
	if !r.AllowPrivileged { // the role as it is written was looked at when it was written
		problems = append(problems, rendered.Definition().Privileged(orgLabel(&rendered, nil))...)
	}
	return &rendered, problems.Err()
}

// checkRendered refuses what a role's author did not mean: a caller whose metadata says * or id:… gets no more than a
// bucket of that name.
func checkRendered(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("the template yields an empty name for this caller")
	case name == permission.All, strings.HasPrefix(name, permission.IDPrefix):
		return fmt.Errorf("the template yields %q for this caller; it must yield a name", name)
	case len(name) > maxRenderedName:
		return fmt.Errorf("the template yields %d bytes for this caller; at most %d are allowed", len(name), maxRenderedName)
	}
	return nil
}

// maxRenderedName bounds what metadata can put into a name, in bytes.
const maxRenderedName = 512

// validateTemplates refuses templates that Vault could never fill in.
func validateTemplates(r *store.Role) problem.List {
	var problems problem.List
	for f, text := range names(r) {
		if err := validateTemplate(text); err != nil {
			problems.Add(f.String(), "%q is not an identity template: %v", problem.Clip(text), err)
		}
	}
	for i, p := range r.Permissions { // a name in it is taken as it is
		names, _ := p["resource_names"].([]any)
		if slices.ContainsFunc(names, func(name any) bool { text, _ := name.(string); return IsTemplate(text) }) {
			problems.Add(fmt.Sprintf("%s[%d].resource_names", permissionsField, i), "identity templates are filled in in read_databases and write_databases; write them there")
		}
	}
	return problems
}

// selectorPattern is what Vault's templates can ask for, of a caller (identitytpl). Vault itself finds out what it does
// not know only when a template is filled in.
var selectorPattern = regexp.MustCompile(`^identity\.(entity\.(id|name|metadata\..+|aliases\.[^.]+\.(id|name|(custom_)?metadata\..+))|groups\.(ids|names)\.[^.]+\.(id|name|metadata\..+))$`)

func validateTemplate(text string) error {
	_, _, err := identitytpl.PopulateString(identitytpl.PopulateStringInput{Mode: identitytpl.ACLTemplating, ValidityCheckOnly: true, String: text})
	if err != nil {
		return fmt.Errorf("failed to validate policy templating: %w", err)
	}
	for _, part := range strings.Split(text, "{{")[1:] {
		selector, _, _ := strings.Cut(part, "}}")
		if err := validateSelector(selector); err != nil {
			return err
		}
	}
	return nil
}

func validateSelector(selector string) error {
	if selectorPattern.MatchString(strings.TrimSpace(selector)) {
		return nil
	}
	return fmt.Errorf("{{%s}} is not known; allowed: identity.entity.name, identity.entity.metadata.<key>, identity.entity.aliases.<accessor>.metadata.<key>, identity.groups.names.<name>.metadata.<key> and the like", problem.Clip(selector))
}

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
	text, err := d.text(caller)
	if err != nil {
		return "", problem.InField("description", "%v", err)
	}
	text = strings.TrimSpace(token.Sanitize(text))
	if len(text) > maxDescription {
		text = strings.ToValidUTF8(text[:maxDescription], "") + "…"
	}
	return text, nil
}

// text is what the role's template makes of it. The default says what the token may do, then who asked for it: nobody in
// particular for a static role's. A role that was stored when templates could hold conditions gets the default, too: it
// must go on issuing tokens.
func (d Description) text(caller *Caller) (string, error) {
	switch {
	case d.Template != "" && ValidateDescription(d.Template) == nil:
		values := map[string]string{
			".Permissions": d.Permissions, ".Mount": d.Mount, ".Role": d.Role, ".DisplayName": caller.displayName, ".EntityID": caller.entityID,
		}
		return expand(d.Template, values, func(selector string) (string, error) { return caller.render("{{" + selector + "}}") })
	case d.Static:
		return d.Permissions + " (vault " + d.Mount + "static-creds/" + d.Role + ")", nil
	}
	return d.Permissions + " (vault " + d.Mount + "creds/" + d.Role + " for " + caller.displayName + ")", nil
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
