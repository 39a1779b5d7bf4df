package influx

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A list may take listTimeouts times as long as another call, which makes 10 minutes of the usual 10 seconds, and
// maxListTimeout at most.
const (
	listTimeouts   = 60
	maxListTimeout = 10 * time.Minute
)

// Listed is what the list of all tokens says of one, as far as it tells whose that is.
type Listed struct {
	ID, Description []byte
	// Hidden says that its value is not shown.
	Hidden bool
}

// ScanAuthorizations hands each authorization that the token may see to visit, without garbage: the server has no
// paging, 100,000 tokens are some 100 MB, and few of them may be ours. What the pointer points to is overwritten after
// the call. Before the first visit it hands on what time it is for the server, from the answer's Date, or the zero time
// where there is none. Entries whose owner or organization was deleted are left out by the server, as are those that the
// token may not see.
func (c *Client) ScanAuthorizations(ctx context.Context, dated func(time.Time), visit func(*Listed)) error {
	var entry Listed
	return c.list(ctx, dated, func(d *jsontext.Decoder) error {
		err := entry.decode(d)
		if err == nil {
			visit(&entry)
		}
		return err
	})
}

// EachAuthorization is ScanAuthorizations for who needs all of each authorization. What the pointer points to is
// overwritten after the call; a copy of the value may be kept. An error of visit ends the list, and is returned.
func (c *Client) EachAuthorization(ctx context.Context, visit func(*Authorization) error) error {
	var stopped error
	err := c.list(ctx, func(time.Time) {}, func(d *jsontext.Decoder) error {
		var entry authorizationAnswer
		if err := json.UnmarshalDecode(d, &entry); err != nil {
			return err
		}
		stopped = visit(entry.value())
		return stopped
	})
	if stopped != nil {
		return stopped
	}
	return err
}

// list streams the list of all authorizations, and calls next where each entry begins. The time is bounded: an answer
// that never comes would hold up what waits for the list for ever.
func (c *Client) list(ctx context.Context, dated func(time.Time), next func(*jsontext.Decoder) error) error {
	patient := *c
	patient.timeout = min(listTimeouts*patient.timeout, maxListTimeout)
	ctx, cancel := patient.withTimeout(ctx)
	defer cancel()
	return patient.stream(ctx, request{method: http.MethodGet, path: "authorizations"}, func(resp *http.Response) error {
		date, _ := http.ParseTime(resp.Header.Get("Date")) // zero where it is none
		dated(date)
		return eachEntry(NewDecoder(resp.Body), "authorizations", next)
	})
}

// eachEntry calls next at each entry of the array that stands under key, up to its closing bracket.
func eachEntry(d *jsontext.Decoder, key string, next func(*jsontext.Decoder) error) error {
	if err := expect(d, '{'); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return err
		}
		if name.String() != key {
			if err := d.SkipValue(); err != nil {
				return err
			}
			continue
		}
		if err := expect(d, '['); err != nil {
			return err
		}
		for d.PeekKind() != ']' {
			if err := next(d); err != nil {
				return err
			}
		}
		return expect(d, ']')
	}
	return fmt.Errorf("%w: no %q in it", ErrUnexpected, key)
}

// decode reads one entry into memory that the last one had.
func (l *Listed) decode(d *jsontext.Decoder) error {
	l.ID, l.Description, l.Hidden = l.ID[:0], l.Description[:0], true
	if err := expect(d, '{'); err != nil {
		return err
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadValue()
		if err != nil {
			return err
		}
		switch string(name) {
		case `"id"`:
			l.ID, err = appendString(l.ID, d)
		case `"description"`:
			l.Description, err = appendString(l.Description, d)
		case `"token"`:
			var value jsontext.Value
			value, err = d.ReadValue()
			l.Hidden = value.Kind() != '"' || len(value) == len(`""`) || bytes.EqualFold(value, []byte(`"`+redacted+`"`))
		default:
			err = d.SkipValue()
		}
		if err != nil {
			return err
		}
	}
	return expect(d, '}')
}

// appendString reads a string; a null is an empty one.
func appendString(to []byte, d *jsontext.Decoder) ([]byte, error) {
	value, err := d.ReadValue()
	switch {
	case err != nil:
		return to, err
	case value.Kind() == 'n':
		return to[:0], nil
	case value.Kind() != '"':
		return to, fmt.Errorf("%w: no string", ErrUnexpected)
	}
	to, _ = jsontext.AppendUnquote(to[:0], value) // its one error says that it has replaced what is not UTF-8
	return to, nil
}

func expect(d *jsontext.Decoder, kind jsontext.Kind) error {
	token, err := d.ReadToken()
	if err == nil && token.Kind() != kind {
		err = fmt.Errorf("%w: %v instead of %v", ErrUnexpected, token.Kind(), kind)
	}
	return err
}
