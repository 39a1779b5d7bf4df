package backend

import (
	"context"
	"fmt"
	"strings"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// permissions are what the token is to hold: all that the role grants, or just what the request names of it.
func (d demand) permissions(ctx context.Context, scope permission.Scope, directory permission.Directory) ([]permission.Permission, error) {
	granted, err := permission.Resolve(ctx, d.role.Definition(), scope, directory)
	switch {
	case d.wish.Empty():
		return granted, err
	case err != nil: // the fields that it names are the role's, and not the request's
		return nil, fmt.Errorf("role %q: %w", d.name, err)
	}
	scope.Within = granted
	wanted, err := permission.Resolve(ctx, d.wish, scope, directory)
	if err != nil {
		return nil, err
	}
	missing := permission.Missing(granted, wanted)
	if len(missing) == 0 {
		return wanted, nil
	}
	problems := make([]string, len(missing))
	for i, p := range missing {
		problems[i] = fmt.Sprintf("%s: role %q does not cover %s", p.Place, d.name, p.Words(scope))
	}
	return nil, badInput("%s", strings.Join(problems, "\n"))
}

// wording is what the permissions are called in the token's description.
func (d demand) wording(permissions []permission.Permission) string {
	if !d.wish.Empty() {
		return permission.Describe(permission.Custom, permissions)
	}
	return permission.Describe(d.role.TokenType, permissions)
}
