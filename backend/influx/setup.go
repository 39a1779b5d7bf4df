package influx

import (
	"context"
	"net/http"
)

// SetupAllowed reports whether the server was never set up. It takes no token.
func (c *Client) SetupAllowed(ctx context.Context) (bool, error) {
	var answer struct {
		Allowed bool `json:"allowed"`
	}
	err := c.call(ctx, request{method: http.MethodGet, path: "setup"}, &answer)
	return err == nil && answer.Allowed, err
}

// SetupRequest is what a fresh server is set up with.
type SetupRequest struct {
	Username string `json:"username"`
	// Password may be empty; nobody can sign in as the user then.
	Password string `json:"password,omitempty"`
	Org      string `json:"org"`
	Bucket   string `json:"bucket"`
	// RetentionSeconds is how long the bucket keeps data; 0 means for ever.
	RetentionSeconds int64 `json:"retentionPeriodSeconds,omitempty"`
	// Token is the value that the operator token is to have.
	Token string `json:"token"`
}

// SetupAnswer is what a setup made.
type SetupAnswer struct{ AuthorizationID, OrgID, UserID string }

// Setup makes the first user, organization, bucket and operator token of a fresh server. The token is the
// request's, so that it is known whatever becomes of the answer. A failed call whose Error is not NotApplied may
// have been carried out. A server that is set up answers Invalid (422).
func (c *Client) Setup(ctx context.Context, r SetupRequest) (*SetupAnswer, error) {
	type object struct {
		ID string `json:"id"`
	}
	var answer struct{ Auth, Org, User object }
	if err := c.call(ctx, request{method: http.MethodPost, path: "setup", body: r}, &answer); err != nil {
		return nil, err
	}
	if answer.Auth.ID == "" || answer.Org.ID == "" || answer.User.ID == "" {
		return nil, &Error{Kind: NotInfluxDB, Status: http.StatusCreated, connected: true,
			operation: "POST " + c.base + "/api/v2/setup", Message: "the answer lacks the authorization, organization or user"}
	}
	return &SetupAnswer{answer.Auth.ID, answer.Org.ID, answer.User.ID}, nil
}
