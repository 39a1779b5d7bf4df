package influx

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Kind says what a failed call proves.
type Kind int

// The kinds, and how InfluxDB 2.7 to 2.9 were measured to say them.
const (
	// Unavailable: nothing usable came back: refused, timed out, cut off, or a 5xx.
	Unavailable Kind = iota
	// Gone: the authorization does not exist (404 with code "not found" and message "authorization not
	// found"). No other 404 proves that: a proxy or a wrong base path answers 404 too.
	Gone
	// NotFound: another thing that was asked for by name or ID does not exist (404 by InfluxDB itself).
	NotFound
	// NoSuchPath: there is no such endpoint there (404 "path not found", or a 405).
	NoSuchPath
	// BadToken: the server does not know the token (401 "unauthorized access").
	BadToken
	// InactiveToken: the token is known and switched off (401 "token is inactive").
	InactiveToken
	// MissingPermission: the token lacks a permission (401 "<action>:<resource> is unauthorized").
	MissingPermission
	// InactiveUser: the token's owner is switched off or deleted (403 "User is inactive").
	InactiveUser
	// Forbidden: the token may not grant what it does not hold (403 "permission … is not allowed").
	Forbidden
	// Invalid: InfluxDB refused the request's content (400, 413, 422).
	Invalid
	// RateLimited: too many requests (429); RetryAfter may say how long to wait.
	RateLimited
	// BadCertificate: TLS could not be set up with the certificates at hand.
	BadCertificate
	// Foreign: another InfluxDB answered than the one whose tokens the client makes: it says nothing of them.
	Foreign
	// NotInfluxDB: the answer does not come from InfluxDB 2: a proxy's page or refusal, or another version's API.
	NotInfluxDB
)

// Error is a failed call.
type Error struct {
	Kind Kind
	// Status is the HTTP status; 0 when no answer came.
	Status int
	// Message is InfluxDB's own, shortened, or a description of what went wrong. It never holds the token.
	Message string
	// Permission is what a MissingPermission or Forbidden call would have needed: write:users/<id>.
	Permission string
	// RetryAfter is what the server asks for on RateLimited and Unavailable; 0 when it gave none.
	RetryAfter time.Duration
	// Version and Build are the answer's X-Influxdb-Version and X-Influxdb-Build, if it had them. The Version is "3"
	// where the answer is InfluxDB 3's but does not say more.
	Version, Build string
	// Location is where a redirect leads, without a query; empty for all else. Whoever tries a new address has to stop
	// there: what comes next is not meant for whoever answered.
	Location string

	operation string
	connected bool  // the request may have been sent
	own       bool  // the answer is InfluxDB 2's
	proof     Proof // what the answer proves
	cause     error
}

// Error names the operation, the address, the status and what the server said.
func (e *Error) Error() string {
	text := e.operation + ": " + e.Message
	if e.Status != 0 {
		text = fmt.Sprintf("%s: %d %q", e.operation, e.Status, e.Message)
	}
	if e.RetryAfter > 0 {
		text += fmt.Sprintf("; try again after %s", e.RetryAfter)
	}
	return text
}

// Unwrap gives the cause, such as a context's error.
func (e *Error) Unwrap() error { return e.cause }

// NotApplied reports whether it is certain that the call changed nothing: it was never sent, or InfluxDB itself refused
// it (see Rules). Anything else may have been carried out: an abandoned POST was measured to be applied 120 times of
// 120, look-ups after the write can fail it with a 5xx, and a proxy may refuse the answer instead of the request.
func (e *Error) NotApplied() bool {
	if e.Status == 0 {
		return !e.connected
	}
	return e.proof == NotApplied
}

// FromInfluxDB reports whether the answer is InfluxDB 2's own, rather than that of a proxy or of something else.
func (e *Error) FromInfluxDB() bool { return e.own }

// IsNotFound reports whether err says that what was asked for does not exist: Gone or NotFound.
func IsNotFound(err error) bool { return Is(err, Gone) || Is(err, NotFound) }

