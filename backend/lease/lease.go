// Package lease is what a lease says of its token: the data that Vault stores with it, how long it lives, and how
// many of a role live at once.
package lease

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
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
	var d Data
	var deadline string
	for _, field := range []struct {
		key   string
		value *string
	}{{authorizationKey, &d.AuthorizationID}, {connectionKey, &d.Connection}, {roleKey, &d.Role}, {deadlineKey, &deadline}} {
		*field.value, _ = internal[field.key].(string)
		if *field.value == "" {
			return Data{}, fmt.Errorf("the lease's data has no %s; this is not a lease of this engine", field.key)
		}
	}
	seconds, err := strconv.ParseInt(deadline, 10, 64)
	if err != nil {
		return Data{}, fmt.Errorf("the lease's %s is not a time", deadlineKey)
	}
	d.Deadline = time.Unix(seconds, 0)
	return d, nil
}

// TTLs are how long a lease lives at first, and at most with all renewals.
type TTLs struct{ Initial, Max time.Duration }

// Limits returns a role's TTLs within the mount's. Both are always above zero: over the plugin connection a failed
// look-up of the mount's limits reads as 0, which Vault would take for 768 hours.
func Limits(r *store.Role, sys logical.SystemView) (TTLs, error) {
	t := TTLs{Initial: time.Duration(r.TTL) * time.Second, Max: sys.MaxLeaseTTL()}
	if t.Max <= 0 {
		return t, ErrNoMountLimits
	}
	if limit := time.Duration(r.MaxTTL) * time.Second; limit > 0 {
		t.Max = min(t.Max, limit)
	}
	if t.Initial == 0 {
		if t.Initial = sys.DefaultLeaseTTL(); t.Initial <= 0 {
			return t, ErrNoMountLimits
		}
	}
	t.Initial = min(t.Initial, t.Max)
	return t, nil
}

// ErrNoMountLimits says that Vault did not answer with the mount's lease times.
var ErrNoMountLimits = errors.New("Vault did not tell the mount's lease times; try again")

// EndBy returns the TTLs of a lease that starts at one moment and has to end by another; false when none is left.
func (t TTLs) EndBy(end, start time.Time) (TTLs, bool) {
	t.Max = min(t.Max, end.Sub(start))
	t.Initial = min(t.Initial, t.Max)
	return t, t.Max > 0
}

// WithRequested returns the TTLs with the initial one that a request asks for; 0 asks for none. One that is too long
// is cut to the maximum, with a warning.
func (t TTLs) WithRequested(ttl time.Duration) (TTLs, []string) {
	switch {
	case ttl <= 0:
		return t, nil
	case ttl > t.Max:
		t.Initial = t.Max
		return t, []string{fmt.Sprintf("ttl: %s is longer than allowed; the lease has %s", ttl, t.Max)}
	}
	t.Initial = ttl
	return t, nil
}
