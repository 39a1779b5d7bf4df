package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// tryRole finds everything in a role that would fail a mint: names that do not exist, an owner that is switched
// off, permissions that the root token does not hold. Names that depend on the caller are left out.
func (b *backend) tryRole(ctx context.Context, e *endpoint, role *store.Role) ([]string, error) {
	anyOwner := isTemplate(role.User)
	if anyOwner {
		general := *role
		general.User = ""
		role = &general
	}
	scope, who, err := scopeOf(ctx, e, role)
	if err == nil {
		_, err = checkOwner(ctx, e, who)
	}
	if err != nil && !isProblem(err) {
		return nil, err
	}
	problems := permission.Problems{err}
	grants, _ := role.Definition().Grants() // what is malformed comes with what is resolved
	types, err := e.names.ResourceTypes(ctx)
	if err != nil {
		return nil, err
	}
	problems = append(problems, permission.CheckTypes(grants, types)...)
	if scope.OrgID == "" { // there is nowhere to look
		return nil, problems.Err()
	}
	permissions, err := permission.Resolve(ctx, role.Definition(), scope, &suggesting{directory: e.names})
	if err != nil && !isProblem(err) {
		return nil, err
	}
	problems = append(problems, err)
	if problems[0] != nil { // for an owner that is not there InfluxDB refuses everything
		return nil, problems.Err()
	}
	permissions = slices.DeleteFunc(permissions, func(p permission.Permission) bool {
		return isTemplate(p.Name) || !slices.Contains(types, p.Type)
	})
	if len(permissions) == 0 { // every name depends on the caller: the owner is tried with the least there is
		permissions = append(permissions, leastGrant(scope.OrgID))
	}
	if err := b.rehearse(ctx, e, scope, who.id, permissions); err != nil && !isProblem(err) {
		return nil, errors.Join(problems.Err(), err)
	} else {
		problems = append(problems, err)
	}
	if anyOwner {
		return nil, problems.Err()
	}
	return ownRights(e, role, who), problems.Err()
}

// checkOwner refuses an owner that is switched off: InfluxDB makes its tokens, and refuses each use of them. The user
// that it answers is empty where the root token may not read it.
func checkOwner(ctx context.Context, e *endpoint, who owner) (influx.User, error) {
	if who.id == "" { // the root token's own user: else the root token would be refused
		return influx.User{}, nil
	}
	user, err := e.client.UserByID(ctx, who.id)
	switch {
	case influx.Is(err, influx.MissingPermission): // the token may make tokens for a user that it can't read
		return influx.User{}, nil
	case err != nil:
		return influx.User{}, naming(err, "user_id", "no user has the ID %s", who.id)
	case user.Status == "inactive":
		return influx.User{}, &permission.Problem{Field: "user", Text: fmt.Sprintf("%q is inactive: its tokens would be refused", user.Name)}
	}
	return user, nil
}

// ownRights warns where a privileged token would run things later with the root token's own user's rights.
func ownRights(e *endpoint, role *store.Role, who owner) []string {
	root := ""
	if e.Found != nil {
		root = e.Found.RootUserID
	}
	if len(role.Definition().Privileged("")) == 0 || who.id != "" && who.id != root {
		return nil
	}
	return []string{"user: the owner of this role's privileged tokens is the root token's own user; what they leave behind runs with its rights. Set user to one that is made for it"}
}
