package backend

import (
	"fmt"
	"strconv"
	"time"
)

// lease is what Vault keeps of a token for us: enough to delete it when the role, the configuration and the
// request are gone. The token itself is not in it. All values are strings: numbers come back as floats.
type lease struct {
	authorizationID string
	connection      string
	role            string
	// deadline is the stamp's: no renewal goes past it.
	deadline time.Time
}

// The keys in a lease's internal data. They are read from leases of every earlier version.
const (
	leaseAuthorization = "authorization_id"
	leaseConnection    = "connection"
	leaseRole          = "role"
	leaseDeadline      = "deadline"
)

func (l lease) encode() map[string]any {
	return map[string]any{
		leaseAuthorization: l.authorizationID,
		leaseConnection:    l.connection,
		leaseRole:          l.role,
		leaseDeadline:      strconv.FormatInt(l.deadline.Unix(), 10),
	}
}

func decodeLease(data map[string]any) (lease, error) {
	values := map[string]string{}
	for _, key := range []string{leaseAuthorization, leaseConnection, leaseRole, leaseDeadline} {
		value, ok := data[key].(string)
		if !ok || value == "" {
			return lease{}, fmt.Errorf("the lease's data has no %s; this is not a lease of this engine", key)
		}
		values[key] = value
	}
	seconds, err := strconv.ParseInt(values[leaseDeadline], 10, 64)
	if err != nil {
		return lease{}, fmt.Errorf("the lease's %s is not a time", leaseDeadline)
	}
	return lease{
		authorizationID: values[leaseAuthorization],
		connection:      values[leaseConnection],
		role:            values[leaseRole],
		deadline:        time.Unix(seconds, 0),
	}, nil
}
