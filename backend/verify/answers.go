package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Rejection is an error of a connection that can't be used as it is written. Whoever was about to store the connection
// can add that nothing was stored.
type Rejection struct{ error }

// Unwrap returns the error, with the failed call underneath, if there was one.
func (r *Rejection) Unwrap() error { return r.error }

func rejected(field string, cause error, format string, args ...any) error {
	return &Rejection{&problem.Error{Status: http.StatusBadRequest, Field: field, Text: fmt.Sprintf(format, args...), Cause: cause}}
}

// Explain says what a failed call means for the connection that it was made on. found is what is known of the connection
// so far. Other errors are returned as they are.
func Explain(c *connection.Connection, found *store.Found, err error) error {
	failed, ok := errors.AsType[*influx.Error](err)
	if !ok {
		return err
	}
	url := c.Client.URL()
	answer := fmt.Sprintf("(%d %q)", failed.Status, failed.Message)
	if failed.Location != "" {
		return rejected("url", err, "%s redirects to %s (%d), where nothing is sent; if InfluxDB is there, write its base URL to url", url, strings.TrimSuffix(failed.Location, "/ping"), failed.Status)
	}
	switch failed.Kind {
	case influx.BadToken:
		if problem.LooksLikeFile(c.Token) {
			answer += "; it " + problem.SendFile("token")
		}
		return rejected("token", err, "InfluxDB at %s does not know it %s", url, answer)
	case influx.InactiveToken:
		return rejected("token", err, "InfluxDB at %s knows it, but it is inactive %s; set it active there, or write another one", url, answer)
	case influx.InactiveUser:
		return rejected("token", err, "its user is inactive or deleted in InfluxDB at %s %s; set the user active there, or write a token of another one", url, answer)
	case influx.MissingPermission, influx.Forbidden:
		return &problem.Error{Status: http.StatusBadRequest, Cause: err,
			Text: fmt.Sprintf("token lacks %s, needed to %s; see docs/root-token.md", failed.Permission, purpose(found, failed.Permission))}
	case influx.BadCertificate:
		return rejected("url", err, "TLS with %s failed: %s; see ca_cert, tls_server_name, tls_min_version and client_cert", url, failed.Message)
	case influx.NotInfluxDB, influx.NoSuchPath:
		return rejected("url", err, "what answers at %s is not InfluxDB 2 (%v); is it a proxy's page, or does the base path differ?", url, failed)
	case influx.Unavailable, influx.RateLimited:
		return &Rejection{&problem.Error{Status: http.StatusBadGateway, Field: "url", Cause: err,
			Text: fmt.Sprintf("no usable answer from %s: %v", url, failed)}}
	}
	return rejected("url", err, "%v", failed)
}

// purpose says what a permission of the root token is needed for.
func purpose(found *store.Found, missing string) string {
	switch {
	case strings.Contains(missing, ":users/"):
		owner := cmp.Or(found.Owner, found.OwnerID, found.RootUser, found.RootUserID)
		return fmt.Sprintf("create tokens for user %q", owner)
	case strings.HasSuffix(missing, "authorizations"):
		return fmt.Sprintf("create tokens in org %q", found.DefaultOrg)
	}
	return "verify the configuration"
}

// Accepted returns nil where InfluxDB accepts a connection's token. It reads one authorization: lists are answered to an
// inactive token, too. (/api/v2/me would do, but InfluxDB Cloud has none.)
func Accepted(ctx context.Context, c *connection.Connection, id string) error {
	_, err := c.Client.GetAuthorization(ctx, id)
	if IsAnswer(err) {
		return nil
	}
	return err
}

// IsAnswer reports whether err says that InfluxDB accepted the token and refused the rest.
func IsAnswer(err error) bool {
	return influx.IsNotFound(err) || influx.Is(err, influx.MissingPermission)
}

// TokenUser returns the user that owns a connection's token. Its name is empty where the token may not read it: then the
// refusal says whose it is, and that the token is good.
func TokenUser(ctx context.Context, c *connection.Connection) (influx.Named, error) {
	me, err := c.Client.Me(ctx)
	if influx.Is(err, influx.MissingPermission) {
		err = nil
	}
	return me, err
}
