package permission

import (
	"cmp"
	"strings"
)

// maxDescription bounds the list of names in a description, in bytes.
const maxDescription = 300

// Describe says what permissions allow in the wording that InfluxDB generates itself: "Read buckets metrics
// Write buckets alerts". Where the names would be too many it says what InfluxDB's own interface says then:
// "Read Multiple Write Multiple".
func Describe(tokenType string, permissions []Permission) string {
	switch tokenType {
	case AllAccess:
		return "All Access"
	case Operator:
		return "Operator"
	}
	read, write := describe("Read", Read, permissions), describe("Write", Write, permissions)
	text := strings.TrimSpace(read + " " + write)
	if len(text) <= maxDescription {
		return text
	}
	text = ""
	if read != "" {
		text = "Read Multiple"
	}
	if write != "" {
		text += " Write Multiple"
	}
	return strings.TrimSpace(text)
}

// describe lists one action's types, each with the names under it: Read buckets a, b tasks.
func describe(verb, action string, permissions []Permission) string {
	var types []string
	names := map[string][]string{}
	for _, p := range permissions {
		if p.Action != action {
			continue
		}
		if _, seen := names[p.Type]; !seen {
			types = append(types, p.Type)
			names[p.Type] = nil
		}
		if name := p.label(); name != "" {
			names[p.Type] = append(names[p.Type], name)
		}
	}
	if len(types) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(verb)
	for _, t := range types {
		b.WriteString(" " + t)
		if len(names[t]) > 0 {
			b.WriteString(" " + strings.Join(names[t], ", "))
		}
	}
	return b.String()
}

func (p Permission) label() string { return cmp.Or(p.Name, p.ID) }
