// Package lease is what a lease says of its token: the data that Vault stores with it, how long it lives, and how
// many of a role live at once.
package lease

import (
	"fmt"
	"strconv"
	"time"
)

// Data is a lease's internal data: enough to delete its token when the role, the configuration and the request are
// gone. The token itself is not in it.
type Data struct {
	AuthorizationID string
	// Connection is the ID of the connection that issued the token.
	Connection string
	Role       string
	// Deadline is the one in the token's stamp: no renewal goes past it.
	Deadline time.Time
}

// The keys in a lease's internal data. They are read from leases of every earlier version.
const (
	authorizationKey = "authorization_id"
	connectionKey    = "connection"
	roleKey          = "role"
	deadlineKey      = "deadline"
)

// InternalData encodes d for Vault. All values are strings: numbers come back as floats.
func (d Data) InternalData() map[string]any {
	return map[string]any{
		authorizationKey: d.AuthorizationID,
		connectionKey:    d.Connection,
		roleKey:          d.Role,
		deadlineKey:      strconv.FormatInt(d.Deadline.Unix(), 10),
	}
}

// ParseData decodes what InternalData encoded.
func ParseData(internal map[string]any) (Data, error) {
	values := map[string]string{}
	for _, key := range []string{authorizationKey, connectionKey, roleKey, deadlineKey} {
		value, ok := internal[key].(string)
		if !ok || value == "" {
			return Data{}, fmt.Errorf("the lease's data has no %s; this is not a lease of this engine", key)
		}
		values[key] = value
	}
	seconds, err := strconv.ParseInt(values[deadlineKey], 10, 64)
	if err != nil {
		return Data{}, fmt.Errorf("the lease's %s is not a time", deadlineKey)
	}
	return Data{
		AuthorizationID: values[authorizationKey],
		Connection:      values[connectionKey],
		Role:            values[roleKey],
		Deadline:        time.Unix(seconds, 0),
	}, nil
}
