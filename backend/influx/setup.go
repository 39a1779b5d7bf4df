package influx

import (
	"context"
	"net/http"

	"github.com/influxdata/influxdb-client-go/v2/domain"
)

// SetupAllowed reports whether the server was never set up. It takes no token.
func (c *Client) SetupAllowed(ctx context.Context) (bool, error) {
	var answer domain.IsOnboarding
	err := c.call(ctx, request{method: http.MethodGet, path: "setup"}, &answer)
	return err == nil && answer.Allowed != nil && *answer.Allowed, err
}

// Setup makes the first user, organization, bucket and operator token of a fresh server. The token is the
// request's, so that it is known whatever becomes of the answer. A failed call whose Error is not NotApplied may
// have been carried out. A server that is set up answers Invalid (422).
func (c *Client) Setup(ctx context.Context, r domain.OnboardingRequest) (*domain.OnboardingResponse, error) {
	var answer domain.OnboardingResponse
	if err := c.call(ctx, request{method: http.MethodPost, path: "setup", body: r}, &answer); err != nil {
		return nil, err
	}
	complete := answer.Auth != nil && answer.Auth.Id != nil && answer.Org != nil && answer.Org.Id != nil && answer.User != nil && answer.User.Id != nil
	if !complete {
		return nil, &Error{Kind: NotInfluxDB, Status: http.StatusCreated, connected: true,
			operation: "POST " + c.base + "/api/v2/setup", Message: "the answer lacks the authorization, organization or user"}
	}
	return &answer, nil
}
