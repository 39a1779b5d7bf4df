package backend

import (
	"context"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// defaultGracePeriod is how long a previous token goes on working unless the role says otherwise, in seconds.
const defaultGracePeriod = 3600

// staticWrite is a write of a static role.
type staticWrite struct {
	name   string
	fields fields
	// merge keeps the fields that the write leaves out.
	merge bool
}

// writeStatic stores a static role, and sees to it that its token is what the role says: a new role's is made or taken
// over, and one whose permissions change is replaced.
func (b *backend) writeStatic(ctx context.Context, req *logical.Request, w staticWrite) (warnings []string, err error) {
	err = b.withStatic(ctx, req.Storage, w.name, func(ctx context.Context, stored *store.StaticRole) error {
		role, err := w.lay(stored)
		if err != nil {
			return err
		}
		role.Mount = req.MountPoint
		a, err := b.findAdopted(ctx, req, w, role, stored)
		if err != nil {
			return err
		}
		if warnings, err = b.checkStatic(ctx, req, w, role, stored); err != nil {
			return err
		}
		if a != nil {
			return b.adopt(ctx, req, w.name, role, a)
		}
		more, err := b.storeStatic(ctx, req.Storage, w.name, role, stored)
		warnings = append(warnings, more...)
		return err
	})
	return warnings, err
}

// lay lays the fields of a write over the stored role, or over an empty one that keeps the token.
func (w staticWrite) lay(stored *store.StaticRole) (*store.StaticRole, error) {
	role := &store.StaticRole{GracePeriod: defaultGracePeriod}
	switch {
	case stored == nil && w.merge:
		return nil, &told{status: http.StatusNotFound, text: "static role \"" + w.name + "\" does not exist; write it first"}
	case stored != nil:
		whole := *stored
		if !w.merge {
			whole.Role, whole.RotationPlan, whole.GracePeriod = store.Role{}, store.RotationPlan{}, defaultGracePeriod
		}
		role = &whole
	}
	decodeRole(w.fields, &role.Role)
	decodePlan(w.fields, &role.RotationPlan)
	w.fields.seconds("grace_period", &role.GracePeriod)
	if w.fields.given("grace_period") && w.fields.empty("grace_period") { // cleared: it is not 0 then
		role.GracePeriod = defaultGracePeriod
	}
	if w.fields.empty("grace_period") && role.RotationPeriod > 0 { // nobody asked for more than fits
		role.GracePeriod = min(role.GracePeriod, role.RotationPeriod)
	}
	return role, nil
}

// checkStatic refuses a role that could not mint, or should not, and says all that is wrong with it.
func (b *backend) checkStatic(ctx context.Context, req *logical.Request, w staticWrite, role, stored *store.StaticRole) ([]string, error) {
	var before *store.Role
	if stored != nil {
		before = &stored.Role
	}
	cloning := b.copyClone(ctx, req, &role.Role, before)
	if cloning != nil && !isProblem(cloning) {
		return nil, cloning
	}
	if role.Role.Definition().Empty() && cloning == nil {
		return nil, badInput("static role %q would grant nothing: a write replaces the whole role; to change one field use vault patch %sstatic-roles/%s rotation_period=24h", w.name, req.MountPoint, w.name)
	}
	config, err := store.GetConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, notConfigured(req.MountPoint)
	}
	problems := append(checkPlan(role.RotationPlan, b.now()), cloning, checkForm(&role.Role, config))
	if field := templatedField(&role.Role); field != "" {
		problems.Add(field, "holds an identity template; a static role has one token for all callers, and templates belong to roles/")
	}
	if role.RotationPeriod > 0 && role.GracePeriod > role.RotationPeriod {
		problems.Add("grace_period", "%ds is longer than rotation_period, %ds", role.GracePeriod, role.RotationPeriod)
	}
	var warnings []string
	if w.fields.flagOr("verify", true) { // else the mint will tell
		warnings, err = b.checkUpstream(ctx, config, &role.Role)
		problems = append(problems, err)
	}
	return warnings, problems.Err()
}

// storeStatic puts a checked role into storage, with the token that belongs to it.
func (b *backend) storeStatic(ctx context.Context, s logical.Storage, name string, role, stored *store.StaticRole) ([]string, error) {
	switch {
	case stored == nil:
		return b.replaceStatic(ctx, s, name, role, replacement{})
	case !storedAlike(granting(stored), granting(role)):
		// In the entry as it was: the new permissions go in with their token.
		if err := b.endPrevious(ctx, s, name, stored); err != nil {
			return nil, err
		}
		role.Previous = nil
		return b.replaceStatic(ctx, s, name, role, replacement{grace: graceOf(role)})
	case stored.RotationPlan != role.RotationPlan:
		role.NextRotation, role.Skipped = nextRotation(role.RotationPlan, b.now()), nil
	}
	return nil, b.putStatic(ctx, s, name, role)
}

// granting is the part of a static role that its token depends on.
func granting(r *store.StaticRole) store.Role {
	part := r.Role
	part.Version, part.Description, part.AllowPrivileged = 0, "", false
	return part
}
