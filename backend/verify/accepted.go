package verify

import (
	"context"
	"errors"
	"strings"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
)

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

// TokenUser returns the user that owns a connection's token. Its name is empty where the token may not read it: then
// "read:users/<id> is unauthorized" says whose it is, and that the token is good.
func TokenUser(ctx context.Context, c *connection.Connection) (influx.User, error) {
	me, err := c.Client.Me(ctx)
	var failed *influx.Error
	if influx.Is(err, influx.MissingPermission) && errors.As(err, &failed) {
		me, err = influx.User{}, nil
		if id := strings.TrimPrefix(failed.Permission, "read:users/"); permission.IsID(id) {
			me.ID = id
		}
	}
	return me, err
}
