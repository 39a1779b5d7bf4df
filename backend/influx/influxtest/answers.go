package influxtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The codes of InfluxDB's errors that this server gives (kit/platform/errors/errors.go).
const (
	conflict      = "conflict"
	forbidden     = "forbidden"
	internal      = "internal error"
	invalid       = "invalid"
	notFound      = "not found"
	unauthorized  = "unauthorized"
	unprocessable = "unprocessable entity"
)

// statusOf is the HTTP status of each code; a conflict is 422, not 409 (kit/transport/http/error_handler.go).
var statusOf = map[string]int{
	conflict:      http.StatusUnprocessableEntity,
	forbidden:     http.StatusForbidden,
	internal:      http.StatusInternalServerError,
	invalid:       http.StatusBadRequest,
	notFound:      http.StatusNotFound,
	unauthorized:  http.StatusUnauthorized,
	unprocessable: http.StatusUnprocessableEntity,
}

// envelope is the body of an error. InfluxDB's API description also lists "op" and "err"; no handler sends them
// (measured).
type envelope struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *envelope) Error() string { return e.Message }

func failure(code, format string, args ...any) error {
	return &envelope{Code: code, Message: fmt.Sprintf(format, args...)}
}

var (
	errAuthorizationNotFound = failure(notFound, "authorization not found")
	errBucketNotFound        = failure(notFound, "bucket not found")
	errOrgNotFound           = failure(notFound, "organization not found")
	errUserNotFound          = failure(notFound, "user not found")
	errPathNotFound          = failure(notFound, "path not found")
	errUnableToCreate        = failure(invalid, "unable to create token")
	errInvalidStatus         = failure(invalid, "invalid status: must be active or inactive")
)

// writeError answers a handler's error: indented with tabs, the code also in a header (measured). An error
// without a code is InfluxDB's "internal error", with its own text as the message.
func writeError(w http.ResponseWriter, err error) {
	e := asEnvelope(err)
	w.Header().Set("X-Platform-Error-Code", e.Code)
	writeJSON(w, statusOf[e.Code], e)
}

// writeAuthenticationError answers what the authentication in front of the handlers refuses: the same envelope,
// but on one line (measured).
func writeAuthenticationError(w http.ResponseWriter, err error) {
	e := asEnvelope(err)
	body, _ := json.Marshal(e) // two strings: can't fail
	w.Header().Set("X-Platform-Error-Code", e.Code)
	write(w, statusOf[e.Code], "application/json; charset=utf-8", body)
}

func asEnvelope(err error) *envelope {
	var e *envelope
	if errors.As(err, &e) {
		return e
	}
	return &envelope{Code: internal, Message: err.Error()}
}

// writeJSON answers as InfluxDB's handlers do, indented with tabs.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.MarshalIndent(body, "", "\t")
	if err != nil {
		panic(err) // a body of this package's own types: a mistake in it
	}
	write(w, status, "application/json; charset=utf-8", text)
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone, which is no error here
}

// identifier is an ID in a request body. Left out or null it is "".
type identifier string

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *identifier) UnmarshalText(text []byte) error {
	id, err := parseID(string(text))
	*i = identifier(id)
	return err
}

// parseID reads an ID: 16 hexadecimal digits, not all of them zero. Capitals are taken and answered as small
// letters (kit/platform/id.go; measured).
func parseID(text string) (string, error) {
	if len(text) != 16 {
		return "", failure(invalid, "id must have a length of 16 bytes")
	}
	if n, err := strconv.ParseUint(text, 16, 64); err != nil || n == 0 {
		return "", failure(invalid, "invalid ID")
	}
	return strings.ToLower(text), nil
}
