package role

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// CopyClone copies the permissions of the authorization that clone_from names, when it names another one than the stored
// role did: the source may be long gone when a token is issued.
func (r *Roles) CopyClone(ctx context.Context, s logical.Storage, mountPath string, role, stored *store.Role) error {
	switch {
	case role.CloneFrom == "":
		role.Cloned = nil
		return nil
	case stored != nil && stored.CloneFrom == role.CloneFrom:
		role.Cloned = stored.Cloned
		return nil
	case !permission.IsID(role.CloneFrom):
		return problem.InField("clone_from", "must be an authorization's ID of 16 hexadecimal digits")
	}
	c, err := r.pool.Current(ctx, s, mountPath)
	if err != nil {
		return err
	}
	source, err := c.Client.GetAuthorization(ctx, role.CloneFrom)
	if influx.IsNotFound(err) {
		return problem.InField("clone_from", "no authorization has the ID %s, or its owner or organization is gone", role.CloneFrom)
	}
	if err != nil {
		return fmt.Errorf("clone_from: %w", err)
	}
	orgID, orgName, err := c.OrgOf(ctx, role)
	if err != nil {
		return err
	}
	if source.OrgID != orgID {
		return problem.InField("clone_from", "authorization %s belongs to another organization than %q; set org or org_id to its own", role.CloneFrom, orgName)
	}
	role.Cloned = token.Permissions(source)
	if len(role.Cloned) == 0 { // InfluxDB creates no such tokens; an empty copy would be none
		return problem.InField("clone_from", "authorization %s grants nothing", role.CloneFrom)
	}
	return nil
}
