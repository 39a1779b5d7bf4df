package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strconv"
	"strings"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
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
