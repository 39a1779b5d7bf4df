package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// nameParam is the path's own parameter on every collection.
const nameParam = "name"

// request is one request of a path.
type request struct {
	*logical.Request
	params
}

// name is the path's own parameter.
func (r request) name() string { return r.data.Get(nameParam).(string) }

// params are the parameters of one request. Absent and null are told apart from empty: a write merges.
type params struct{ data *framework.FieldData }

// given reports whether the request has the field at all.
func (p params) given(name string) bool {
	_, ok := p.data.Raw[name]
	return ok
}

// empty reports whether the request leaves the field out or clears it.
func (p params) empty(name string) bool {
	value := p.data.Raw[name]
	return value == nil || value == ""
}

// set sets target, a pointer, to a field that was given; null and "" mean its zero value. Its form was checked in
// request.go. Strings read from a file may end in a newline.
func (p params) set(name string, target any) {
	value, given := p.data.Raw[name]
	if !given {
		return
	}
	switch t := target.(type) {
	case *string:
		s, _ := value.(string)
		*t = strings.TrimRight(s, "\r\n")
	case *bool:
		*t, _ = decodeBool(value)
	case *int:
		if p.data.Schema[name].Type == framework.TypeDurationSecond {
			d, _ := parseutil.ParseDurationSecond(value)
			value = int(d.Seconds())
		}
		*t, _ = decodeInt(value)
	case *[]string:
		*t, _ = decodeList(value)
	case *[]map[string]any:
		*t, _ = decodePermissions(value)
	}
}

// bindings are where fields stand in an entry: pointers, by the fields' names.
type bindings map[string]any

// decode sets what was given.
func (p params) decode(b bindings) {
	for name, target := range b {
		p.set(name, target)
	}
}

// encode answers each field as it was written; lists read back as lists, also empty ones.
func (b bindings) encode() map[string]any {
	answer := map[string]any{}
	for name, target := range b {
		switch t := target.(type) {
		case *[]string:
			answer[name] = append([]string{}, *t...)
		case *[]map[string]any:
			permissions := make([]any, len(*t))
			for i, p := range *t {
				permissions[i] = p
			}
			answer[name] = permissions
		default:
			answer[name] = reflect.ValueOf(target).Elem().Interface()
		}
	}
	return answer
}

// nameOrID sets one of two ways to name the same thing; giving one clears the other.
func (p params) nameOrID(name string, byName *string, id string, byID *string) {
	before := *byName
	p.set(name, byName)
	p.set(id, byID)
	switch {
	case p.given(id) && *byID != "" && !p.given(name):
		*byName = ""
	case p.given(name) && *byName != "" && *byName != before && !p.given(id):
		*byID = ""
	}
}

// boolOr is a write-only boolean with a default.
func (p params) boolOr(name string, value bool) bool {
	if !p.empty(name) {
		p.set(name, &value)
	}
	return value
}

// decodeBool takes a boolean as JSON has it, and as the command line sends it.
func decodeBool(value any) (bool, error) {
	switch v := value.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	case string:
		if v == "" {
			return false, nil
		}
		return strconv.ParseBool(v)
	}
	return false, errors.New("not a boolean")
}

// decodeInt takes a whole number in any of its forms. The plugin protocol makes a float64 of every one.
func decodeInt(value any) (int, error) {
	if f, ok := value.(float64); ok {
		if isFraction(value) {
			return 0, errors.New("not a whole number")
		}
		return int(f), nil
	}
	if value == nil {
		return 0, nil
	}
	n, err := parseutil.ParseInt(value)
	return int(n), err
}

func isFraction(value any) bool {
	f, ok := value.(float64)
	return ok && f != float64(int64(f))
}

// decodeList takes a list in any of its forms: a list (a repeated key on the command line makes one), a comma
// list, and a JSON list in a string. The elements of a list stand for themselves, commas and all.
func decodeList(value any) ([]string, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return decodeListString(v)
	case []string:
		return v, nil
	case []any:
		list := make([]string, len(v))
		for i, item := range v {
			s, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("element %d must be a string", i)
			}
			list[i] = s
		}
		return list, nil
	}
	return nil, errors.New("must be a list of strings: a JSON list, or one string with commas between the names")
}

