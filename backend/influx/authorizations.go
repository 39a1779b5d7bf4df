package influx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/influxdata/influxdb-client-go/v2/domain"
)

// CreateAuthorization mints a token. The answer alone holds its value. A failed call whose Error is not
// NotApplied may have created it all the same.
func (c *Client) CreateAuthorization(ctx context.Context, a domain.AuthorizationPostRequest) (*domain.Authorization, error) {
	var created domain.Authorization
	if err := c.call(ctx, request{method: http.MethodPost, path: "authorizations", body: a}, &created); err != nil {
		return nil, err
	}
	if created.Id == nil || created.Token == nil || *created.Id == "" || *created.Token == "" {
		return nil, &Error{Kind: NotInfluxDB, Status: http.StatusCreated, connected: true,
			operation: "POST " + c.base + "/api/v2/authorizations", Message: "the answer holds no token"}
	}
	return &created, nil
}

// GetAuthorization reads one authorization. Where the server hides values (InfluxDB >= 2.9, Cloud) its
// Token is empty. An authorization whose owner or organization was deleted answers NotFound, not Gone.
func (c *Client) GetAuthorization(ctx context.Context, id string) (*domain.Authorization, error) {
	var found domain.Authorization
	err := c.call(ctx, request{method: http.MethodGet, path: "authorizations/" + url.PathEscape(id)}, &found)
	return unmasked(&found), err
}

// unmasked takes away what InfluxDB Cloud puts in the place of a value that it hides.
func unmasked(a *domain.Authorization) *domain.Authorization {
	if a.Token != nil && strings.EqualFold(*a.Token, "redacted") {
		a.Token = nil
	}
	return a
}

// DeleteAuthorization deletes one authorization. Its token is refused from then on. An Error of kind Gone
// says that there was none. Only 204 is success: a proxy, or InfluxDB's own web interface under a wrong base
// path, answers 200 to anything.
func (c *Client) DeleteAuthorization(ctx context.Context, id string) error {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	r := request{method: http.MethodDelete, path: "authorizations/" + url.PathEscape(id)}
	select {
	case c.deletions <- struct{}{}:
		defer func() { <-c.deletions }()
	case <-ctx.Done():
		return c.silence(r, ctx.Err(), false)
	}
	status := 0
	err := c.stream(ctx, r, func(resp *http.Response) error {
		status = resp.StatusCode
		return nil
	})
	if err == nil && status != http.StatusNoContent {
		return &Error{Kind: NotInfluxDB, Status: status, connected: true,
			operation: "DELETE " + c.address(r), Message: "not the answer of a deletion (204)"}
	}
	return err
}

// SetAuthorizationStatus switches a token on or off. It must never run beside a deletion of the same token:
// InfluxDB reads and writes in two transactions, and a deletion in between, although answered with 204, is undone
// (measured: 161 of 600 on 2.9.1, 97 of 400 on 2.7.12).
func (c *Client) SetAuthorizationStatus(ctx context.Context, id string, active bool) error {
	status := domain.AuthorizationUpdateRequestStatusInactive
	if active {
		status = domain.AuthorizationUpdateRequestStatusActive
	}
	var changed domain.Authorization
	body := domain.AuthorizationUpdateRequest{Status: &status}
	return c.call(ctx, request{method: http.MethodPatch, path: "authorizations/" + url.PathEscape(id), body: body}, &changed)
}

// A list may take listTimeouts times as long as another call, which makes 10 minutes of the usual 10 seconds, and
// maxListTimeout at most.
const (
	listTimeouts   = 60
	maxListTimeout = 10 * time.Minute
)

// EachAuthorization hands each authorization that the token may see to visit, one decoded at a time: the
// server has no paging, and 100,000 tokens are some 85 MB. Entries whose owner or organization was deleted
// are left out by the server, as are those that the token may not see. Its time is bounded: an answer that never
// comes would hold up what waits for the list for ever.
func (c *Client) EachAuthorization(ctx context.Context, visit func(domain.Authorization) error) error {
	patient := *c
	patient.timeout = min(listTimeouts*patient.timeout, maxListTimeout)
	ctx, cancel := patient.withTimeout(ctx)
	defer cancel()
	var stopped error
	err := patient.stream(ctx, request{method: http.MethodGet, path: "authorizations"}, func(resp *http.Response) error {
		decoder := json.NewDecoder(resp.Body)
		err := each(decoder, "authorizations", func(a domain.Authorization) error {
			stopped = visit(*unmasked(&a))
			return stopped
		})
		if errors.Is(err, io.EOF) && decoder.InputOffset() > 0 {
			return io.ErrUnexpectedEOF // the list was cut off
		}
		return err
	})
	if stopped != nil {
		return stopped
	}
	return err
}

// each decodes the array that stands under key, up to its closing bracket.
func each[T any](decoder *json.Decoder, key string, visit func(T) error) error {
	if err := skipTo(decoder, key); err != nil {
		return err
	}
	for decoder.More() {
		var entry T
		if err := decoder.Decode(&entry); err != nil {
			return err
		}
		if err := visit(entry); err != nil {
			return err
		}
	}
	return expect(decoder, ']')
}

// skipTo moves the decoder behind the opening bracket of the array that stands under key.
func skipTo(decoder *json.Decoder, key string) error {
	if err := expect(decoder, '{'); err != nil {
		return err
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		if name == key {
			return expect(decoder, '[')
		}
		var other json.RawMessage
		if err := decoder.Decode(&other); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: no %q in it", errUnexpected, key)
}

func expect(decoder *json.Decoder, delimiter json.Delim) error {
	token, err := decoder.Token()
	if err == nil && token != delimiter {
		err = fmt.Errorf("%w: %v instead of %v", errUnexpected, token, delimiter)
	}
	return err
}

// errUnexpected is an answer that can be read but is not what was asked for.
var errUnexpected = errors.New("not the expected answer")

// isForeign reports whether err says that an answer was read but is not what was asked for.
func isForeign(err error) bool {
	var (
		syntax *json.SyntaxError
		typed  *json.UnmarshalTypeError
	)
	return errors.As(err, &syntax) || errors.As(err, &typed) || errors.Is(err, errUnexpected) || errors.Is(err, io.EOF)
}
