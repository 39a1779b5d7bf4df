package influx

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxMessage bounds what is repeated of a server's words, in bytes.
const maxMessage = 300

// noResponse judges a call without an answer.
func (c *Client) noResponse(r request, err error, connected bool) *Error {
	e := &Error{operation: c.operation(r), connected: connected, cause: err}
	e.Kind, e.Message = c.classifyNoResponse(err)
	return e
}

// errorResponse judges an answer that is not a success.
func (c *Client) errorResponse(r request, resp *http.Response) *Error {
	e := c.newError(r, resp)
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var said struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body := io.LimitReader(resp.Body, maxErrorBody)
	if media == "application/json" {
		e.cause = json.NewDecoder(body).Decode(&said)
	}
	_, _ = io.Copy(io.Discard, body) // so that the connection can serve the next call
	if e.cause != nil || said.Code == "" {
		e.Kind, e.Message = classifyForeign(e.Status, media)
		return e
	}
	e.Kind, e.Message = classifyAnswer(e.Status, said.Code, said.Message), c.redact(said.Message)
	if e.Kind == MissingPermission || e.Kind == Forbidden {
		e.Permission = permissionIn(e.Message)
	}
	return e
}

// badBody judges a success that could not be read: it was cut off, or it is not what was asked for.
func (c *Client) badBody(r request, resp *http.Response, err error) *Error {
	e := c.newError(r, resp)
	e.cause = err
	if isForeign(err) {
		e.Kind, e.Message = NotInfluxDB, "the answer is not InfluxDB's JSON"
		return e
	}
	e.Kind, e.Message = c.classifyNoResponse(err)
	return e
}

// newError returns an Error with what an answer's head says.
func (c *Client) newError(r request, resp *http.Response) *Error {
	seconds, _ := strconv.ParseUint(resp.Header.Get("Retry-After"), 10, 31) // 0 where it is none, or a date
	return &Error{
		Status:     resp.StatusCode,
		RetryAfter: time.Duration(seconds) * time.Second,
		Version:    strings.TrimPrefix(resp.Header.Get("X-Influxdb-Version"), "v"),
		Build:      resp.Header.Get("X-Influxdb-Build"),
		operation:  c.operation(r),
		connected:  true,
	}
}

// operation names a call: its query, which may hold names, is left out.
func (c *Client) operation(r request) string {
	return r.method + " " + c.address(request{path: r.path})
}

// redact shortens a server's words and takes the token out of them, should a proxy have repeated it.
func (c *Client) redact(message string) string {
	// Without the padding, which is written in other ways in a URL or in HTML.
	if token := strings.TrimRight(c.token, "="); token != "" {
		message = strings.ReplaceAll(message, token, "[token]")
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
	case status == http.StatusNotFound && code != "not found": // somebody else's JSON
		return NotInfluxDB
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
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		kind = NotInfluxDB
	}
	return kind, fmt.Sprintf("%s (%s, not InfluxDB's own answer)", http.StatusText(status), cmp.Or(contentType, "no content"))
}

func classifyStatus(status int) Kind {
	switch {
	case status == http.StatusMethodNotAllowed:
		return NoSuchPath
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusRequestTimeout, status == 499, status >= 500:
		return Unavailable
	case status >= 400:
		return Invalid
	}
	return NotInfluxDB // a redirect: InfluxDB 2 sends none
}

// classifyNoResponse judges a call that got no complete answer.
func (c *Client) classifyNoResponse(err error) (Kind, string) {
	var sent *url.Error
	if errors.As(err, &sent) {
		err = sent.Err // it repeats the method and the address
	}
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
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return BadCertificate, "the server does not speak TLS; is the URL's scheme http?"
	case errors.Is(err, context.Canceled):
		return Unavailable, "the request was cancelled"
	case errors.As(err, &dns):
		return Unavailable, dns.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return Unavailable, fmt.Sprintf("no answer within %s", c.timeout)
	case strings.Contains(err.Error(), "remote error: tls:"):
		return BadCertificate, c.redact(err.Error())
	}
	return Unavailable, c.redact(err.Error())
}

var permissionPattern = regexp.MustCompile(`(?:read|write):\S+`)

// permissionIn finds the permission in "write:users/<id> is unauthorized" and "permission read:buckets is
// not allowed: …".
func permissionIn(message string) string {
	return permissionPattern.FindString(message)
}