// Is reports whether err is a failed call of this kind.
func Is(err error, kind Kind) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == kind
}

// Proof is what an answer to a call of /api/v2/authorizations proves.
type Proof string

// The proofs. A proxy may judge a request, and then nothing was done, or judge the answer, after all was done: so only
// what InfluxDB itself says proves anything.
const (
	Unproven   Proof = "nothing: it may have been carried out or not"
	Applied    Proof = "it was carried out"
	NotApplied Proof = "it was not carried out"
	Absent     Proof = "there is no such authorization"
)

// Body is what an answer holds.
type Body string

// The bodies that prove something, each by itself or with the status beside it. All else is AnyBody: a page, nothing,
// JSON of another kind.
const (
	AnyBody      Body = "anything else"
	ResultBody   Body = "what was asked for (nothing, for DELETE)"
	ErrorBody    Body = "InfluxDB's own error: JSON with a message, and the code that belongs to the status"
	MissingBody  Body = `InfluxDB's own error "authorization not found"`
	StartingBody Body = `{"status":"starting"}, with the header X-Influxdb-Version`
)

// Rule is one line of Rules: an answer that proves something.
type Rule struct {
	Methods  []string
	Statuses []int
	Body     Body
	Proves   Proof
}

var everyMethod = []string{http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete}

// Rules say what each answer to a call of /api/v2/authorizations proves; docs/operations.md has the same table. An
// answer that is in none of them is Unproven, and so is a call that got none after it was sent.
var Rules = []Rule{
	{[]string{http.MethodPost}, []int{http.StatusCreated}, ResultBody, Applied},
	{[]string{http.MethodGet, http.MethodPatch}, []int{http.StatusOK}, ResultBody, Applied},
	{[]string{http.MethodDelete}, []int{http.StatusNoContent}, ResultBody, Applied},
	// Not 404, 500 and the like: looking up what the answer holds can fail after the write.
	{everyMethod, []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge,
		http.StatusUnprocessableEntity, http.StatusTooManyRequests}, ErrorBody, NotApplied},
	// InfluxDB 2.10 answers so until its API is there.
	{everyMethod, []int{http.StatusServiceUnavailable}, StartingBody, NotApplied},
	{[]string{http.MethodGet, http.MethodPatch, http.MethodDelete}, []int{http.StatusNotFound}, MissingBody, Absent},
}

// proofOf returns what Rules say of an answer.
func proofOf(method string, status int, body Body) Proof {
	for _, r := range Rules {
		if r.Body == body && slices.Contains(r.Statuses, status) && slices.Contains(r.Methods, method) {
			return r.Proves
		}
	}
	return Unproven
}

// ownCodes are the codes of InfluxDB's errors, by the status that comes with each (kit/transport/http/error_handler.go
// of 2.7 to 2.10). Those of 408 and 499, for a request whose caller is gone, are the codes of any other.
var ownCodes = map[int][]string{
	http.StatusBadRequest:            {"invalid", "empty value"},
	http.StatusUnauthorized:          {"unauthorized"},
	http.StatusForbidden:             {"forbidden"},
	http.StatusNotFound:              {"not found"},
	http.StatusMethodNotAllowed:      {"method not allowed"},
	http.StatusRequestEntityTooLarge: {"request too large"},
	http.StatusUnprocessableEntity:   {"unprocessable entity", "conflict"},
	http.StatusTooManyRequests:       {"too many requests"},
	http.StatusInternalServerError:   {"internal error"},
	http.StatusNotImplemented:        {"not implemented"},
	http.StatusServiceUnavailable:    {"unavailable"},
}

// isOwnCode reports whether InfluxDB sends this code with this status.
func isOwnCode(status int, code string) bool {
	if status != http.StatusRequestTimeout && status != statusClientGone {
		return slices.Contains(ownCodes[status], code)
	}
	for _, codes := range ownCodes {
		if slices.Contains(codes, code) {
			return true
		}
	}
	return false
}

// statusClientGone is what nginx, and InfluxDB after it, answer to a request whose caller hung up.
const statusClientGone = 499
