// Package problem holds errors and words that are meant for the caller.
package problem

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/agext/levenshtein"
)

// Error is an error whose text the caller may read, with the HTTP status that it is answered with.
type Error struct {
	// Status is the HTTP status: 400, 404, 429, 502 or 503.
	Status int
	// Field names the field of the request that is wrong, such as read_buckets[1]; empty where it is none in particular.
	Field string
	// Text says what is wrong, and what is allowed or to be done.
	Text string
	// Cause is the error underneath; nil where there is none.
	Cause error
}

// Error is "field: text", or the text alone.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Text
	}
	return e.Field + ": " + e.Text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// BadInput returns a 400.
func BadInput(format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// InField returns a 400 that names the field.
func InField(field, format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Field: field, Text: fmt.Sprintf(format, args...)}
}

// NotFound returns a 404.
func NotFound(format string, args ...any) error {
	return &Error{Status: http.StatusNotFound, Text: fmt.Sprintf(format, args...)}
}

// TooManyRequests returns a 429.
func TooManyRequests(format string, args ...any) error {
	return &Error{Status: http.StatusTooManyRequests, Text: fmt.Sprintf(format, args...)}
}

// BadGateway returns a 502 with the error underneath; cause may be nil.
func BadGateway(cause error, format string, args ...any) error {
	return &Error{Status: http.StatusBadGateway, Text: fmt.Sprintf(format, args...), Cause: cause}
}

// HasField reports whether some error in err says what is wrong with a field of the request: then err is not a look-up
// that failed.
func HasField(err error) bool {
	switch e := err.(type) { //nolint:errorlint // it walks the tree itself: errors.As stops at the first Error, which may have no field
	case nil:
		return false
	case *Error:
		return e.Field != "" || HasField(e.Cause)
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), HasField)
	}
	return HasField(errors.Unwrap(err))
}

// maxListed bounds how many problems one answer holds.
const maxListed = 1000

// List is all that is wrong with one request.
type List []error

// Add appends what is wrong with a field.
func (l *List) Add(field, format string, args ...any) {
	*l = append(*l, InField(field, format, args...))
}

// Err joins the problems, each said once; nil when there are none. Beyond 1,000 it only counts: an object may hold any
// number of unknown keys.
func (l List) Err() error {
	seen := map[string]bool{}
	problems := slices.DeleteFunc(l.flat(), func(problem error) bool {
		repeated := seen[problem.Error()]
		seen[problem.Error()] = true
		return repeated
	})
	if more := len(problems) - maxListed; more > 0 {
		problems = append(problems[:maxListed], BadInput("and %d more", more))
	}
	return errors.Join(problems...)
}

// flat is the list with joined errors taken apart and without nil.
func (l List) flat() List {
	var flat List
	for _, problem := range l {
		joined, several := problem.(interface{ Unwrap() []error })
		switch {
		case several:
			flat = append(flat, List(joined.Unwrap()).flat()...)
		case problem != nil:
			flat = append(flat, problem)
		}
	}
	return flat
}

// Clip bounds what is repeated of a caller's own words to 64 bytes.
func Clip(s string) string {
	const longest = 64
	if len(s) > longest {
		s = strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}

// RFC3339 formats a time as answers do, in UTC; "" for the zero time.
func RFC3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// MaxNamed bounds how many things one answer names.
const MaxNamed = 20

// NameSome joins the first MaxNamed names and counts the rest.
func NameSome(names []string) string {
	named := strings.Join(names[:min(len(names), MaxNamed)], ", ")
	if more := len(names) - MaxNamed; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return named
}

// How many look-alikes are named, and how long a name may be: each comparison takes time by the square of it.
const (
	maxSimilar   = 5
	maxLookAlike = 128
)

// Similar returns those names that differ from the wanted one by a typing error or two, or by case; the nearest first.
func Similar(wanted string, names []string) []string {
	if wanted == "" || len(wanted) > maxLookAlike {
		return nil
	}
	var alike []string
	for _, name := range names {
		if len(name) <= maxLookAlike && distance(wanted, name) <= max(1, (len(wanted)+1)/3) {
			alike = append(alike, name)
		}
	}
	slices.SortStableFunc(alike, func(a, b string) int { return distance(wanted, a) - distance(wanted, b) })
	return alike[:min(len(alike), maxSimilar)]
}

func distance(a, b string) int {
	return levenshtein.Distance(strings.ToLower(a), strings.ToLower(b), nil)
}

// DidYouMean ends a message about a name that is not known with the nearest of those that are similar; "" where none is.
func DidYouMean(wanted string, names []string) string {
	alike := Similar(wanted, names)
	if len(alike) == 0 {
		return ""
	}
	nearest := distance(wanted, alike[0])
	alike = slices.DeleteFunc(alike, func(name string) bool { return distance(wanted, name) > nearest })
	return "; did you mean " + strings.Join(alike, " or ") + "?"
}

// LooksLikeFile reports whether a value that should be what is in a file looks like the file's name.
func LooksLikeFile(value string) bool {
	const longest = 256
	value = strings.TrimSpace(value)
	if value == "" || len(value) > longest || strings.ContainsAny(value, "\r\n\t{[\"") {
		return false
	}
	for _, prefix := range []string{"@", "/", "./", "../", "~/"} {
		if strings.HasPrefix(value, prefix) {
			return true
		}
	}
	return slices.Contains([]string{".json", ".pem", ".crt", ".cert", ".cer", ".key", ".token", ".txt"}, strings.ToLower(path.Ext(value)))
}

// SendFile says how to send what is in a file as a field.
func SendFile(field string) string {
	return "looks like the name of a file; send what is in it, with the vault command as " + field + "=@<file>"
}
