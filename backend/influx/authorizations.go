package influx

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Authorization is an API token as InfluxDB's API describes it. Fields that an answer leaves out are empty.
type Authorization struct {
	ID string `json:"id"`
	// Token is the token's value. It is empty where the server hides it: InfluxDB >= 2.9 and Cloud show it in the
	// answer of CreateAuthorization alone.
	Token string `json:"token"`
	// Status is "active" or "inactive".
	Status      string    `json:"status"`
	Description string    `json:"description"`
	OrgID       string    `json:"orgID"`
	Org         string    `json:"org"`
	UserID      string    `json:"userID"`
	User        string    `json:"user"`
	CreatedAt   time.Time `json:"createdAt"`
	// Expires is when the server itself ends the token; zero where it does not.
	Expires time.Time `json:"-"`
	// Cluster is the InfluxDB 3 that has answered, and Permanent says that it never deletes the token.
	Cluster   string `json:"-"`
	Permanent bool   `json:"-"`

	Permissions []Permission `json:"permissions"`
}

// Inactive reports whether the token is switched off.
func (a *Authorization) Inactive() bool { return a.Status == statusInactive }

// The statuses of an authorization.
const (
	statusActive   = "active"
	statusInactive = "inactive"
)

// Permission is one permission in the shape of InfluxDB's API.
type Permission struct {
	Action   string   `json:"action"`
	Resource Resource `json:"resource"`
}

// Resource is what a permission is for. InfluxDB adds Name and Org to its answers and ignores them in a request,
// where a Name without an ID grants every resource of the type.
type Resource struct {
	Type  string `json:"type"`
	ID    string `json:"id,omitempty"`
	Name  string `json:"name,omitempty"`
	OrgID string `json:"orgID,omitempty"`
	Org   string `json:"org,omitempty"`
}

// NewAuthorization is what a token is created from.
type NewAuthorization struct {
	Description string `json:"description,omitempty"`
	// Status is "active" or "inactive"; empty means active.
	Status string `json:"status,omitempty"`
	OrgID  string `json:"orgID,omitempty"`
	// UserID is the owner; empty means the user of the client's own token.
	UserID      string       `json:"userID,omitempty"`
	Permissions []Permission `json:"permissions"`
	// Lifetime is how long the token is to live, where the server ends tokens by itself: InfluxDB 2 does not. 0 is no limit.
	Lifetime time.Duration `json:"-"`
}

// authorizationAnswer is an Authorization being decoded.
type authorizationAnswer struct {
	Authorization
	CreatedAt optionalTime `json:"createdAt"` // decoded instead of the one above
}

// value returns what was decoded, without what stands in the place of a value that is hidden.
func (a *authorizationAnswer) value() *Authorization {
	a.Authorization.CreatedAt = time.Time(a.CreatedAt)
	if strings.EqualFold(a.Token, redacted) {
		a.Token = ""
	}
	return &a.Authorization
}

// redacted is what InfluxDB Cloud puts in the place of a value.
const redacted = "redacted"

// optionalTime is a time that is zero where it can't be read: nothing that is decided depends on it, and the
// answer that creates a token must not be lost to it.
type optionalTime time.Time

// UnmarshalJSON implements json.Unmarshaler.
func (t *optionalTime) UnmarshalJSON(text []byte) error {
	var parsed time.Time
	if parsed.UnmarshalJSON(text) == nil {
		*t = optionalTime(parsed)
	}
	return nil
}

// authorizations is where InfluxDB has its tokens.
const authorizations = "authorizations"

// AskForAuthorization asks for an authorization, for a time that may be shorter than the client's, and looks at nothing but
// whether the answer is a success. The error is that of GetAuthorization: of kind Gone where there is none.
func (c *Client) AskForAuthorization(ctx context.Context, id string, within time.Duration) error {
	return c.call(ctx, request{method: http.MethodGet, path: authorizations + "/" + url.PathEscape(id), within: within, ofToken: true}, nil)
}

