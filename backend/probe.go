package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// probeRole stands in the stamp of tokens that are made to be deleted at once. No role can have the name.
const probeRole = "-probe"

// probe makes a token that can't be used. Should its deletion fail, its deadline is a minute away.
func (b *backend) probe(ctx context.Context, e *endpoint, at place, permissions ...permission.Permission) (*domain.Authorization, error) {
	return b.create(ctx, e, order{
		role:        probeRole,
		human:       "Made by Vault to try its root token",
		permissions: permissions,
		orgID:       at.orgID,
		userID:      at.userID,
		deadline:    b.now().Add(deadlineGrace),
		inactive:    true,
	})
}

// leastGrant is what every root token must hold, and so can grant.
func leastGrant(orgID string) permission.Permission {
	return permission.Permission{Action: permission.Write, Type: "authorizations", OrgID: orgID}
}

// errBlind says that the root token does not see all tokens.
type errBlind struct{ place place }

// blindAt names the root token's own user, where it is known.
func blindAt(e *endpoint, at place) error {
	if at.userID == "" && e.Found != nil {
		at.userID = e.Found.RootUserID
	}
	return &errBlind{at}
}

func (e *errBlind) Error() string {
	return fmt.Sprintf("the root token is not shown the list of tokens: it lacks read:orgs/%s/authorizations or read:users/%s; see docs/root-token.md", e.place.orgID, cmp.Or(e.place.userID, "<owner>"))
}

// place is where a token is: InfluxDB shows it to a root token that may read the authorizations of the
// organization and the owner. An empty userID is the root token's own user.
type place struct{ orgID, userID string }

// usualPlace is where a connection's tokens are unless a role says otherwise.
func usualPlace(ctx context.Context, e *endpoint) (place, error) {
	orgID, _, err := orgOf(ctx, e, &store.Role{})
	if err != nil {
		return place{}, err
	}
	who, err := ownerOf(ctx, e, &store.Role{})
	return place{orgID, who.id}, err
}

// survey hands every token of an InfluxDB to visit, and says in which of some places it sees all there is:
// InfluxDB answers a token that may not read authorizations with 200 and leaves them out, so one that can't be
// used is made in each place first, and has to be in the list. A place where the root token may not make one is
// not seen; in the first, the usual one, that is an error.
func (b *backend) survey(ctx context.Context, e *endpoint, places []place, visit func(domain.Authorization)) (sees map[place]bool, err error) {
	probes := map[string]place{}
	defer func() {
		for id := range probes {
			err = errors.Join(err, destroy(context.WithoutCancel(ctx), e, id))
		}
	}()
	sees = map[place]bool{}
	for i, at := range places {
		probe, probeErr := b.probe(ctx, e, at, leastGrant(at.orgID))
		if probe != nil {
			probes[*probe.Id] = at
		}
		switch {
		case probeErr == nil:
		case i > 0 && influx.Is(probeErr, influx.Invalid):
			// The organization or the owner is gone, and with them all that a token there could do.
			sees[at] = true
		case i == 0 || !refused(probeErr):
			return nil, probeErr
		}
	}
	err = e.client.EachAuthorization(ctx, func(a domain.Authorization) error {
		if a.Id == nil {
			return nil
		}
		if at, isProbe := probes[*a.Id]; isProbe {
			sees[at] = true
			return nil
		}
		visit(a)
		return nil
	})
	return sees, err
}

// surveyUsual is a survey that has to see the usual place.
func (b *backend) surveyUsual(ctx context.Context, e *endpoint, visit func(domain.Authorization)) error {
	usual, err := usualPlace(ctx, e)
	if err != nil {
		return err
	}
	sees, err := b.survey(ctx, e, []place{usual}, visit)
	if err == nil && !sees[usual] {
		err = blindAt(e, usual)
	}
	return err
}

// refused reports whether InfluxDB itself said no, rather than being out of reach.
func refused(err error) bool {
	var failed *influx.Error
	return errors.As(err, &failed) && failed.NotApplied() && failed.Status != 0
}
