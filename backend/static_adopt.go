package backend

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// adoption is an existing token that a static role takes over as it is.
type adoption struct {
	id, token     string
	authorization *domain.Authorization
}

// fingerprint is how the pair is known again when it is written once more.
func (a *adoption) fingerprint() string { return fingerprint(a.id + ":" + a.token) }

// findAdopted reads the token that a write of a static role wants taken over; nil for none, and for one that was taken
// over before: whatever applies a configuration again and again writes the pair each time. The role takes over what it
// does not say itself.
func (b *backend) findAdopted(ctx context.Context, req *logical.Request, w staticWrite, role, stored *store.StaticRole) (*adoption, error) {
	a := &adoption{}
	w.fields.text("authorization_id", &a.id)
	w.fields.text("token", &a.token)
	switch {
	case a.id == "" && a.token == "":
		return nil, nil
	case a.id == "" || a.token == "":
		return nil, badInput("authorization_id: give it together with token, or neither")
	case !permission.IsID(a.id):
		return nil, badInput("authorization_id: must be an ID of 16 hexadecimal digits")
	case !isHeaderText(a.token):
		return nil, badInput("token: holds a character that no token has; allowed: printable ASCII without spaces")
	}
	a.id = strings.ToLower(a.id)
	if role.Role.Definition().Empty() && role.Role.CloneFrom == "" {
		role.Role.CloneFrom = a.id
	}
	if stored != nil {
		if stored.Adopted != a.fingerprint() {
			return nil, badInput("authorization_id: static role %q has a token already; an existing one is taken over when a role is made", w.name)
		}
		if role.Role.User == "" && role.Role.UserID == "" {
			role.Role.UserID = stored.Role.UserID
		}
		return nil, nil
	}
	return a, b.readAdopted(ctx, req, role, a)
}

func (b *backend) readAdopted(ctx context.Context, req *logical.Request, role *store.StaticRole, a *adoption) error {
	e, err := b.current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return err
	}
	a.authorization, err = e.client.GetAuthorization(ctx, a.id)
	switch {
	case influx.Is(err, influx.Gone), influx.Is(err, influx.NotFound):
		return badInput("authorization_id: no authorization has the ID %s, or its owner or organization is gone", a.id)
	case err != nil:
		return fmt.Errorf("authorization_id: %w", err)
	case a.id == rootID(e.Connection), a.token == e.Token:
		return badInput("authorization_id: %s is the root token, which config/rotate-root rotates", a.id)
	case a.authorization.OrgID == nil || a.authorization.UserID == nil:
		return badInput("authorization_id: InfluxDB does not say whose %s is", a.id)
	case a.authorization.Status != nil && *a.authorization.Status == domain.AuthorizationUpdateRequestStatusInactive:
		return badInput("authorization_id: %s is inactive", a.id)
	}
	if a.authorization.Description != nil {
		if st, stamped := parseStamp(*a.authorization.Description); stamped && (st.kind == kindLease || st.mount == b.mountUUID) {
			return badInput("authorization_id: %s is a %s token that a secrets engine made and will delete", a.id, st.kind)
		}
	}
	if err := b.unclaimed(ctx, req.Storage, a.id); err != nil {
		return err
	}
	_, who, err := scopeOf(ctx, e, &role.Role)
	if err != nil {
		return err
	}
	owned := who.id
	if owned == "" && e.Found != nil {
		owned = e.Found.RootUserID
	}
	if role.Role.User == "" && role.Role.UserID == "" && owned != *a.authorization.UserID {
		role.Role.UserID = *a.authorization.UserID
	}
	return nil
}

// unclaimed refuses a token that another static role has already or that is about to be deleted: nothing in InfluxDB
// tells, when it was taken over. Every role is read for it, which an adoption is rare enough for.
func (b *backend) unclaimed(ctx context.Context, s logical.Storage, id string) error {
	if b.pending.has(id) {
		return badInput("authorization_id: the deletion of %s is pending", id)
	}
	names, err := store.ListStaticRoles(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range names {
		role, err := store.GetStaticRole(ctx, s, name)
		switch {
		case err != nil:
			return err
		case role == nil:
		case role.Current.AuthorizationID == id, role.Previous != nil && role.Previous.AuthorizationID == id:
			return badInput("authorization_id: %s is a token of static role %q, which will delete it", id, name)
		}
	}
	return nil
}

// adopt stores a role that was checked with the token that it takes over.
func (b *backend) adopt(ctx context.Context, req *logical.Request, name string, role *store.StaticRole, a *adoption) error {
	e, err := b.current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return err
	}
	org, err := compareAdopted(ctx, e, role, a)
	if err != nil {
		return err
	}
	if err := b.provePair(ctx, e, a); err != nil {
		return err
	}
	role.Adopted = a.fingerprint()
	role.Current = store.StaticToken{
		Token: a.token, AuthorizationID: a.id, Connection: e.ID, Org: org, OrgID: *a.authorization.OrgID,
	}
	if a.authorization.Description != nil {
		role.Current.Description = *a.authorization.Description
	}
	role.RotationTimes = store.RotationTimes{LastRotation: b.now().UTC(), NextRotation: nextRotation(role.RotationPlan, b.now())}
	if err := b.putStatic(ctx, req.Storage, name, role); err != nil {
		return err
	}
	b.log.Info("an existing token was taken over by a static role", "role", name, "authorization_id", a.id)
	return nil
}

// compareAdopted refuses a token that is not what the role says: the next rotation would make another one. It answers
// the organization's name.
func compareAdopted(ctx context.Context, e *endpoint, role *store.StaticRole, a *adoption) (string, error) {
	scope, who, err := scopeOf(ctx, e, &role.Role)
	if err != nil {
		return "", err
	}
	var problems permission.Problems
	if scope.OrgID != *a.authorization.OrgID {
		problems.Add("authorization_id", "%s belongs to another organization than %q; set org or org_id to its own", a.id, scope.OrgName)
		return "", problems.Err()
	}
	if who.id != "" && who.id != *a.authorization.UserID {
		problems.Add("authorization_id", "%s belongs to another user than the role says; set user_id to %s, or leave it out", a.id, *a.authorization.UserID)
	}
	wanted, err := permission.Resolve(ctx, role.Role.Definition(), scope, e.names)
	if err != nil {
		return "", err
	}
	held := copied(a.authorization)
	for _, p := range permission.Missing(held, wanted) {
		problems.Add(p.Place.String(), "authorization %s does not grant %s", a.id, p.Words(scope))
	}
	for _, p := range permission.Missing(wanted, held) {
		problems.Add("authorization_id", "%s grants %s, which the role does not; leave all permission fields out to take over what it grants", a.id, p.Words(scope))
	}
	return scope.OrgName, problems.Err()
}
