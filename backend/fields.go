package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/go-secure-stdlib/parseutil"
	"github.com/hashicorp/vault/sdk/framework"
)

// nameField is the path's own parameter on every collection.
const nameField = "name"

// namePattern is what Vault's own engines take for names (framework.GenericNameRegex), said as a whole.
var namePattern = regexp.MustCompile(`^\w(([\w.-]+)?\w)?$`)

// maxName bounds a name in bytes: it stands in storage keys, lease IDs and each token's description.
const maxName = 128

// checkName refuses a name that storage, lease IDs or the stamp could not hold.
func checkName(name string) error {
	switch {
	case len(name) > maxName:
		return badInput("name: too long: %d bytes; at most %d are allowed", len(name), maxName)
	case !namePattern.MatchString(name) || strings.Contains(name, ".."):
		return badInput("name: %q can't be used; allowed: letters, digits and _, inside also - and single dots", clip(name))
	}
	return nil
}

// fields are the parameters of one request. Absent and null are told apart from empty: a write merges.
type fields struct{ data *framework.FieldData }

// given reports whether the request has the field at all.
func (f fields) given(name string) bool {
	_, ok := f.data.Raw[name]
	return ok
}

// empty reports whether the request leaves the field out or clears it.
func (f fields) empty(name string) bool {
	value := f.data.Raw[name]
	return value == nil || value == ""
}

// text sets target to a string field that was given. Values read from a file may end in a newline.
func (f fields) text(name string, target *string) {
	if f.given(name) {
		s, _ := f.data.Raw[name].(string)
		*target = strings.TrimRight(s, "\r\n")
	}
}

// either sets one of two ways to name the same thing; giving one clears the other.
func (f fields) either(name string, byName *string, id string, byID *string) {
	before := *byName
	f.text(name, byName)
	f.text(id, byID)
	switch {
	case f.given(id) && *byID != "" && !f.given(name):
		*byName = ""
	case f.given(name) && *byName != "" && *byName != before && !f.given(id):
		*byID = ""
	}
}

// list sets target to a list field that was given.
func (f fields) list(name string, target *[]string) {
	if f.given(name) {
		*target, _ = decodeList(f.data.Raw[name]) // its form was checked at the gate
	}
}

// objects sets target to the permissions that were given.
func (f fields) objects(name string, target *[]map[string]any) {
	if f.given(name) {
		*target, _ = decodeObjects(f.data.Raw[name])
	}
}

// seconds sets target to a duration that was given; null and "" mean 0.
func (f fields) seconds(name string, target *int) {
	if f.given(name) {
		d, _ := parseutil.ParseDurationSecond(f.data.Raw[name])
		*target = int(d.Seconds())
	}
}

// number sets target to a whole number that was given; null and "" mean 0.
func (f fields) number(name string, target *int) {
	if f.given(name) {
		*target, _ = decodeNumber(f.data.Raw[name])
	}
}

// flag sets target to a boolean that was given; null and "" mean false.
func (f fields) flag(name string, target *bool) {
	if f.given(name) {
		*target, _ = decodeFlag(f.data.Raw[name])
	}
}

// flagOr is a write-only boolean with a default.
func (f fields) flagOr(name string, value bool) bool {
	if !f.empty(name) {
		f.flag(name, &value)
	}
	return value
}

// decodeFlag takes a boolean as JSON has it, and as the command line sends it.
func decodeFlag(value any) (bool, error) {
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

// decodeNumber takes a whole number in any of its forms. The plugin protocol makes a float64 of every one.
func decodeNumber(value any) (int, error) {
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
			return nil, errors.New("starts with [ but is not a JSON list of strings")
		}
		return list, nil
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list, nil
}

// decodeObjects takes the permissions as a list of objects, as a JSON string, or as a list whose one element
// is such a string.
func decodeObjects(value any) ([]map[string]any, error) {
	bad := errors.New(`must be a JSON list of objects such as [{"action": "read", "resource": {"type": "buckets", "name": "metrics"}}]`)
	switch v := value.(type) {
	case nil:
		return nil, nil
	case string:
		if strings.TrimSpace(v) == "" {
			return nil, nil
		}
		var objects []map[string]any
		if err := json.Unmarshal([]byte(v), &objects); err != nil {
			return nil, bad
		}
		return objects, nil
	case []map[string]any:
		return v, nil
	case []any:
		var objects []map[string]any
		for _, item := range v {
			switch element := item.(type) {
			case map[string]any:
				objects = append(objects, element)
			case string:
				more, err := decodeObjects(element)
				if err != nil {
					return nil, err
				}
				objects = append(objects, more...)
			default:
				return nil, bad
			}
		}
		return objects, nil
	}
	return nil, bad
}

// without is a copy of a field table with some fields left out.
func without(table map[string]*framework.FieldSchema, names ...string) map[string]*framework.FieldSchema {
	table = maps.Clone(table)
	for _, name := range names {
		delete(table, name)
	}
	return table
}

// with is a copy of a field table with more fields.
func with(table, more map[string]*framework.FieldSchema) map[string]*framework.FieldSchema {
	table = maps.Clone(table)
	maps.Copy(table, more)
	return table
}
