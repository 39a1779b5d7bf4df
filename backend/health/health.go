// Package health says what is wrong with a mount, and what to do about it.
package health

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/role"
	"vault-plugin-secrets-influxdb/backend/root"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// MaxProblems bounds how many problems one report holds.
const MaxProblems = 100

// rootMargin is how long before its end a root token is to be replaced.
const rootMargin = 30 * 24 * time.Hour

// Health checks a mount.
type Health struct {
	mount    *mount.Mount
	pool     *connection.Pool
	verifier *verify.Verifier
	revoker  *revoke.Revoker
	tidier   *tidy.Tidier
	root     *root.Root
	statics  *static.Roles
	roles    *role.Roles
	counter  *lease.Counter
}

// New returns the mount's Health.
func New(m *mount.Mount, pool *connection.Pool, verifier *verify.Verifier, revoker *revoke.Revoker, tidier *tidy.Tidier, root *root.Root, statics *static.Roles, roles *role.Roles, counter *lease.Counter) *Health {
	return &Health{mount: m, pool: pool, verifier: verifier, revoker: revoker, tidier: tidier, root: root, statics: statics, roles: roles, counter: counter}
}

// Report is the state of a mount.
type Report struct {
	// Problems are at most MaxProblems sentences.
	Problems []string
	Server   influx.Server
	// Product is which InfluxDB answers; empty where none does.
	Product permission.Product
	// Latency is how long the server took to answer a ping.
	Latency time.Duration
	// ValuesHidden says that the server hides the values of tokens.
	ValuesHidden bool
	// Pending counts the pending deletions and the creations of unknown outcome.
	Pending                     int
	OldestPending, NextRotation time.Time
	// Orphans counts the tokens that were deleted since the start because no lease held them.
	Orphans int64
	// LiveTokens are how many each role has, once they are counted, and NextRotations when the token of each static role
	// is rotated by itself, zero for never. Each has the first MaxNames names.
	LiveTokens    map[string]int
	NextRotations map[string]time.Time
}