func decodeListString(s string) ([]string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, nil
	}
	if strings.HasPrefix(s, "[") {
		var list []string
		if err := json.Unmarshal([]byte(s), &list); err != nil {
			return nil, fmt.Errorf("starts with [ but is not a JSON list of strings%s", jsonProblem(s, err))
		}
		return list, nil
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list, nil
}

// omitFields is a copy of a schema with some fields left out.
func omitFields(table fields, names ...string) fields {
	table = maps.Clone(table)
	for _, name := range names {
		delete(table, name)
	}
	return table
}

// mergeFields is a copy of a schema with more fields.
func mergeFields(table, more fields) fields {
	table = maps.Clone(table)
	maps.Copy(table, more)
	return table
}

// decodePermissions takes the permissions as a list of objects, as a JSON string, or as a list whose one element
// is such a string.
func decodePermissions(value any) ([]map[string]any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		return decodePermissionsJSON(v)
	case []map[string]any:
		return v, nil
	case []any:
		return permissionObjects(v)
	}
	return nil, notPermissions("; this is " + jsonKind(value))
}

// notPermissions says what permissions are, and what is wrong with those.
func notPermissions(reason string) error {
	return errors.New(`must be a JSON list of objects such as [{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}]` + reason)
}

func decodePermissionsJSON(s string) ([]map[string]any, error) {
	switch {
	case strings.TrimSpace(s) == "":
		return nil, nil
	case problem.LooksLikeFile(s):
		return nil, notPermissions("; this " + problem.SendFile("permissions"))
	}
	var decoded any
	if err := json.Unmarshal([]byte(s), &decoded); err != nil {
		return nil, notPermissions(jsonProblem(s, err))
	}
	list, ok := decoded.([]any)
	if !ok && decoded != nil {
		return nil, notPermissions("; this is " + jsonKind(decoded))
	}
	return permissionObjects(list)
}

func permissionObjects(list []any) ([]map[string]any, error) {
	var objects []map[string]any
	for i, item := range list {
		switch element := item.(type) {
		case map[string]any:
			if _, isAuthorization := element["permissions"]; isAuthorization {
				return nil, notPermissions(fmt.Sprintf("; element %d is an authorization, as influx auth list --json prints it: to copy what it may do, write its ID to clone_from", i))
			}
			objects = append(objects, element)
			continue
		case string:
			if text := strings.TrimSpace(element); strings.HasPrefix(text, "[") || problem.LooksLikeFile(text) {
				more, err := decodePermissionsJSON(element)
				if err != nil {
					return nil, err
				}
				objects = append(objects, more...)
				continue
			}
		}
		return nil, notPermissions(fmt.Sprintf("; element %d is %s", i, jsonKind(item)))
	}
	return objects, nil
}

// jsonKind names what a JSON value is.
func jsonKind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "one object"
	}
	return "a number"
}

// jsonProblem says why a text is no JSON, and where; "" where it is some. It repeats a character at most: the rest may be
// anybody's secret.
func jsonProblem(s string, err error) string {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	switch {
	case !ok:
		return ""
	case strings.HasPrefix(s, "\ufeff"):
		return "; it begins with a byte order mark: save the file without one"
	case strings.HasPrefix(s, "\ufffd") || !utf8.ValidString(s):
		return "; it is not UTF-8: save the file in that encoding"
	case int(syntax.Offset) >= len(s) && strings.Contains(syntax.Error(), "unexpected end"):
		return "; it ends too early"
	}
	read := s[:max(0, syntax.Offset-1)]
	here, _ := utf8.DecodeRuneInString(s[len(read):])
	line, column := strings.Count(read, "\n")+1, len(read)-strings.LastIndex(read, "\n")
	if strings.ContainsRune("]}", here) && strings.HasSuffix(strings.TrimSpace(read), ",") {
		return fmt.Sprintf("; line %d, column %d: a comma stands before %c", line, column, here)
	}
	return fmt.Sprintf("; line %d, column %d: %q can't stand here", line, column, here)
}
