package backend

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"vault-plugin-secrets-influxdb/backend/problem"
)

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
