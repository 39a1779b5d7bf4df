package influx

import (
	"errors"
	"fmt"
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
