package influx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"

	apihttp "github.com/influxdata/influxdb-client-go/v2/api/http"
)

// request is one call of the API.
type request struct {
	method string
	// path below api/v2/, its elements escaped; or, with a leading slash, below the base URL.
	path  string
	query url.Values
	// body is sent as JSON when it is not nil.
	body any
	// anonymous calls are sent without the token.
	anonymous bool
	// ofToken says that each lease makes such a call.
	ofToken bool
	// within bounds the call where it is shorter than the client's timeout; 0 does not.
	within time.Duration
	// success are the statuses of a success; nil means the one that Rules name for the method.
	success []int
	// judge says what an answer means that is no success; nil judges it as InfluxDB 2's.
	judge func(Refusal) Verdict
	// value is set to this header of a successful answer, where it is not nil.
	header string
	value  *string
}

// strip returns what takes the token out of an anonymous request.
func (r request) strip() apihttp.RequestCallback {
	if !r.anonymous {
		return nil
	}
	return func(req *http.Request) { req.Header.Del("Authorization") }
}

// encoded returns the body, nil where there is none.
func (r request) encoded() ([]byte, error) {
	if r.body == nil {
		return nil, nil
	}
	body, err := json.Marshal(r.body)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", r.method, r.path, err)
	}
	return body, nil
}

// succeeded reports whether a status is one of a success. No other 2xx is: a proxy's page is a success, too.
func (r request) succeeded(status int) bool {
	if r.success != nil {
		return slices.Contains(r.success, status)
	}
	return proofOf(r.method, status, ResultBody) == Applied
}

// timeoutOf is how long a call may take.
func (c *Client) timeoutOf(r request) time.Duration {
	return min(c.timeout, cmp.Or(r.within, c.timeout))
}

func (c *Client) address(r request) string {
	address := c.service.ServerAPIURL() + r.path
	if len(r.path) > 0 && r.path[0] == '/' {
		address = c.base + r.path
	}
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	return address
}

// call makes one call within the client's timeout and decodes a JSON answer into out, where that is not nil. Here alone
// it is decided which way a call goes.
func (c *Client) call(ctx context.Context, r request, out any) error {
	if r.ofToken && !r.anonymous && c.transport != nil {
		return c.callDirect(ctx, r, out)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeoutOf(r))
	defer cancel()
	return c.stream(ctx, r, func(resp *http.Response) error {
		if r.value != nil {
			*r.value = resp.Header.Get(r.header)
		}
		if out == nil {
			return nil
		}
		return decode(io.LimitReader(resp.Body, maxBody), out)
	})
}

// get reads one thing by its ID, which the answer has to repeat: JSON of another kind decodes as well, into nothing.
func (c *Client) get(ctx context.Context, collection, id string, out any, answered *string) error {
	r := request{method: http.MethodGet, path: collection + "/" + url.PathEscape(id), ofToken: collection == authorizations}
	err := c.call(ctx, r, out)
	if err == nil && !strings.EqualFold(*answered, id) {
		return c.notAskedFor(r, http.StatusOK)
	}
	return err
}

// errNoHeader says what is wrong with a token that would break the head of a request.
var errNoHeader = errors.New("the token holds a character that no token has")

// notAskedFor returns the error for a success that holds something else than was asked for.
func (c *Client) notAskedFor(r request, status int) *Error {
	return &Error{Kind: NotInfluxDB, Status: status, connected: true, operation: c.operation(r),
		Message: "the answer is not what was asked for"}
}

// stream makes one call and hands a successful answer to read. Every failure is an *Error.
func (c *Client) stream(ctx context.Context, r request, read func(*http.Response) error) error {
	if !ValidToken(c.token) && !r.anonymous { // else the text of the error could repeat it
		return c.noResponse(r, errNoHeader, false)
	}
	connected := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { connected = true },
	})
	body, err := r.encoded()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.address(r), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	req.Header = c.header.Clone()
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	// Not the library's DoHTTPRequest: it decodes an error's body over the status and the headers.
	resp, err := c.service.DoHTTPRequestWithResponse(req, r.strip())
	if err != nil {
		return c.noResponse(r, err, connected)
	}
	defer resp.Body.Close()
	if !r.succeeded(resp.StatusCode) {
		return c.errorResponse(r, resp)
	}
	if err := read(resp); err != nil {
		return c.badBody(r, resp, err)
	}
	// The little that a decoder may have left, so that the connection can serve the next call.
	_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
	return nil
}
