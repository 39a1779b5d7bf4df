package token

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
)

// Owned returns the stamp of a token that is this mount's.
func (i *Issuer) Owned(a *influx.Authorization) (Stamp, bool) {
	st, ok := ParseStamp(a.Description)
	return st, ok && st.Mount == i.mount.UUID
}

// LiveLease returns the stamp of a token that is this mount's, belongs to a lease and is not past its deadline.
func (i *Issuer) LiveLease(a *influx.Authorization, now time.Time) (Stamp, bool) {
	st, owned := i.Owned(a)
	return st, owned && st.Kind == Lease && st.Role != ProbeRole && st.Deadline.After(now)
}

// IncompleteListError says that the root token is not shown all tokens of a location.
type IncompleteListError struct{ At Location }

// Incomplete returns an IncompleteListError that names the root token's own user, where it is known.
func Incomplete(c *connection.Connection, at Location) error {
	at.UserID = cmp.Or(at.UserID, c.RootUserID())
	return &IncompleteListError{at}
}

// Error names the permissions that the root token lacks.
func (e *IncompleteListError) Error() string {
	return fmt.Sprintf("the root token is not shown the list of tokens: it lacks read:orgs/%s/authorizations or read:users/%s; see docs/root-token.md", e.At.OrgID, cmp.Or(e.At.UserID, "<owner>"))
}

// ListVerified hands every token of an InfluxDB to visit, and returns of which locations the list is complete: InfluxDB
// answers a token that may not read authorizations with 200 and leaves them out, so a probe is created in each location
// first, and has to be in the list. A location where the root token may not create one is not complete; in the first, the
// default one, that is an error. What visit is handed is valid only during the call.
func (i *Issuer) ListVerified(ctx context.Context, c *connection.Connection, at []Location, visit func(*influx.Authorization)) (complete map[Location]bool, err error) {
	probes := map[string]Location{}
	defer func() {
		for id := range probes {
			err = errors.Join(err, c.Delete(context.WithoutCancel(ctx), id))
		}
	}()
	complete = map[Location]bool{}
	for n, location := range at {
		probe, probeErr := i.Probe(ctx, c, location, MinimalGrant(location.OrgID))
		if probe != nil {
			probes[probe.ID] = location
		}
		switch {
		case probeErr == nil:
		case n > 0 && influx.Is(probeErr, influx.Invalid):
			// The organization or the owner is gone, and with them all that a token there could do.
			complete[location] = true
		case n == 0 || !Refused(probeErr):
			return nil, probeErr
		}
	}
	err = c.Client.EachAuthorization(ctx, func(a *influx.Authorization) error {
		if location, isProbe := probes[a.ID]; isProbe {
			complete[location] = true
		} else if a.ID != "" {
			visit(a)
		}
		return nil
	})
	return complete, err
}

// ListDefault is ListVerified of the default location, whose list has to be complete.
func (i *Issuer) ListDefault(ctx context.Context, c *connection.Connection, visit func(*influx.Authorization)) error {
	at, err := DefaultLocation(ctx, c)
	if err != nil {
		return err
	}
	complete, err := i.ListVerified(ctx, c, []Location{at}, visit)
	if err == nil && !complete[at] {
		err = Incomplete(c, at)
	}
	return err
}
