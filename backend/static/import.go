package static

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// Pair is an existing token, which a static role takes over as it is, and its authorization's ID.
type Pair struct{ AuthorizationID, Token string }

// hash is how the pair is recognised when it is written once more.
func (p Pair) hash() string { return rotation.Hash(p.AuthorizationID + ":" + p.Token) }

// validate refuses a pair that can't be one.
func (p Pair) validate() error {
	switch {
	case p.AuthorizationID == "" || p.Token == "":
		return problem.InField("authorization_id", "give it together with token, or neither")
	case !permission.IsID(p.AuthorizationID):
		return problem.InField("authorization_id", "must be an ID of 16 hexadecimal digits")
	case !influx.ValidToken(p.Token):
		return problem.InField("token", "holds a character that no token has; allowed: printable ASCII without spaces")
	}
	return nil
}

// imported is a pair as InfluxDB knows it.
type imported struct {
	Pair
	connection    *connection.Connection
	authorization *influx.Authorization
}

// findImport reads the token that a write of a static role wants taken over; nil for none, and for one that was taken over
// before: whatever applies a configuration again and again writes the pair each time. The role takes over what it does not
// say itself.
func (x *Roles) findImport(ctx context.Context, s logical.Storage, name string, w Write, r, stored *store.StaticRole) (*imported, error) {
	if w.Import == nil || *w.Import == (Pair{}) {
		return nil, nil
	}
	pair := *w.Import
	if err := pair.validate(); err != nil {
		return nil, err
	}
	pair.AuthorizationID = strings.ToLower(pair.AuthorizationID)
	if r.Role.Definition().Empty() && r.Role.CloneFrom == "" {
		r.Role.CloneFrom = pair.AuthorizationID
	}
	if stored != nil {
		if stored.Imported != pair.hash() {
			return nil, problem.InField("authorization_id", "static role %q has a token already; an existing one is taken over when a role is made", name)
		}
		if r.Role.User == "" && r.Role.UserID == "" {
			r.Role.UserID = stored.Role.UserID
		}
		return nil, nil
	}
	c, err := x.pool.Current(ctx, s, w.MountPath)
	if err != nil {
		return nil, err
	}
	if !c.Product.IsV2() {
		return nil, problem.InField("authorization_id", "%s has no tokens that could be taken over: write the role without authorization_id and token, and it gets a token of its own", c.Product)
	}
	i := &imported{Pair: pair, connection: c}
	if i.authorization, err = x.readImport(ctx, c, pair); err != nil {
		return nil, err
	}
	if err := x.notInUse(ctx, s, pair.AuthorizationID); err != nil {
		return nil, err
	}
	return i, i.takeOwner(ctx, r)
}

// readImport reads the authorization that is to be taken over, and refuses one that is not for a static role.
func (x *Roles) readImport(ctx context.Context, c *connection.Connection, p Pair) (*influx.Authorization, error) {
	a, err := c.Client.GetAuthorization(ctx, p.AuthorizationID)
	switch {
	case influx.IsNotFound(err):
		return nil, problem.InField("authorization_id", "no authorization has the ID %s, or its owner or organization is gone", p.AuthorizationID)
	case err != nil:
		return nil, fmt.Errorf("authorization_id: %w", err)
	case p.AuthorizationID == c.RootID(), p.Token == c.Token:
		return nil, problem.InField("authorization_id", "%s is the root token, which config/rotate-root rotates", p.AuthorizationID)
	case a.OrgID == "" || a.UserID == "":
		return nil, problem.InField("authorization_id", "InfluxDB does not say whose %s is", p.AuthorizationID)
	case a.Inactive():
		return nil, problem.InField("authorization_id", "%s is inactive", p.AuthorizationID)
	}
	if stamp, ok := token.ParseStamp(a.Description); ok && (stamp.Kind == token.Lease || stamp.Mount == x.mount.UUID) {
		return nil, problem.InField("authorization_id", "%s is a %s token that a secrets engine made and will delete", p.AuthorizationID, stamp.Kind)
	}
	return a, nil
}

// notInUse refuses a token that another static role has already or that is about to be deleted: nothing in InfluxDB says
// so of one that was taken over. Every role is read for it, which an import is rare enough for.
func (x *Roles) notInUse(ctx context.Context, s logical.Storage, id string) error {
	if x.revoker.IsPending(id) {
		return problem.InField("authorization_id", "the deletion of %s is pending", id)
	}
	names, err := store.StaticRoles.List(ctx, s)
	if err != nil {
		return err
	}
	for _, name := range names {
		r, err := store.StaticRoles.Get(ctx, s, name)
		switch {
		case err != nil:
			return err
		case r == nil:
		case r.Current.AuthorizationID == id, r.Previous != nil && r.Previous.AuthorizationID == id:
			return problem.InField("authorization_id", "%s is a token of static role %q, which will delete it", id, name)
		}
	}
	return nil
}

