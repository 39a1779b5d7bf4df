package role

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// cacheSize is how many roles stay in memory: those used last.
const cacheSize = 10000

// longLived is the maximum TTL from which a role is warned about: the older a token is, the more places it may have
// leaked to.
const longLived = 30 * 24 * time.Hour

// Roles are the roles of a mount.
type Roles struct {
	mount   *mount.Mount
	pool    *connection.Pool
	issuer  *token.Issuer
	revoker *revoke.Revoker
	cache   *store.Cache[store.Role]
}

// New makes the Roles of a mount, whose connections are in pool. issuer creates the probes of a dry run, and revoker deletes
// those that may be left.
func New(m *mount.Mount, pool *connection.Pool, issuer *token.Issuer, revoker *revoke.Revoker) *Roles {
	return &Roles{mount: m, pool: pool, issuer: issuer, revoker: revoker, cache: store.NewCache[store.Role](cacheSize)}
}

// Get returns the role of a mint or a renewal; nil when there is none. It is shared: nobody may change it.
func (r *Roles) Get(ctx context.Context, s logical.Storage, name string) (*store.Role, error) {
	return r.cache.Get(name, func() (*store.Role, error) { return store.Roles.Get(ctx, s, name) })
}

// Invalidate makes the next Get of a role read storage, where key is a role's key in storage.
func (r *Roles) Invalidate(key string) {
	if name, isRole := strings.CutPrefix(key, store.RolePrefix); isRole {
		r.cache.Invalidate(name)
	}
}

// NoRole says that there is no role of a name.
func NoRole(name, mountPath string) error {
	return problem.BadInput("role %q does not exist; vault list %sroles shows those that do", name, mountPath)
}

// Write is one write of a role.
type Write struct {
	Name string
	// MountPath is the mount's path, with a slash at its end.
	MountPath string
	// Merge changes the stored role, instead of replacing it.
	Merge bool
	// Verify tries the role against InfluxDB.
	Verify bool
	// Apply lays the fields of the write over a role.
	Apply func(*store.Role)
}

// Write validates a role and stores it. Nothing is stored unless all of it is right; the error holds every problem.
func (r *Roles) Write(ctx context.Context, s logical.Storage, w Write) ([]string, error) {
	stored, err := store.Roles.Get(ctx, s, w.Name)
	if err != nil {
		return nil, err
	}
	role := &store.Role{}
	if w.Merge {
		if stored == nil {
			return nil, problem.NotFound("role \"%s\" does not exist; write it first", w.Name)
		}
		merged := *stored
		role = &merged
	}
	w.Apply(role)
	cloning := r.CopyClone(ctx, s, w.MountPath, role, stored)
	if cloning != nil && !problem.HasField(cloning) {
		return nil, cloning
	}
	warnings, err := r.validate(ctx, s, w, role, cloning)
	if err != nil {
		return nil, err
	}
	return warnings, store.Roles.Put(ctx, s, w.Name, role)
}

// validate refuses a role that could not mint, or should not. cloning is what was wrong with its clone_from.
func (r *Roles) validate(ctx context.Context, s logical.Storage, w Write, role *store.Role, cloning error) ([]string, error) {
	config, err := store.Config.Get(ctx, s)
	if err != nil {
		return nil, err
	}
	ttls, err := lease.Limits(role, r.mount.System)
	if err != nil {
		return nil, err
	}
	var problems problem.List
	warnings := warnTTLs(role, ttls, r.mount.System.MaxLeaseTTL())
	if role.Definition().Empty() && cloning == nil {
		problems = append(problems, problem.BadInput("role %q would grant nothing: a write replaces the whole role; to change one field use vault patch %sroles/%s ttl=5m", w.Name, w.MountPath, w.Name))
	}
	problems = append(problems, cloning, ValidateForm(role, config))
	switch {
	case !w.Verify:
		warnings = append(warnings, "verify: stored without a look at InfluxDB; what is wrong with it will show when creds is read")
	case config == nil:
		warnings = append(warnings, fmt.Sprintf("%sconfig is not written yet: the role was stored without a look at InfluxDB", w.MountPath))
	default:
		more, err := WarnUnseen(r.ValidateAgainst(ctx, s, config, role))
		problems = append(problems, err, r.CheckLife(config, role))
		warnings = append(warnings, more...)
	}
	return warnings, problems.Err()
}

// warnTTLs warns of lease times that the mount cuts, and of leases that live long.
func warnTTLs(role *store.Role, ttls lease.TTLs, longest time.Duration) (warnings []string) {
	for _, field := range []struct {
		name  string
		value int
	}{{"ttl", role.TTL}, {"max_ttl", role.MaxTTL}} {
		if given := time.Duration(field.value) * time.Second; given > longest {
			warnings = append(warnings, fmt.Sprintf("%s: %s is longer than the mount's longest lease, and is cut to %s; vault secrets tune -max-lease-ttl raises that one", field.name, given, longest))
		}
	}
	if ttls.Max > longLived {
		warning := fmt.Sprintf("max_ttl: a lease of this role can live for %s; set max_ttl to bound it", ttls.Max)
		if role.TTL == 0 && ttls.Initial > longLived {
			warning += fmt.Sprintf(". Without a ttl on role or mount the first lease alone is %s, which is also how long a token lives whose caller has hung up before Vault could lease it; set ttl", ttls.Initial)
		}
		warnings = append(warnings, warning)
	}
	return warnings
}
