package influx

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"
)

// callDirect makes a call on the path of a token, without what an http.Client allocates for one. What failed is judged as
// for any other call.
func (c *Client) callDirect(ctx context.Context, r request, out any) error {
	deadline := time.Now().Add(c.timeoutOf(r))
	if !ValidToken(c.token) {
		return c.noResponse(r, errNoHeader, false)
	}
	body, err := r.encoded()
	if err != nil {
		return err
	}
	l, err := c.transport.acquire(ctx, deadline)
	if err != nil {
		return c.noResponse(r, err, false)
	}
	defer l.release()
	err = l.ask(ctx, deadline, r.method, c.uri(r), nil, body)
	if err != nil && !isOfBody(err) {
		return c.noResponse(r, err, l.sent)
	}
	succeeded := r.succeeded(l.response.StatusCode())
	if succeeded && err == nil && out != nil {
		err = decodeAll(l.response.Body(), out)
	}
	if succeeded && err == nil {
		if r.value != nil {
			*r.value = string(l.response.Header.Peek(r.header))
		}
		return nil
	}
	answer := c.answerTo(r, l)
	defer answer.Body.Close()
	if succeeded {
		return c.badBody(r, answer, err)
	}
	return c.errorResponse(r, answer)
}

// uri is where a call goes on the server.
func (c *Client) uri(r request) string {
	uri := c.path + r.path
	if r.path[0] == '/' {
		uri = strings.TrimSuffix(c.path, apiPath) + r.path
	}
	if len(r.query) > 0 {
		uri += "?" + r.query.Encode()
	}
	return uri
}

// answerTo returns an answer in the form in which failures are judged.
func (c *Client) answerTo(r request, l *lane) *http.Response {
	address, _ := url.Parse(c.address(r))
	return l.answer(&http.Request{URL: address}, io.NopCloser(bytes.NewReader(l.response.Body())))
}

// RoundTrip implements http.RoundTripper, for what is not on the path of a token.
func (p *lanes) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	var body []byte
	if req.Body != nil {
		defer req.Body.Close()
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	deadline, _ := ctx.Deadline()
	l, err := p.acquire(ctx, deadline)
	if err != nil {
		return nil, err
	}
	l.response.StreamBody = true
	err = l.ask(ctx, deadline, req.Method, req.URL.RequestURI(), req.Header, body)
	if trace := httptrace.ContextClientTrace(ctx); l.sent && trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: l.connection})
	}
	if err != nil {
		l.release()
		return nil, err
	}
	return l.answer(req, &answerBody{l}), nil
}

// answer returns the answer in net/http's form.
func (l *lane) answer(to *http.Request, body io.ReadCloser) *http.Response {
	header := http.Header{}
	for name, value := range l.response.Header.All() {
		header.Add(string(name), string(value))
	}
	return &http.Response{StatusCode: l.response.StatusCode(), Header: header, Body: body, ContentLength: -1, Request: to}
}

// answerBody is the body of an answer. Its lane is released with it.
type answerBody struct{ *lane }

// Close implements io.Closer.
func (b *answerBody) Close() error {
	if b.lane != nil {
		b.release()
		b.lane = nil
	}
	return nil
}
