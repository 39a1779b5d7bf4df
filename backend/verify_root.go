package backend

import (
	"context"
	"errors"

	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
)

// rootID checks the ID that was given for the root token's authorization, as far as the root token may read it;
// or finds it, where InfluxDB shows the values of tokens.
func (v *verification) rootID(ctx context.Context) error {
	id := v.e.AuthorizationID
	if id == "" {
		return v.findRootID(ctx)
	}
	root, err := v.e.client.GetAuthorization(ctx, id)
	switch {
	case influx.Is(err, influx.MissingPermission):
		return nil
	case influx.Is(err, influx.Gone), influx.Is(err, influx.NotFound):
		return badInput("authorization_id: no authorization has the ID %s%s", id, unchanged)
	case err != nil:
		return v.told(err)
	}
	othersValue := root.Token != nil && *root.Token != "" && v.valuesShown && *root.Token != v.e.Token
	othersUser := root.UserID != nil && v.found.RootUserID != "" && *root.UserID != v.found.RootUserID
	if othersValue || othersUser {
		return badInput("authorization_id: %s is another token than the one in token%s", id, unchanged)
	}
	return nil
}

// findRootID looks first at the ID that was found before: the list of all tokens may be long.
func (v *verification) findRootID(ctx context.Context) error {
	if !v.valuesShown {
		return nil
	}
	if before := v.e.Found; before != nil && before.RootAuthorizationID != "" {
		root, err := v.e.client.GetAuthorization(ctx, before.RootAuthorizationID)
		if err == nil && root.Token != nil && *root.Token == v.e.Token {
			v.found.RootAuthorizationID = before.RootAuthorizationID
			return nil
		}
	}
	found := errors.New("found")
	err := v.e.client.EachAuthorization(ctx, func(a domain.Authorization) error {
		if a.Id == nil || a.Token == nil || *a.Token != v.e.Token {
			return nil
		}
		v.found.RootAuthorizationID = *a.Id
		return found
	})
	if err != nil && !errors.Is(err, found) {
		return v.told(err)
	}
	return nil
}
