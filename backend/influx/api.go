package influx

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"
)

// ClusterHeader stands in every answer of InfluxDB 3 from 3.7 on, refusals too, and no proxy makes it up: it tells which InfluxDB
// has answered (v3.10.1, influxdb3_server/src/http.rs). A proxy such as Caddy or Traefik may add a content type to a refusal,
// by which its body would be anybody's.
const ClusterHeader = "Cluster-Uuid"

// Call is a call of another API than InfluxDB 2's, on the client's connections and within its limits.
type Call struct {
	Method string
	// Path is below the base URL, with a slash before it; Query goes behind it.
	Path  string
	Query url.Values
	// Body is sent as JSON where it is not nil.
	Body any
	// Anonymous calls are sent without the token.
	Anonymous bool
	// Within bounds the call where it is shorter than the client's timeout; 0 does not.
	Within time.Duration
	// Success is the status of a success.
	Success int
	// Judge says what an answer means that is none.
	Judge func(Refusal) Verdict
}

// Refusal is an answer that is no success.
type Refusal struct {
	Method string
	Status int
	Header http.Header
	// Body is cut off after 64 KiB.
	Body []byte
}

// Verdict is what a Refusal means.
type Verdict struct {
	Kind Kind
	// Message is the server's own, as it came.
	Message string
	Proof   Proof
	// Own says that the server itself has answered, and no proxy.
	Own bool
}

// Do makes a call that each lease makes, and decodes the answer into out, a pointer, where that is not nil. It returns the
// values of one header of a successful answer. Every failure is an *Error.
func (c *Client) Do(ctx context.Context, call Call, out any, header string) (value string, err error) {
	r := call.request()
	r.ofToken, r.header, r.value = true, header, &value
	err = c.call(ctx, r, out)
	return value, err
}

// Delete is Do for a deletion, of which few are under way at once: mints don't queue behind them.
func (c *Client) Delete(ctx context.Context, call Call, header string) (value string, err error) {
	r := call.request()
	r.ofToken, r.header, r.value = true, header, &value
	err = c.amongDeletions(ctx, r, func(ctx context.Context) error { return c.call(ctx, r, nil) })
	return value, err
}

// Stream makes a call and hands a successful answer to read, which may take minutes for a long one, as a list may.
func (c *Client) Stream(ctx context.Context, call Call, read func(*http.Response) error) error {
	patient := *c
	patient.timeout = min(listTimeouts*patient.timeout, maxListTimeout)
	r := call.request()
	ctx, cancel := context.WithTimeout(ctx, patient.timeoutOf(r))
	defer cancel()
	return patient.stream(ctx, r, read)
}

func (call Call) request() request {
	return request{
		method: call.Method, path: call.Path, query: call.Query, body: call.Body, anonymous: call.Anonymous, within: call.Within,
		success: []int{call.Success}, judge: call.Judge,
	}
}

// judged is errorResponse for a call that judges its answers itself.
func (c *Client) judged(r request, resp *http.Response) *Error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return c.badBody(r, resp, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody))
	e := c.newError(r, resp)
	v := r.judge(Refusal{Method: r.method, Status: resp.StatusCode, Header: resp.Header, Body: bytes.TrimSpace(body)})
	e.Kind, e.Message, e.proof, e.own = v.Kind, c.redact(v.Message), v.Proof, v.Own
	c.nameRedirect(e, resp)
	return e
}

// Failure returns the error for a call whose answer, or whose content, is not what it has to be. A status of 0 says that it
// was not made.
func (c *Client) Failure(call Call, status int, v Verdict) *Error {
	return &Error{
		Kind: v.Kind, Status: status, Message: c.redact(v.Message), operation: c.operation(call.request()),
		connected: status != 0, own: v.Own, proof: v.Proof,
	}
}