// takeOwner makes the token's owner the role's, where neither the role nor the configuration names another one.
func (i *imported) takeOwner(ctx context.Context, r *store.StaticRole) error {
	_, owner, err := i.connection.Scope(ctx, &r.Role)
	if err != nil {
		return err
	}
	id := owner.ID
	if id == "" {
		id = i.connection.RootUserID()
	}
	if r.Role.User == "" && r.Role.UserID == "" && id != i.authorization.UserID {
		r.Role.UserID = i.authorization.UserID
	}
	return nil
}

// importToken stores a validated role with the token that it takes over.
func (x *Roles) importToken(ctx context.Context, s logical.Storage, name string, r *store.StaticRole, i *imported) error {
	org, err := i.compare(ctx, r)
	if err != nil {
		return err
	}
	if err := x.confirmPair(ctx, i); err != nil {
		return err
	}
	r.Imported = i.hash()
	r.Current = store.StaticToken{
		Token: i.Token, AuthorizationID: i.AuthorizationID, Connection: i.connection.ID, Org: org,
		OrgID: i.authorization.OrgID, Description: i.authorization.Description,
	}
	r.RotationTimes = rotation.Times(r.RotationPlan, x.mount.Now())
	if err := x.put(ctx, s, name, r); err != nil {
		return err
	}
	x.mount.Log.Info("an existing token was taken over by a static role", "role", name, "authorization_id", i.AuthorizationID)
	return nil
}

// compare refuses a token that is not what the role says: the next rotation would make another one. It returns the
// organization's name.
func (i *imported) compare(ctx context.Context, r *store.StaticRole) (string, error) {
	scope, owner, err := i.connection.Scope(ctx, &r.Role)
	if err != nil {
		return "", err
	}
	if scope.OrgID != i.authorization.OrgID {
		return "", problem.InField("authorization_id", "%s belongs to another organization than %q; set org or org_id to its own", i.AuthorizationID, scope.OrgName)
	}
	var problems problem.List
	if owner.ID != "" && owner.ID != i.authorization.UserID {
		problems.Add("authorization_id", "%s belongs to another user than the role says; set user_id to %s, or leave it out", i.AuthorizationID, i.authorization.UserID)
	}
	wanted, err := permission.Resolve(ctx, r.Role.Definition(), scope, i.connection.Names)
	if err != nil {
		return "", err
	}
	held := token.Permissions(i.authorization)
	for _, p := range permission.Missing(held, wanted) {
		problems.Add(p.Place.String(), "authorization %s does not grant %s", i.AuthorizationID, p.Words(scope))
	}
	for _, p := range permission.Missing(wanted, held) {
		problems.Add("authorization_id", "%s grants %s, which the role does not; leave all permission fields out to take over what it grants", i.AuthorizationID, p.Words(scope))
	}
	return scope.OrgName, problems.Err()
}

// confirmPair refuses an ID and a token that are not the same authorization, as far as InfluxDB shows it: it is the ID that
// is deleted at the next rotation. Where it shows values they are compared; where it hides them the owners are, and the
// pair is trusted beyond that. Nothing is changed for it.
func (x *Roles) confirmPair(ctx context.Context, i *imported) error {
	as := *i.connection.Connection
	as.Token = i.Token
	c, err := x.pool.Dial(&as)
	if err != nil {
		return err
	}
	defer c.Client.Close()
	err = verify.Accepted(ctx, c, i.AuthorizationID)
	switch {
	case influx.Is(err, influx.BadToken), influx.Is(err, influx.InactiveToken), influx.Is(err, influx.InactiveUser):
		return problem.InField("token", "InfluxDB does not accept it: %v", err)
	case err != nil:
		return err
	case i.authorization.Token == i.Token:
		return nil
	case i.authorization.Token != "":
		return i.mismatch("InfluxDB shows another value for that ID")
	}
	return i.confirmOwner(ctx, c)
}

// confirmOwner compares the owners of the ID and of the token, as which c connects. InfluxDB Cloud has no such endpoint.
func (i *imported) confirmOwner(ctx context.Context, c *connection.Connection) error {
	user, err := verify.TokenUser(ctx, c)
	switch {
	case influx.Is(err, influx.NoSuchPath), influx.Is(err, influx.NotFound):
		return nil
	case err != nil:
		return err
	case user.ID != "" && user.ID != i.authorization.UserID:
		return i.mismatch("it belongs to another user")
	}
	return nil
}

func (i *imported) mismatch(reason string) error {
	return problem.InField("authorization_id", "%s is not the authorization of the token in token: %s", i.AuthorizationID, reason)
}
