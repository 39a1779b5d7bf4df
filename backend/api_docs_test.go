package backend

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/helper/testhelpers/schema"
	"github.com/stretchr/testify/require"
)

// TestAPIDocs holds the field tables of docs/api.md to the schemas, in which each field is described once. With -update
// it rewrites them. The order of a table's rows is the page's: new fields are put at its end, to be moved by hand.
func TestAPIDocs(t *testing.T) {
	api := openDocument(t, "../docs/api.md")
	generated := map[string]bool{}
	table := func(name string, make func(current string) string) {
		api.generate(t, name, make)
		generated[name] = true
	}
	for _, path := range newMount(t).backend.Paths {
		request, answer := requestFields(path), answerFields(t, path)
		if len(request) > 0 {
			table("fields of "+documented(path), func(current string) string { return requestTable(request, current) })
		}
		if len(answer) > 0 {
			table("answer of "+documented(path), func(current string) string { return answerTable(answer, request, current) })
		}
	}
	for _, part := range regexp.MustCompile(`<!-- /(.*) -->`).FindAllStringSubmatch(api.text, -1) {
		require.True(t, generated[part[1]], "docs/api.md has a table of what no path has: %q", part[1])
	}
	api.save(t)
}

type schemas = map[string]*framework.FieldSchema

var parameter = regexp.MustCompile(`\(\?P<(\w+)>[^)]*\)`)

// documented is a path as the page names it, such as roles/{name}.
func documented(path *framework.Path) string {
	return strings.TrimSuffix(parameter.ReplaceAllString(pattern(path), "{$1}"), "/?")
}

// requestFields are a path's fields without those that stand in the path itself.
func requestFields(path *framework.Path) schemas {
	fields := maps.Clone(path.Fields)
	for _, inPath := range parameter.FindAllStringSubmatch(path.Pattern, -1) {
		delete(fields, inPath[1])
	}
	return fields
}

// answerFields are those of all of a path's answers: no two of them say different things by one name.
func answerFields(t *testing.T, path *framework.Path) schemas {
	t.Helper()
	fields := schemas{}
	for op := range path.Operations {
		for name, field := range schema.GetResponseSchema(t, path, op).Fields {
			require.Contains(t, []*framework.FieldSchema{nil, field}, fields[name], "%s: %s", path.Pattern, name)
			fields[name] = field
		}
	}
	return fields
}

func requestTable(fields schemas, current string) string {
	rows := "| field | type | default | |\n| --- | --- | --- | --- |\n"
	for _, name := range inOrder(fields, current) {
		rows += fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, typeName(fields[name]), defaultOf(fields[name]), described(fields[name]))
	}
	return rows
}

// answerTable has a row for each field that is not simply answered as it is written.
func answerTable(fields, request schemas, current string) string {
	var asWritten []string
	own := schemas{}
	for _, name := range inOrder(fields, current) {
		if fields[name] == request[name] {
			asWritten = append(asWritten, "`"+name+"`")
		} else {
			own[name] = fields[name]
		}
	}
	text := ""
	if len(asWritten) > 0 {
		text = "As written: " + strings.Join(asWritten, ", ") + ".\n"
	}
	if len(own) == 0 {
		return text
	}
	if text != "" {
		text += "\n"
	}
	text += "| field | type | |\n| --- | --- | --- |\n"
	for _, name := range inOrder(own, current) {
		text += fmt.Sprintf("| `%s` | %s | %s |\n", name, typeName(own[name]), described(own[name]))
	}
	return text
}

// inOrder sorts the names of fields as they stand in a part of the page; those that are not in it come last.
func inOrder(fields schemas, current string) []string {
	return slices.SortedFunc(maps.Keys(fields), func(a, b string) int {
		return cmp.Or(cmp.Compare(positionIn(current, a), positionIn(current, b)), strings.Compare(a, b))
	})
}

// positionIn is where a field's row begins, or where it is named in the list of those that are answered as written.
func positionIn(current, name string) int {
	for _, form := range []string{"\n| `%s` |", "`%s`"} {
		if at := strings.Index(current, fmt.Sprintf(form, name)); at >= 0 {
			return at
		}
	}
	return len(current)
}

var typeNames = map[framework.FieldType]string{
	framework.TypeString:           "string",
	framework.TypeBool:             "boolean",
	framework.TypeInt:              "integer",
	framework.TypeDurationSecond:   "duration",
	framework.TypeCommaStringSlice: "list",
	framework.TypeStringSlice:      "list",
	framework.TypeSlice:            "objects",
	framework.TypeMap:              "object",
}

func typeName(field *framework.FieldSchema) string {
	name := cmp.Or(typeNames[field.Type], field.Type.String())
	if len(field.AllowedValues) > 0 {
		var values []string
		for _, value := range field.AllowedValues {
			values = append(values, fmt.Sprintf("`%v`", value))
		}
		name += ": " + strings.Join(values, ", ")
	}
	if field.DisplayAttrs != nil && field.DisplayAttrs.EditType == editTypeText {
		name = "PEM"
	}
	if field.DisplayAttrs != nil && field.DisplayAttrs.Sensitive {
		name += ", secret"
	}
	return name
}

func defaultOf(field *framework.FieldSchema) string {
	seconds, isNumber := field.Default.(int)
	switch {
	case field.Default == nil && field.Type == framework.TypeBool:
		return "`false`"
	case field.Default == nil:
		return ""
	case field.Type == framework.TypeDurationSecond && isNumber:
		return "`" + shortDuration(time.Duration(seconds)*time.Second) + "`"
	}
	return fmt.Sprintf("`%v`", field.Default)
}

// shortDuration is a duration as people write it: 1h, not 1h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// codeInText are the parts of a description that are code: templates, names of fields, <placeholders>.
var codeInText = regexp.MustCompile(`\{\{[^}]*\}\}|\b[a-z]+(_[a-z]+)+\b|[\w:/]*<\w+>`)

func described(field *framework.FieldSchema) string {
	return strings.ReplaceAll(codeInText.ReplaceAllString(field.Description, "`$0`"), "|", `\|`)
}
