package influx

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	if r.judge != nil {
		return c.judged(r, resp)
	}
	e := c.newError(r, resp)
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	said, err := readErrorBody(resp, media)
	body := said.judge(e, media)
	e.proof, e.own = proofOf(r.method, e.Status, body), body != AnyBody
	switch {
	case body == StartingBody:
		e.Kind, e.Message = Unavailable, c.redact("InfluxDB "+e.Version+" is starting")
	case e.own:
		e.Kind, e.Message = classifyOwn(e, said.Message), c.redact(said.Message)
	case isRefusal3(resp, said):
		e.Version = cmp.Or(e.Version, "3")
		e.Kind, e.Message = NotInfluxDB, c.redact("this is InfluxDB "+strings.TrimSpace(e.Version+" "+e.Build)+
			", and the configuration is one of InfluxDB 2; write config again")
	default:
		e.cause = err
		e.Kind, e.Message = classifyForeign(e.Status, media)
		c.nameRedirect(e, resp)
	}
	if e.Kind == MissingPermission || e.Kind == Forbidden {
		e.Permission = permissionIn(e.Message)
	}
	return e
}

// nameRedirect puts where a redirect leads into its error. Nothing is sent there: it may be anyone's.
func (c *Client) nameRedirect(e *Error, resp *http.Response) {
	to, err := resp.Location()
	if err != nil || resp.StatusCode < 300 || resp.StatusCode > 399 {
		return
	}
	to.User, to.RawQuery, to.Fragment = nil, "", "" // of no use, and perhaps somebody's secrets
	e.Location = c.redact(to.String())
	e.Message = fmt.Sprintf("%s to %s, which is not followed; if InfluxDB is there, write its base URL to url", http.StatusText(e.Status), e.Location)
}

// errorBody is what the body of an error may hold: InfluxDB's code and message, or a status while it starts; or the
// error of InfluxDB 3.
type errorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Status  string `json:"status"`
	Error   string `json:"error"`
}

// notAuthenticated3 is what InfluxDB 3 says with a 401 to a token that it does not know, also on /ping; it names no
// content type and no version (measured on 3.10.1).
const notAuthenticated3 = "the request was not authenticated"

// isRefusal3 reports whether InfluxDB 3 refuses a token: one that it does not know, or one that is for single databases, which
// Enterprise refuses a ping.
func isRefusal3(resp *http.Response, said errorBody) bool {
	named := resp.Header.Get(ClusterHeader) != ""
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return named || said.Error == notAuthenticated3
	case http.StatusForbidden:
		return named
	}
	return false
}

// readErrorBody decodes the body, which is zero where it is not JSON, and reads it to its end, so that the connection
// can serve the next call.
func readErrorBody(resp *http.Response, media string) (errorBody, error) {
	var said errorBody
	body := io.LimitReader(resp.Body, maxErrorBody)
	defer func() { _, _ = io.Copy(io.Discard, body) }()
	if media != "application/json" && media != "" {
		return said, nil
	}
	err := decode(body, &said)
	switch {
	case err != nil && media == "":
		return errorBody{}, nil
	case err != nil:
		return errorBody{}, err
	}
	return said, nil
}

// judge returns which of InfluxDB's own bodies it is, or AnyBody.
func (b errorBody) judge(e *Error, media string) Body {
	switch {
	case media != "application/json":
		return AnyBody
	case e.Status == http.StatusServiceUnavailable && b == errorBody{Status: "starting"} && e.Version != "":
		return StartingBody
	case b.Message == "" || !isOwnCode(e.Status, b.Code):
		return AnyBody
	case e.Status == http.StatusNotFound && b.Message == "authorization not found":
		return MissingBody
	}
	return ErrorBody
}

// badBody judges a success that could not be read: it was cut off, or it is not what was asked for.
func (c *Client) badBody(r request, resp *http.Response, err error) *Error {
	if errors.Is(err, io.ErrUnexpectedEOF) { // in the decoder's words, too
		err = io.ErrUnexpectedEOF
	}
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

// classifyOwn judges an error of InfluxDB's own.
func classifyOwn(e *Error, message string) Kind {
	switch {
	case e.proof == Absent:
		return Gone
	case e.Status == http.StatusNotFound && message == "path not found":
		return NoSuchPath
	case e.Status == http.StatusNotFound:
		return NotFound
	case e.Status == http.StatusUnauthorized && message == "token is inactive":
		return InactiveToken
	case e.Status == http.StatusUnauthorized && strings.HasSuffix(message, " is unauthorized"):
		return MissingPermission
	case e.Status == http.StatusUnauthorized:
		return BadToken
	case e.Status == http.StatusForbidden && strings.EqualFold(message, "user is inactive"):
		return InactiveUser
	case e.Status == http.StatusForbidden:
		return Forbidden
	}
	return classifyStatus(e.Status)
}

// classifyForeign judges an answer that is not InfluxDB 2's.
func classifyForeign(status int, contentType string) (Kind, string) {
	kind := classifyStatus(status)
	if kind == Invalid {
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
	case status == http.StatusRequestTimeout, status == statusClientGone, status >= 500:
		return Unavailable
	case status >= 400:
		return Invalid
	}
	return NotInfluxDB // a redirect, or a success that is none of the call's: InfluxDB 2 sends neither
}

// classifyNoResponse judges a call that got no complete answer.
func (c *Client) classifyNoResponse(err error) (Kind, string) {
	if sent, ok := errors.AsType[*url.Error](err); ok {
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
