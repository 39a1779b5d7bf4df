package backend

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// rootID is the authorization that a connection's root token is, as far as it is known.
func rootID(c *store.Connection) string {
	if c.AuthorizationID == "" && c.Found != nil {
		return c.Found.RootAuthorizationID
	}
	return strings.ToLower(c.AuthorizationID)
}

// identifyRoot reads the authorization that the root token is: the one that is known, or the one that the caller
// names, or the one that bears its value where InfluxDB shows values.
func (b *backend) identifyRoot(ctx context.Context, e *endpoint, givenID string) (*domain.Authorization, error) {
	known := rootID(e.Connection)
	switch {
	case givenID != "" && !permission.IsID(givenID):
		return nil, badInput("authorization_id: must be an ID of 16 hexadecimal digits")
	case givenID != "" && e.RootNonce != "" && !strings.EqualFold(givenID, known):
		return nil, badInput("authorization_id: the root token was made by a rotation and is %s; leave authorization_id out", known)
	case givenID == "" && known == "":
		return b.searchRoot(ctx, e)
	case givenID == "":
		givenID = known
	}
	root, err := e.client.GetAuthorization(ctx, givenID)
	switch {
	case influx.Is(err, influx.Gone), influx.Is(err, influx.NotFound):
		return nil, badInput("authorization_id: no authorization has the ID %s", givenID)
	case influx.Is(err, influx.MissingPermission):
		return nil, fmt.Errorf("authorization_id: the root token may not read %s, and it has to read its own authorization, whose permissions the new one needs; see docs/root-token.md: %w", givenID, err)
	case err != nil:
		return nil, err
	}
	if reason := notTheRoot(e.Connection, root); reason != "" {
		return nil, badInput("authorization_id: %s is not the root token: %s", givenID, reason)
	}
	return root, nil
}

// notTheRoot says why an authorization can't be a connection's root token, or "".
func notTheRoot(c *store.Connection, a *domain.Authorization) string {
	switch {
	case a.Id == nil || a.OrgID == nil || a.UserID == nil:
		return "InfluxDB does not say whose it is"
	case a.Token != nil && *a.Token != "" && *a.Token != c.Token:
		return "its value is another one"
	case a.Status != nil && *a.Status == domain.AuthorizationUpdateRequestStatusInactive:
		return "it is inactive"
	case c.Found != nil && c.Found.RootUserID != "" && *a.UserID != c.Found.RootUserID:
		return "it belongs to another user"
	case !makesTokens(a):
		return "it may not write authorizations"
	}
	return ""
}

// makesTokens reports whether an authorization has what every root token needs.
func makesTokens(a *domain.Authorization) bool {
	return slices.ContainsFunc(copied(a), func(p permission.Permission) bool {
		return p.Action == permission.Write && p.Type == "authorizations"
	})
}

// isProven reports whether it is certain that an authorization is the connection's root token: we made it, or
// InfluxDB shows its value.
func isProven(c *store.Connection, a *domain.Authorization) bool {
	return c.RootNonce != "" || a.Token != nil && *a.Token == c.Token
}

// searchRoot finds the root token's authorization by its value. Where values are hidden it names those that it could
// be: guessing would delete somebody's token.
func (b *backend) searchRoot(ctx context.Context, e *endpoint) (*domain.Authorization, error) {
	var (
		found      *domain.Authorization
		candidates []string
		hidden     bool
	)
	err := e.client.EachAuthorization(ctx, func(a domain.Authorization) error {
		if _, st, mine := stampOf(a, b.mountUUID); mine && st.kind != kindRoot {
			return nil
		}
		reason := notTheRoot(e.Connection, &a)
		switch {
		case reason == "" && a.Token != nil && *a.Token == e.Token:
			found = &a
		case reason == "":
			hidden = true
			candidates = append(candidates, candidate(a))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found != nil:
		return found, nil
	case !hidden:
		return nil, badInput("authorization_id: needed; the root token is not shown the list of tokens, so that it can't be found: see docs/root-token.md")
	}
	more := ""
	if extra := len(candidates) - namedTokens; extra > 0 {
		candidates, more = candidates[:namedTokens], fmt.Sprintf("\nand %d more", extra)
	}
	return nil, badInput("authorization_id: needed; InfluxDB hides the values of tokens, so that it is not known which one the root token is. It could be:\n%s%s", strings.Join(candidates, "\n"), more)
}

// candidate describes an authorization to somebody who has to choose.
func candidate(a domain.Authorization) string {
	description, created := "", "unknown"
	if a.Description != nil {
		description = clip(*a.Description)
	}
	if a.CreatedAt != nil {
		created = rfc3339(*a.CreatedAt)
	}
	return fmt.Sprintf("%s %q, created %s", *a.Id, description, created)
}