func (r *Report) add(format string, args ...any) {
	if !r.full() {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// addLines adds each line of some texts as a problem.
func (r *Report) addLines(texts ...string) {
	for _, text := range texts {
		for line := range strings.SplitSeq(text, "\n") {
			r.add("%s", line)
		}
	}
}

func (r *Report) full() bool { return len(r.Problems) >= MaxProblems }

// Check looks at the connection, at what is pending, at rotations, and at one role if one is named, else at all. Its
// errors are Vault's storage being out of order; whatever is wrong with InfluxDB is a problem.
func (h *Health) Check(ctx context.Context, s logical.Storage, mountPath, roleName string) (*Report, error) {
	r := &Report{Orphans: h.revoker.Orphans()}
	if err := h.revoker.Load(ctx, s); err != nil {
		return nil, err
	}
	if err := h.checkStorage(ctx, s, mountPath, r); err != nil {
		return nil, err
	}
	h.checkPending(r)
	if err := h.listRoles(ctx, s, r); err != nil {
		return nil, err
	}
	config, err := store.Config.Get(ctx, s)
	unreadable := store.IsUnreadable(err)
	if err != nil && !unreadable {
		return nil, err
	}
	rotation, err := h.root.Problems(ctx, s, config)
	if err != nil {
		return nil, err
	}
	r.addLines(h.tidier.Problems()...)
	r.addLines(rotation...)
	r.addLines(h.statics.Problems()...)
	if config == nil {
		if !unreadable {
			r.addLines(connection.NotConfigured(mountPath).Error())
		}
		return r, nil
	}
	r.NextRotation = config.NextRotation
	if !h.checkConnection(ctx, r, config) {
		return r, nil
	}
	if roleName == "" {
		return r, h.checkRoles(ctx, s, r, config)
	}
	return r, h.checkRole(ctx, s, mountPath, r, config, roleName)
}

// checkStorage names the entries that can't be read, and how to be rid of them.
func (h *Health) checkStorage(ctx context.Context, s logical.Storage, mountPath string, r *Report) error {
	unreadable, err := store.Unreadable(ctx, s)
	if err != nil {
		return err
	}
	for i, entry := range unreadable {
		h.mount.LogUnreadable(entry)
		if i < problem.MaxNamed {
			r.add("%v; the rest goes on without it. Restore it, or remove it with vault delete %sentries/%s", entry, mountPath, entry.Key)
		}
	}
	if more := len(unreadable) - problem.MaxNamed; more > 0 {
		r.add("%d more entries in storage can't be read; Vault's log names them", more)
	}
	failed := 0
	for _, err := range h.revoker.Unread() {
		if r.Pending++; !store.IsUnreadable(err) {
			failed++
		}
	}
	if failed > 0 {
		r.add("%d pending deletions could not be read, because reads of storage fail; they are read again every minute", failed)
	}
	return nil
}

// checkPending counts what is pending. A creation of unknown outcome is a problem only when a list should long have
// shown what became of it.
func (h *Health) checkPending(r *Report) {
	deletions, overdue := 0, 0
	var oldest time.Time // of the deletions
	for _, entry := range h.revoker.All() {
		if r.Pending++; r.OldestPending.IsZero() || entry.Since.Before(r.OldestPending) {
			r.OldestPending = entry.Since
		}
		switch {
		case entry.Nonce == "":
			if deletions++; oldest.IsZero() || entry.Since.Before(oldest) {
				oldest = entry.Since
			}
		case h.mount.Now().Sub(entry.Since) >= mount.UnknownAge:
			overdue++
		}
	}
	if deletions > 0 {
		r.add("%d deletions are pending, the oldest since %s: InfluxDB refuses them or is out of reach; each is tried again every minute", deletions, problem.RFC3339(oldest))
		if last := h.revoker.OldestError(); last != "" {
			r.add("the oldest pending deletion last failed so: %s", strings.ReplaceAll(last, "\n", "; "))
		}
	}
	if overdue > 0 {
		r.add("%d mints were not answered, and what became of them can't be found out: InfluxDB is out of reach or does not tell (InfluxDB 2 tells a root token that may read authorizations); it is asked again every minute", overdue)
	}
}

// checkConnection takes the steps of a verified write, and looks whether this is the InfluxDB that issued the tokens. It
// reports whether both are right.
func (h *Health) checkConnection(ctx context.Context, r *Report, config *store.Connection) bool {
	result, err := h.verifier.Verify(ctx, config)
	r.Product, r.Server, r.Latency, r.ValuesHidden = result.Product, result.Server, result.Latency, result.ValuesHidden
	if influx.Is(err, influx.BadToken) {
		err = fmt.Errorf("%w; write one that works to config, see docs/recovery.md", err)
	}
	if is := cmp.Or(config.Product, permission.V2); err == nil && result.Product != is {
		r.add("product: the configuration was stored for %s, and %s answers; write config again, without product, and with abandon_previous=true where that is refused", is, result.Product)
	}
	if ends := result.RootEnds; !ends.IsZero() && h.mount.Now().After(ends.Add(-rootMargin)) {
		r.add("token: InfluxDB ends the root token at %s, after which nothing can be issued or revoked; rotate it with config/rotate-root", problem.RFC3339(ends))
	}
	foreign, unknown := false, false
	if c, openErr := h.pool.Open(config); openErr == nil {
		seen, identityErr := c.Identify(ctx)
		if foreign = connection.IsForeign(identityErr); foreign {
			r.addLines(identityErr.Error())
		}
		unknown = identityErr == nil && !seen
	}
	switch {
	case err != nil:
		r.addLines(err.Error())
	case unknown:
		r.addLines(verify.Unidentified)
	}
	return err == nil && !foreign
}

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
	_, err = h.roles.DryRun(ctx, c, stored)
	if err = (problem.List{err, h.roles.CheckLife(config, stored)}).Err(); err != nil {
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
	rootToken, err := c.Client.Self(ctx)
	if rootToken == nil && err == nil {
		rootToken, err = c.Client.GetAuthorization(ctx, id)
	}
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
