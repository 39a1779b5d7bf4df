package health

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// checkRole tries one role by a dry run. What it warns of was accepted when the role was written.
func (h *Health) checkRole(ctx context.Context, s logical.Storage, mountPath string, r *Report, config *store.Connection, name string) error {
	if role.CheckName(name) != nil { // no role can have it
		return role.NoRole(name, mountPath)
	}
	stored, err := store.Roles.Get(ctx, s, name)
	if store.IsUnreadable(err) { // which is among the problems
		return nil
	}
	if err != nil {
		return err
	}
	if stored == nil {
		return role.NoRole(name, mountPath)
	}
	c, err := h.pool.Uncached(config)
	if err != nil {
		return err
	}
	if _, err := h.roles.DryRun(ctx, c, stored); err != nil {
		r.addLines(err.Error())
	}
	return nil
}

// MaxNames bounds how many roles, and how many static roles, one report names or compares.
const MaxNames = 1000

// listRoles notes how many tokens the roles have, and when those of the static roles are rotated. All but the names of the
// roles is in memory.
func (h *Health) listRoles(ctx context.Context, s logical.Storage, r *Report) error {
	if err := h.statics.Load(ctx, s); err != nil {
		return err
	}
	r.NextRotations = firstNames(h.statics.NextRotations())
	live := h.counter.Live(h.mount.Now())
	if live == nil {
		return nil
	}
	names, err := store.Roles.List(ctx, s)
	for _, name := range names {
		live[name] += 0 // none is a number, too
	}
	r.LiveTokens = firstNames(live)
	return err
}

// firstNames leaves the first MaxNames entries.
func firstNames[T any](byName map[string]T) map[string]T {
	names := slices.Sorted(maps.Keys(byName))
	for _, name := range names[min(len(names), MaxNames):] {
		delete(byName, name)
	}
	return byName
}

// checkRoles compares what each role grants with what the root token holds, where that can be read. It creates no token:
// checkRole does, for one role, and finds more.
func (h *Health) checkRoles(ctx context.Context, s logical.Storage, r *Report, config *store.Connection) error {
	id := config.RootID()
	if id == "" {
		return nil
	}
	c, err := h.pool.Open(config)
	if err != nil {
		return err
	}
	rootToken, err := c.Client.GetAuthorization(ctx, id)
	if err != nil { // it may not read itself, which is no fault; what else is wrong was found before
		return nil //nolint:nilerr // see above
	}
	held := token.Permissions(rootToken)
	check := func(kind, name string, stored *store.Role) {
		if role.HasTemplates(stored) || r.full() {
			return
		}
		if err := role.MissingGrants(ctx, c, stored, held); err != nil {
			r.add("%s %q: %s", kind, name, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if err := eachOf(ctx, s, store.Roles.List, store.Roles.Get, func(name string, stored *store.Role) {
		check("role", name, stored)
	}); err != nil {
		return err
	}
	return eachOf(ctx, s, store.StaticRoles.List, h.statics.Get, func(name string, stored *store.StaticRole) {
		check("static role", name, &stored.Role)
	})
}

// eachOf visits the first MaxNames entries.
func eachOf[T any](ctx context.Context, s logical.Storage,
	list func(context.Context, logical.Storage) ([]string, error), get func(context.Context, logical.Storage, string) (*T, error),
	visit func(name string, entry *T),
) error {
	names, err := list(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range names[:min(len(names), MaxNames)] {
		entry, err := get(ctx, s, name)
		if err != nil && !store.IsUnreadable(err) {
			return err
		}
		if entry != nil {
			visit(name, entry)
		}
	}
	return nil
}
