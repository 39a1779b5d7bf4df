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

// canSee proves that the list of tokens is shown to the root token: InfluxDB answers a token that may not
// read authorizations with 200 and an empty list.
func (b *backend) canSee(ctx context.Context, e *endpoint) error {
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
		seen = seen || a.Id != nil && *a.Id == *probe.Id
		return nil
	})
	if err = errors.Join(err, destroy(context.WithoutCancel(ctx), e, *probe.Id)); err != nil {
		return err
	}
	if !seen {
		return fmt.Errorf("it lacks read:orgs/%s/authorizations or read:users/<owner>", orgID)
	}
	return nil
}