// CreateAuthorization mints a token. The answer alone holds its value. A failed call whose Error is not
// NotApplied may have created it all the same.
func (c *Client) CreateAuthorization(ctx context.Context, a NewAuthorization) (*Authorization, error) {
	var created authorizationAnswer
	if err := c.call(ctx, request{method: http.MethodPost, path: authorizations, body: a, ofToken: true}, &created); err != nil {
		return nil, err
	}
	if created.ID == "" || created.Token == "" {
		return nil, &Error{Kind: NotInfluxDB, Status: http.StatusCreated, connected: true,
			operation: "POST " + c.base + "/api/v2/authorizations", Message: "the answer holds no token"}
	}
	return created.value(), nil
}

// GetAuthorization reads one authorization; it is nil on an error. One whose owner or organization was deleted
// answers NotFound, not Gone.
func (c *Client) GetAuthorization(ctx context.Context, id string) (*Authorization, error) {
	var found authorizationAnswer
	if err := c.get(ctx, authorizations, id, &found, &found.ID); err != nil {
		return nil, err
	}
	return found.value(), nil
}

// DeleteAuthorization deletes one authorization. Its token is refused from then on. An Error of kind Gone says that there was
// none; prove, where it is not nil, looks which InfluxDB says that, and its answer counts instead. With the context that it is
// handed calls go over the connection on which that was said: while an address moves, another connection may lead to another
// InfluxDB. Only 204 is success: a proxy, or InfluxDB's own web interface under a wrong base path, answers 200 to anything.
func (c *Client) DeleteAuthorization(ctx context.Context, id string, prove func(context.Context) error) error {
	r := request{method: http.MethodDelete, path: authorizations + "/" + url.PathEscape(id), ofToken: true}
	return c.amongDeletions(ctx, r, func(ctx context.Context) error {
		ctx, way := pinned(ctx)
		defer way.release()
		err := c.call(ctx, r, nil)
		if prove == nil || !Is(err, Gone) {
			return err
		}
		over := way.connection()
		if err := prove(ctx); err != nil {
			return err
		}
		if way.connection() != over {
			return c.noResponse(r, errOtherConnection, true)
		}
		return nil
	})
}

var errOtherConnection = errors.New("the connection was lost before it was seen which InfluxDB has answered")

// amongDeletions does what is part of a deletion, once few others are under way.
func (c *Client) amongDeletions(ctx context.Context, r request, do func(context.Context) error) error {
	select {
	case c.deletions <- struct{}{}:
	default:
		var cancel context.CancelFunc
		ctx, cancel = c.withTimeout(ctx)
		defer cancel()
		select {
		case c.deletions <- struct{}{}:
		case <-ctx.Done():
			return c.noResponse(r, ctx.Err(), false)
		}
	}
	defer func() { <-c.deletions }()
	return do(ctx)
}

// SetAuthorizationStatus switches a token on or off. It must never run beside a deletion of the same token:
// InfluxDB reads and writes in two transactions, and a deletion in between, although answered with 204, is undone
// (measured: 161 of 600 on 2.9.1, 97 of 400 on 2.7.12).
func (c *Client) SetAuthorizationStatus(ctx context.Context, id string, active bool) error {
	status := statusInactive
	if active {
		status = statusActive
	}
	var changed authorizationAnswer
	r := request{method: http.MethodPatch, path: "authorizations/" + url.PathEscape(id), body: map[string]string{"status": status}}
	err := c.call(ctx, r, &changed)
	if err == nil && (!strings.EqualFold(changed.ID, id) || changed.Status != status) {
		return c.notAskedFor(r, http.StatusOK)
	}
	return err
}

// Self returns the authorization that the client's token is, where the server tells: InfluxDB 2 does not.
func (c *Client) Self(context.Context) (*Authorization, error) { return nil, nil }

// ListsAll reports whether a list that is answered is complete: InfluxDB 2 leaves out what the token may not see.
func (c *Client) ListsAll() bool { return false }
