package backend

import (
	"context"
	"errors"
	"fmt"

	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// probeRole stands in the stamp of tokens that are made to be deleted at once. No role can have the name.
const probeRole = "-probe"

// probe makes a token that can't be used. Should its deletion fail, its deadline is a minute away.
func (b *backend) probe(ctx context.Context, e *endpoint, orgID, userID string) (*domain.Authorization, error) {
	return b.create(ctx, e, order{
		role:        probeRole,
		human:       "Made by Vault to try its root token",
		permissions: []permission.Permission{leastGrant(orgID)},
		orgID:       orgID,
		userID:      userID,
		deadline:    b.now().Add(deadlineGrace),
		inactive:    true,
	})
}

// leastGrant is what every root token must hold, and so can grant.
func leastGrant(orgID string) permission.Permission {
	return permission.Permission{Action: permission.Write, Type: "authorizations", OrgID: orgID}
}

// errBlind says that the root token does not see all tokens.
type errBlind struct{ org string }

func (e *errBlind) Error() string {
	return fmt.Sprintf("the root token is not shown the list of tokens: it lacks read:orgs/%s/authorizations or read:users/<owner>; see docs/root-token.md", e.org)
}

// survey hands every token of an InfluxDB to visit, and proves that the list is a whole one: InfluxDB answers a
// token that may not read authorizations with 200 and an empty list, so one that can't be used is made first,
// and has to be there.
func (b *backend) survey(ctx context.Context, e *endpoint, visit func(domain.Authorization)) error {
	orgID, _, err := orgOf(ctx, e, &store.Role{})
	if err != nil {
		return err
	}
	who, err := ownerOf(ctx, e, &store.Role{})
	if err != nil {
		return err
	}
	probe, err := b.probe(ctx, e, orgID, who.id)
	if probe == nil {
		return err
	}
	seen := false
	err = e.client.EachAuthorization(ctx, func(a domain.Authorization) error {
		if a.Id != nil && *a.Id == *probe.Id {
			seen = true
			return nil
		}
		visit(a)
		return nil
	})
	if err = errors.Join(err, destroy(context.WithoutCancel(ctx), e, *probe.Id)); err == nil && !seen {
		err = &errBlind{orgID}
	}
	return err
}
