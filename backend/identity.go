package backend

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/identitytpl"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// isTemplate reports whether a name holds an identity template, such as app-{{identity.entity.name}}.
func isTemplate(name string) bool {
	return strings.Contains(name, "{{") || strings.Contains(name, "}}")
}

// templated reports whether what a role's tokens may do depends on who asks.
func templated(role *store.Role) bool {
	return isTemplate(role.User) || slices.ContainsFunc(role.ReadBuckets, isTemplate) ||
		slices.ContainsFunc(role.WriteBuckets, isTemplate) ||
		slices.ContainsFunc(role.Permissions, func(p map[string]any) bool { return isTemplate(bucketName(p)) })
}

// templatedField is the first field of a role that depends on who asks; "" when none does.
func templatedField(role *store.Role) string {
	switch {
	case !templated(role) && !identityPattern.MatchString(role.Description):
		return ""
	case isTemplate(role.User):
		return "user"
	case slices.ContainsFunc(role.ReadBuckets, isTemplate):
		return "read_buckets"
	case slices.ContainsFunc(role.WriteBuckets, isTemplate):
		return "write_buckets"
	case templated(role):
		return "permissions"
	}
	return "description"
}

// bucketName is the bucket's name in a permission of the API's shape.
func bucketName(p map[string]any) string {
	resource, _ := p["resource"].(map[string]any)
	name, _ := resource["name"].(string)
	return name
}

// caller is who asks for a token, as Vault's identity knows them. It asks Vault once, and only for a role
// that has templates.
type caller struct {
	system   logical.SystemView
	entityID string
	// displayName is what Vault calls the caller, such as approle or token-alice.
	displayName string

	asked  bool
	entity *logical.Entity
	groups []*logical.Group
}

var errNoEntity = errors.New("the caller has no identity entity (a root token has none), which the role's templates need; log in through an auth method")

// fill replaces the templates in a text by Vault's own template function. A value that is missing, empty, or
// more than one is an error.
func (c *caller) fill(text string) (string, error) {
	if err := c.ask(); err != nil {
		return "", err
	}
	_, filled, err := identitytpl.PopulateString(identitytpl.PopulateStringInput{
		Mode:   identitytpl.ACLTemplating,
		String: text,
		Entity: c.entity,
		Groups: c.groups,
	})
	if err != nil {
		return "", fmt.Errorf("%q can't be filled in for this caller: %w", text, err)
	}
	return filled, nil
}

func (c *caller) ask() error {
	if c.asked {
		return nil
	}
	if c.entityID == "" {
		return errNoEntity
	}
	entity, err := c.system.EntityInfo(c.entityID)
	if err != nil {
		return err
	}
	if entity == nil {
		return errNoEntity
	}
	groups, err := c.system.GroupsForEntity(c.entityID)
	if err != nil {
		return err
	}
	c.asked, c.entity, c.groups = true, entity, groups
	return nil
}

// personal is the role with its templates filled in for a caller. Each yields one exact name.
func personal(role *store.Role, c *caller) (*store.Role, error) {
	if !templated(role) {
		return role, nil
	}
	var problems permission.Problems
	fill := func(field, text string) string {
		if !isTemplate(text) {
			return text
		}
		name, err := c.fill(text)
		if err == nil {
			err = exactName(name)
		}
		if err != nil {
			problems.Add(field, "%v", err)
		}
		return name
	}
	filled := *role
	filled.User = fill("user", role.User)
	filled.ReadBuckets = fillList(fill, "read_buckets", role.ReadBuckets)
	filled.WriteBuckets = fillList(fill, "write_buckets", role.WriteBuckets)
	filled.Permissions = slices.Clone(role.Permissions)
	for i, p := range role.Permissions {
		if name := bucketName(p); isTemplate(name) {
			resource := maps.Clone(p["resource"].(map[string]any))
			resource["name"] = fill(fmt.Sprintf("permissions[%d].resource.name", i), name)
			filled.Permissions[i] = maps.Clone(p)
			filled.Permissions[i]["resource"] = resource
		}
	}
	return &filled, problems.Err()
}

func fillList(fill func(field, text string) string, field string, names []string) []string {
	filled := make([]string, len(names))
	for i, name := range names {
		filled[i] = fill(fmt.Sprintf("%s[%d]", field, i), name)
	}
	return filled
}

// exactName refuses what a role's author did not mean: a caller whose metadata says * or id:… gets no more
// than a bucket of that name.
func exactName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("the template yields an empty name for this caller")
	case name == permission.All, strings.HasPrefix(name, permission.IDPrefix):
		return fmt.Errorf("the template yields %q for this caller; it must yield a name", name)
	case len(name) > maxFilledName:
		return fmt.Errorf("the template yields %d bytes for this caller; at most %d are allowed", len(name), maxFilledName)
	}
	return nil
}

// maxFilledName bounds what metadata can put into a name, in bytes.
const maxFilledName = 512

// checkTemplates refuses templates that Vault could never fill in.
func checkTemplates(role *store.Role) permission.Problems {
	var problems permission.Problems
	check := func(field, text string) {
		if err := checkTemplate(text); err != nil {
			problems.Add(field, "%q is not an identity template: %v", clip(text), err)
		}
	}
	check("user", role.User)
	for i, name := range role.ReadBuckets {
		check(fmt.Sprintf("read_buckets[%d]", i), name)
	}
	for i, name := range role.WriteBuckets {
		check(fmt.Sprintf("write_buckets[%d]", i), name)
	}
	for i, p := range role.Permissions {
		check(fmt.Sprintf("permissions[%d].resource.name", i), bucketName(p))
	}
	return problems
}

// selectorPattern is what Vault's templates can ask for, of a caller (identitytpl). Vault itself finds out what
// it does not know when a template is filled in.
var selectorPattern = regexp.MustCompile(`^identity\.(entity\.(id|name|metadata\..+|aliases\.[^.]+\.(id|name|(custom_)?metadata\..+))|groups\.(ids|names)\.[^.]+\.(id|name|metadata\..+))$`)

func checkTemplate(text string) error {
	if _, err := framework.ValidateIdentityTemplate(text); err != nil {
		return err
	}
	for _, part := range strings.Split(text, "{{")[1:] {
		selector, _, _ := strings.Cut(part, "}}")
		if !selectorPattern.MatchString(strings.TrimSpace(selector)) {
			return fmt.Errorf("{{%s}} is not known; allowed: identity.entity.name, identity.entity.metadata.<key>, identity.entity.aliases.<accessor>.metadata.<key>, identity.groups.names.<name>.metadata.<key> and the like", clip(selector))
		}
	}
	return nil
}
