package backend

import (
	"errors"
	"fmt"
	"time"

	"vault-plugin-secrets-influxdb/backend/store"
)

// span is how long a lease lives at first, and at most with all renewals.
type span struct{ ttl, max time.Duration }

// spanOf gives a role's lease times within the mount's. Both are always above zero: over the plugin
// connection a failed look-up of the mount's limits reads as 0, which Vault would take for 768 hours.
func (b *backend) spanOf(role *store.Role) (span, error) {
	s := span{ttl: time.Duration(role.TTL) * time.Second, max: b.System().MaxLeaseTTL()}
	if s.max <= 0 {
		return s, errNoLimits
	}
	if limit := time.Duration(role.MaxTTL) * time.Second; limit > 0 {
		s.max = min(s.max, limit)
	}
	if s.ttl == 0 {
		if s.ttl = b.System().DefaultLeaseTTL(); s.ttl <= 0 {
			return s, errNoLimits
		}
	}
	s.ttl = min(s.ttl, s.max)
	return s, nil
}

var errNoLimits = errors.New("Vault did not tell the mount's lease times; try again")

// endingBy is the span of a lease that starts at one moment and has to end by another.
func (s span) endingBy(end, start time.Time) (span, bool) {
	s.max = min(s.max, end.Sub(start))
	s.ttl = min(s.ttl, s.max)
	return s, s.max > 0
}

// asking is the span with the TTL that a request asks for. Too long a one is cut to the maximum, and said so.
func (s span) asking(ttl time.Duration) (span, []string) {
	switch {
	case ttl <= 0:
		return s, nil
	case ttl > s.max:
		s.ttl = s.max
		return s, []string{fmt.Sprintf("ttl: %s is longer than allowed; the lease has %s", ttl, s.max)}
	}
	s.ttl = ttl
	return s, nil
}
