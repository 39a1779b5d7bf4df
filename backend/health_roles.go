package backend

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// maxExaminedRoles bounds how many roles one check compares.
const maxExaminedRoles = 1000

// examineRoles compares what each role grants with what the root token holds, where that can be read. No token is made
// for it: role=<name> does that for one role, and finds more.
func (b *backend) examineRoles(ctx context.Context, s logical.Storage, h *health, config *store.Connection) error {
	id := rootID(config)
	if id == "" {
		return nil
	}
	e, err := b.endpoints.open(config)
	if err != nil {
		return err
	}
	root, err := e.client.GetAuthorization(ctx, id)
	if err != nil { // it may not read itself, which is no fault; what else is wrong was said before
		return nil //nolint:nilerr // see above
	}
	held := copied(root)
	for _, of := range []struct {
		kind string
		list func(context.Context, logical.Storage) ([]string, error)
		get  func(context.Context, logical.Storage, string) (*store.Role, error)
	}{
		{"role", store.ListRoles, store.GetRole},
		{"static role", store.ListStaticRoles, roleOfStatic},
	} {
		names, err := of.list(ctx, s)
		if err != nil {
			return err
		}
		for _, name := range names[:min(len(names), maxExaminedRoles)] {
			role, err := of.get(ctx, s, name)
			if err != nil {
				return err
			}
			if role == nil || templated(role) || len(h.problems) >= maxProblems {
				continue
			}
			if err := lacking(ctx, e, role, held); err != nil {
				h.problem("%s %q: %s", of.kind, name, strings.ReplaceAll(err.Error(), "\n", "; "))
			}
		}
	}
	return nil
}

// roleOfStatic is what a static role grants; nil when there is none, or its deletion is under way.
func roleOfStatic(ctx context.Context, s logical.Storage, name string) (*store.Role, error) {
	static, err := staticRole(ctx, s, name)
	if err != nil || static == nil {
		return nil, err
	}
	return &static.Role, nil
}

// examineStatics tells of the static roles whose last rotation was skipped, or failed as far as this process knows.
func (b *backend) examineStatics(h *health) {
	skips := b.statics.skips()
	for _, name := range slices.Sorted(maps.Keys(skips)) {
		if len(h.problems) >= maxProblems {
			return
		}
		h.problem("static role %q: the rotation that was due at %s was skipped (%s), and the old token stays; rotate-role/%s makes one now", name, rfc3339(skips[name].Due), strings.ReplaceAll(skips[name].Reason, "\n", "; "), name)
	}
	failures := b.statics.failures()
	for _, name := range slices.Sorted(maps.Keys(failures)) {
		if len(h.problems) >= maxProblems {
			return
		}
		h.problem("static role %q: the last rotation failed, and the old token stays; it is tried again by itself: %s", name, strings.ReplaceAll(failures[name], "\n", "; "))
	}
}

// lacking says what of a role can't be granted. A look-up that fails says nothing of the role.
func lacking(ctx context.Context, e *endpoint, role *store.Role, held []permission.Permission) error {
	scope, _, err := scopeOf(ctx, e, role)
	var permissions []permission.Permission
	if err == nil {
		permissions, err = permission.Resolve(ctx, role.Definition(), scope, e.names)
	}
	var failed *influx.Error
	switch {
	case errors.As(err, &failed) && failed.Kind != influx.MissingPermission:
		return nil
	case err != nil:
		return err
	}
	var problems permission.Problems
	for _, p := range permission.Missing(held, permissions) {
		problems.Add(p.Place.String(), "the root token does not hold %s; see docs/root-token.md", p.Words(scope))
	}
	return problems.Err()
}
