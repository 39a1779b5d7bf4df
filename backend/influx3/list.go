package influx3

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// ours is what the names of tokens begin with that this engine has made, on this mount or another.
const ours = "vault:v1:%"

// hashLength is how much of a token's hash InfluxDB shows: 9 hexadecimal digits (influxdb3_system_tables/src/tokens.rs).
const hashLength = 9

// query is a question to the server's own tables.
type query struct {
	Database   string            `json:"db"`
	Text       string            `json:"q"`
	Parameters map[string]string `json:"params"`
	Format     string            `json:"format"`
}

// row is a token as system.tokens has it. Of one without an end Expiry is empty.
type row struct {
	Name    string `json:"name"`
	Created string `json:"created_at"`
	Expiry  string `json:"expiry"`
}

// rows asks the client's own InfluxDB for the tokens for which a condition holds on $p.
func (c *Client) rows(ctx context.Context, condition, p string, within time.Duration, dated func(time.Time), visit func(row) error) error {
	call := influx.Call{
		Method: http.MethodPost, Path: queryPath, Within: within, Success: http.StatusOK, Judge: judge,
		Body: query{"_internal", "SELECT name, created_at, expiry FROM system.tokens WHERE " + condition, map[string]string{"p": p}, "json"},
	}
	var stopped error
	err := c.api.Stream(ctx, call, func(resp *http.Response) error {
		if stopped = c.success(call, resp.Header.Get(influx.ClusterHeader)); stopped != nil {
			return stopped
		}
		date, _ := http.ParseTime(resp.Header.Get("Date"))
		dated(date)
		d := influx.NewDecoder(resp.Body)
		if start, err := d.ReadToken(); err != nil || start.Kind() != '[' {
			return fmt.Errorf("%w: no list", orUnexpected(err))
		}
		for d.PeekKind() != ']' {
			var next row
			if err := json.UnmarshalDecode(d, &next); err != nil {
				return err
			}
			if stopped = visit(next); stopped != nil {
				return stopped
			}
		}
		_, err := d.ReadToken()
		return err
	})
	if stopped != nil {
		return stopped
	}
	return err
}

func orUnexpected(err error) error {
	if err != nil {
		return err
	}
	return influx.ErrUnexpected
}

// authorization is the row in the words of package influx.
func (r row) authorization() *influx.Authorization {
	return &influx.Authorization{ID: r.Name, Description: DescriptionOf(r.Name), CreatedAt: moment(r.Created), Expires: moment(r.Expiry)}
}

// moment is a time in a row; zero where there is none.
func moment(text string) time.Time {
	at, _ := time.Parse("2006-01-02T15:04:05.999999999", strings.TrimSuffix(text, "Z"))
	return at
}

// ScanAuthorizations hands each token to visit that this engine has made, on whatever mount. What the pointer points to is
// overwritten after the call. Before the first it hands on what time it is for the server.
func (c *Client) ScanAuthorizations(ctx context.Context, dated func(time.Time), visit func(*influx.Listed)) error {
	var listed influx.Listed
	return c.rows(ctx, "name LIKE $p", ours, 0, dated, func(r row) error {
		listed.ID, listed.Description = append(listed.ID[:0], r.Name...), append(listed.Description[:0], DescriptionOf(r.Name)...)
		visit(&listed)
		return nil
	})
}

// EachAuthorization is ScanAuthorizations with all that is known of each token. An error of visit ends the list.
func (c *Client) EachAuthorization(ctx context.Context, visit func(*influx.Authorization) error) error {
	return c.rows(ctx, "name LIKE $p", ours, 0, func(time.Time) {}, func(r row) error { return visit(r.authorization()) })
}

// GetAuthorization reads one token. One that is not in the list is Gone: it was answered when it was made, so that the node
// knows it, and on Enterprise each other node within a minute.
func (c *Client) GetAuthorization(ctx context.Context, name string) (*influx.Authorization, error) {
	return c.read(ctx, name, 0)
}

// AskForAuthorization is GetAuthorization for a time that may be shorter than the client's.
func (c *Client) AskForAuthorization(ctx context.Context, name string, within time.Duration) error {
	_, err := c.read(ctx, name, within)
	return err
}

func (c *Client) read(ctx context.Context, name string, within time.Duration) (found *influx.Authorization, err error) {
	if within == 0 {
		within = c.api.Timeout()
	}
	call := influx.Call{Method: http.MethodPost, Path: queryPath}
	err = c.rows(ctx, "name = $p", name, within, func(time.Time) {}, func(r row) error {
		if r.Name != name || found != nil {
			return c.api.Failure(call, http.StatusOK, influx.Verdict{Kind: influx.NotInfluxDB, Message: "the answer is not the one token that was asked for", Proof: influx.Unproven})
		}
		found = r.authorization()
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return nil, c.unlessRecent(name, c.api.Failure(call, http.StatusOK, influx.Verdict{
			Kind: influx.Gone, Message: "no token has the name " + name, Proof: influx.Absent, Own: true,
		}))
	}
	return found, nil
}

// Self returns the token that is the client's own, which its hash tells.
func (c *Client) Self(ctx context.Context) (*influx.Authorization, error) {
	sum := sha512.Sum512([]byte(c.token))
	var found []*influx.Authorization
	err := c.rows(ctx, "hash = $p", hex.EncodeToString(sum[:])[:hashLength], c.api.Timeout(), func(time.Time) {}, func(r row) error {
		found = append(found, r.authorization())
		return nil
	})
	if err != nil {
		return nil, err
	}
	call := influx.Call{Method: http.MethodPost, Path: queryPath}
	switch len(found) {
	case 0:
		return nil, c.api.Failure(call, http.StatusOK, influx.Verdict{Kind: influx.NotFound, Message: "the list of tokens does not hold the client's own", Own: true})
	case 1:
		self := found[0]
		self.Token, self.Permanent = c.token, self.ID == OperatorName
		self.Permissions = []influx.Permission{{Action: "write", Resource: influx.Resource{Type: Admin}}}
		return self, nil
	}
	return nil, c.api.Failure(call, http.StatusOK, influx.Verdict{
		Kind: influx.Invalid, Message: fmt.Sprintf("%d tokens begin with the same hash as the client's own; make another one", len(found)), Own: true,
	})
}

// ListsAll reports whether a list that is answered is complete: who may not see all tokens is refused.
func (c *Client) ListsAll() bool { return true }
