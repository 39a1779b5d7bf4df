package influx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	apihttp "github.com/influxdata/influxdb-client-go/v2/api/http"
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
	// Invalid: the server refused the request's content (400, 413, 422).
	Invalid
	// RateLimited: too many requests (429); RetryAfter may say how long to wait.
	RateLimited
	// BadCertificate: TLS could not be set up with the certificates at hand.
	BadCertificate
	// NotInfluxDB: the answer does not come from InfluxDB 2: a proxy's page, or another version's API.
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
	// RetryAfter is the server's wish on RateLimited and Unavailable; 0 when it gave none.
	RetryAfter time.Duration
	// Version and Build are the answer's X-Influxdb-Version and X-Influxdb-Build, if it had them.
	Version, Build string

	operation string
	connected bool
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

// NotApplied reports whether it is certain that the call changed nothing: it was never sent, or the server
// refused it. Anything else may have been carried out: an abandoned POST was measured to be applied 120
// times of 120, and look-ups after the write can fail it with a 5xx.
func (e *Error) NotApplied() bool {
	if e.Status == 0 {
		return !e.connected
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusTooManyRequests:
		return true
	}
	return false
}

// Is reports whether err is a failed call of this kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// maxMessage bounds what is repeated of a server's words, in bytes.
const maxMessage = 300

func (c *Client) classify(r request, failed *apihttp.Error, connected bool) *Error {
	path := strings.TrimPrefix(c.address(request{path: r.path}), c.base)
	e := &Error{
		Status:     failed.StatusCode,
		RetryAfter: time.Duration(failed.RetryAfter) * time.Second,
		Version:    strings.TrimPrefix(failed.Header.Get("X-Influxdb-Version"), "v"),
		Build:      failed.Header.Get("X-Influxdb-Build"),
		operation:  r.method + " " + c.base + path,
		connected:  connected,
		cause:      failed.Err,
	}
	if e.Status == 0 {
		e.Kind, e.Message = c.classifySilence(failed.Err, connected)
		return e
	}
	e.Message = c.clean(failed.Message)
	kind, _, _ := mime.ParseMediaType(failed.Header.Get("Content-Type"))
	// Where the body is not the envelope, the library puts the status line into Code.
	if failed.Err != nil || failed.Code == "" || strings.HasPrefix(failed.Code, strconv.Itoa(e.Status)) {
		e.Kind, e.Message = classifyForeign(e.Status, kind)
		return e
	}
	e.Kind = classifyAnswer(e.Status, failed.Code, failed.Message)
	if e.Kind == MissingPermission || e.Kind == Forbidden {
		e.Permission = permissionIn(e.Message)
	}
	return e
}

// clean shortens a server's words and takes the token out of them, should a proxy have repeated it.
func (c *Client) clean(message string) string {
	if c.token != "" {
		message = strings.ReplaceAll(message, c.token, "[token]")
	}
	message = strings.Join(strings.Fields(message), " ")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "…"
	}
	return message
}

func classifyAnswer(status int, code, message string) Kind {
	switch {
	case status == http.StatusNotFound && code == "not found" && message == "authorization not found":
		return Gone
	case status == http.StatusNotFound && message == "path not found":
		return NoSuchPath
	case status == http.StatusNotFound:
		return NotFound
	case status == http.StatusUnauthorized && message == "token is inactive":
		return InactiveToken
	case status == http.StatusUnauthorized && strings.HasSuffix(message, " is unauthorized"):
		return MissingPermission
	case status == http.StatusUnauthorized:
		return BadToken
	case status == http.StatusForbidden && strings.EqualFold(message, "user is inactive"):
		return InactiveUser
	case status == http.StatusForbidden:
		return Forbidden
	}
	return classifyStatus(status)
}

// classifyForeign judges an answer that is not InfluxDB 2's error envelope.
func classifyForeign(status int, contentType string) (Kind, string) {
	kind := classifyStatus(status)
	switch status {
	case http.StatusMethodNotAllowed:
		kind = NoSuchPath
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		kind = NotInfluxDB
	}
	if contentType == "" {
		contentType = "no content"
	}
	return kind, fmt.Sprintf("%s (%s, not InfluxDB's own answer)", http.StatusText(status), contentType)
}

func classifyStatus(status int) Kind {
	switch {
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusRequestTimeout, status == 499, status >= 500:
		return Unavailable
	case status >= 400:
		return Invalid
	}
	return NotInfluxDB // a redirect: InfluxDB 2 sends none
}

// classifySilence judges a call that got no complete answer.
func (c *Client) classifySilence(err error, connected bool) (Kind, string) {
	var (
		timeout interface{ Timeout() bool }
		record  tls.RecordHeaderError
		tlsErr  *tls.CertificateVerificationError
		host    x509.HostnameError
		dns     *net.DNSError
	)
	switch {
	case errors.As(err, &host):
		return BadCertificate, host.Error()
	case errors.As(err, &tlsErr):
		return BadCertificate, tlsErr.Error()
	case errors.As(err, &record):
		return BadCertificate, "the server does not speak TLS; is the URL's scheme http?"
	case errors.Is(err, context.Canceled):
		return Unavailable, "the request was cancelled"
	case errors.As(err, &dns):
		return Unavailable, dns.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return Unavailable, fmt.Sprintf("no answer within %s", c.timeout)
	case strings.Contains(err.Error(), "remote error: tls:"):
		return BadCertificate, c.clean(err.Error())
	case connected && isDecoding(err):
		return NotInfluxDB, "the answer is not InfluxDB's JSON"
	}
	return Unavailable, c.clean(err.Error())
}

var permissionPattern = regexp.MustCompile(`(?:read|write):\S+`)

// permissionIn finds the permission in "write:users/<id> is unauthorized" and "permission read:buckets is
// not allowed: …".
func permissionIn(message string) string {
	return permissionPattern.FindString(message)
}
