package backend

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// owner says whose a token is to be, as a role or a configuration names it.
type owner struct{ name, id string }

// scopeOf finds the organization that a role's tokens belong to and the user that owns them. The names that
// a role gives are looked up; what the configuration gives was looked up when it was verified. With a problem of
// the owner alone the organization is answered all the same.
func scopeOf(ctx context.Context, e *endpoint, role *store.Role) (permission.Scope, owner, error) {
	var (
		scope  permission.Scope
		orgErr error
	)
	if scope.OrgID, scope.OrgName, orgErr = orgOf(ctx, e, role); orgErr != nil {
		scope = permission.Scope{}
		if !isProblem(orgErr) {
			return scope, owner{}, orgErr
		}
	}
	who, err := ownerOf(ctx, e, role)
	if err = errors.Join(orgErr, err); err != nil {
		return scope, owner{}, err
	}
	scope.OwnerID, scope.Privileged = who.id, role.AllowPrivileged
	if scope.OwnerID == "" && e.Found != nil {
		scope.OwnerID = e.Found.RootUserID
	}
	return scope, who, nil
}

// orgOf is the organization that a role or the configuration names. Its ID is as InfluxDB writes it, in small
// letters, however it was given: it is compared with answers, and what is remembered is found by it.
func orgOf(ctx context.Context, e *endpoint, role *store.Role) (id, name string, err error) {
	switch {
	case role.OrgID != "":
		name, err = e.names.OrgName(ctx, role.OrgID)
		return strings.ToLower(role.OrgID), name, naming(err, "org_id", "no organization has the ID %s", role.OrgID)
	case role.Org != "":
		id, err = e.names.OrgID(ctx, role.Org)
		return id, role.Org, naming(err, "org", "no organization %q that the root token can see", role.Org)
	case e.Found != nil:
		return e.Found.DefaultOrgID, e.Found.DefaultOrg, nil
	case e.OrgID != "":
		name, err = e.names.OrgName(ctx, e.OrgID)
		return strings.ToLower(e.OrgID), name, naming(err, "org_id", "no organization has the ID %s, which config names", e.OrgID)
	case e.Org != "":
		id, err = e.names.OrgID(ctx, e.Org)
		return id, e.Org, naming(err, "org", "no organization %q, which config names, that the root token can see", e.Org)
	}
	return "", "", &permission.Problem{Field: "org", Text: "not given, and config has no default; set org or org_id"}
}

// namedOrg is the name by which orgOf looked the organization up; "" where its ID is known otherwise.
func namedOrg(e *endpoint, role *store.Role) string {
	if role.Org != "" || role.OrgID != "" || e.Found != nil || e.OrgID != "" {
		return role.Org
	}
	return e.Org
}

// staleOrg says what it means that something could not be found in an organization: one that was looked up by name
// is asked for again, because it may have been made anew.
func staleOrg(ctx context.Context, e *endpoint, role *store.Role, scope permission.Scope, err error) error {
	org := namedOrg(e, role)
	if org == "" || !isProblem(err) && !influx.Is(err, influx.MissingPermission) { // an outage says nothing of names
		return err
	}
	e.names.forget(scope.OrgID, org, "", nil)
	if id, _ := e.names.OrgID(ctx, org); id != scope.OrgID {
		return fmt.Errorf("org %q: %w", org, errStale)
	}
	return err
}

// ownerOf is empty where neither the role nor the configuration names a user: InfluxDB then takes the root
// token's.
func ownerOf(ctx context.Context, e *endpoint, role *store.Role) (owner, error) {
	switch {
	case role.UserID != "":
		return owner{id: strings.ToLower(role.UserID)}, nil
	case role.User != "":
		id, err := e.names.UserID(ctx, role.User)
		return owner{role.User, id}, naming(err, "user", "no user %q that the root token can see", role.User)
	case e.UserID != "":
		return owner{id: strings.ToLower(e.UserID)}, nil
	case e.User != "":
		id, err := e.names.UserID(ctx, e.User)
		return owner{e.User, id}, naming(err, "user", "no user %q, which config names, that the root token can see", e.User)
	}
	return owner{}, nil
}

// isProblem reports whether an error is what is wrong with the fields, and not a look-up that failed.
func isProblem(err error) bool {
	var problem *permission.Problem
	return errors.As(err, &problem)
}

// naming turns "not found" into a problem of the field that named it. A look-up that the root token may
// not make is told with the field; other errors are not the field's.
func naming(err error, field, format string, args ...any) error {
	if influx.Is(err, influx.NotFound) || influx.Is(err, influx.Invalid) {
		return &permission.Problem{Field: field, Text: fmt.Sprintf(format, args...)}
	}
	if influx.Is(err, influx.MissingPermission) {
		return fmt.Errorf("%s: %w", field, err)
	}
	return err
}
