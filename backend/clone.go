package backend

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// copyClone copies the permissions of the authorization that clone_from names, when it names another one than
// the stored role did: the source may be long gone when a token is minted.
func (b *backend) copyClone(ctx context.Context, req *logical.Request, role, stored *store.Role) error {
	switch {
	case role.CloneFrom == "":
		role.Cloned = nil
		return nil
	case stored != nil && stored.CloneFrom == role.CloneFrom:
		role.Cloned = stored.Cloned
		return nil
	case !permission.IsID(role.CloneFrom):
		return &permission.Problem{Field: "clone_from", Text: "must be an authorization's ID of 16 hexadecimal digits"}
	}
	e, err := b.current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return err
	}
	source, err := e.client.GetAuthorization(ctx, role.CloneFrom)
	if influx.Is(err, influx.Gone) || influx.Is(err, influx.NotFound) {
		return &permission.Problem{Field: "clone_from", Text: fmt.Sprintf("no authorization has the ID %s, or its owner or organization is gone", role.CloneFrom)}
	}
	if err != nil {
		return fmt.Errorf("clone_from: %w", err)
	}
	orgID, orgName, err := orgOf(ctx, e, role)
	if err != nil {
		return err
	}
	if source.OrgID == nil || *source.OrgID != orgID {
		return &permission.Problem{Field: "clone_from", Text: fmt.Sprintf("authorization %s belongs to another organization than %q; set org or org_id to its own", role.CloneFrom, orgName)}
	}
	role.Cloned = copied(source)
	if len(role.Cloned) == 0 { // InfluxDB makes no such tokens; an empty copy would be none
		return &permission.Problem{Field: "clone_from", Text: fmt.Sprintf("authorization %s grants nothing", role.CloneFrom)}
	}
	return nil
}

// copied are an authorization's permissions as the language of grants has them.
func copied(source *domain.Authorization) []permission.Permission {
	permissions := []permission.Permission{}
	if source.Permissions == nil {
		return permissions
	}
	value := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	for _, p := range *source.Permissions {
		permissions = append(permissions, permission.Permission{
			Action: string(p.Action),
			Type:   string(p.Resource.Type),
			ID:     value(p.Resource.Id),
			OrgID:  value(p.Resource.OrgID),
		})
	}
	return permissions
}
