package root

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// identify reads the authorization that the root token is: the one that InfluxDB says it is, or that is known, or the one that the caller names, or
// the one that has its value where InfluxDB shows values.
func (r *Root) identify(ctx context.Context, c *connection.Connection, givenID string) (*influx.Authorization, error) {
	self, err := c.Client.Self(ctx)
	switch {
	case err != nil:
		return nil, err
	case self != nil && givenID != "":
		return nil, problem.InField("authorization_id", "%s tells itself which token the root token is; leave it out", c.Product)
	case self != nil:
		return self, nil
	}
	known := c.RootID()
	switch {
	case givenID != "" && !permission.IsID(givenID):
		return nil, problem.InField("authorization_id", "must be an ID of 16 hexadecimal digits")
	case givenID != "" && c.RootNonce != "" && !strings.EqualFold(givenID, known):
		return nil, problem.InField("authorization_id", "the root token was made by a rotation and is %s; leave authorization_id out", known)
	case givenID == "" && known == "":
		return r.search(ctx, c)
	case givenID == "":
		givenID = known
	}
	root, err := c.Client.GetAuthorization(ctx, givenID)
	switch {
	case influx.IsNotFound(err):
		return nil, problem.InField("authorization_id", "no authorization has the ID %s", givenID)
	case influx.Is(err, influx.MissingPermission):
		return nil, fmt.Errorf("authorization_id: the root token may not read %s, and it has to read its own authorization, whose permissions the new one needs; see docs/root-token.md: %w", givenID, err)
	case err != nil:
		return nil, err
	}
	if reason := mismatch(c.Connection, root); reason != "" {
		return nil, problem.InField("authorization_id", "%s is not the root token: %s", givenID, reason)
	}
	return root, nil
}

// mismatch says why an authorization can't be a connection's root token; "" where it can.
func mismatch(c *store.Connection, a *influx.Authorization) string {
	switch {
	case a.ID == "" || a.OrgID == "" || a.UserID == "":
		return "InfluxDB does not say whose it is"
	case a.Token != "" && a.Token != c.Token:
		return "its value is another one"
	case a.Inactive():
		return "it is inactive"
	case c.RootUserID() != "" && a.UserID != c.RootUserID():
		return "it belongs to another user"
	}
	makesTokens := func(p influx.Permission) bool {
		return p.Action == permission.Write && p.Resource.Type == "authorizations"
	}
	if !slices.ContainsFunc(a.Permissions, makesTokens) {
		return "it may not write authorizations"
	}
	return ""
}

// search finds the root token's authorization by its value. Where values are hidden its error names those that it could
// be: guessing would delete somebody's token.
func (r *Root) search(ctx context.Context, c *connection.Connection) (*influx.Authorization, error) {
	var (
		found      *influx.Authorization
		candidates []string
	)
	err := c.Client.EachAuthorization(ctx, func(a *influx.Authorization) error {
		if stamp, ours := r.issuer.Owned(a); ours && stamp.Kind != token.Root || mismatch(c.Connection, a) != "" {
			return nil
		}
		if a.Token == c.Token {
			copied := *a // a is overwritten after the call
			found = &copied
			return nil
		}
		candidates = append(candidates, describeCandidate(a))
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case found != nil:
		return found, nil
	case len(candidates) == 0:
		return nil, problem.InField("authorization_id", "needed; the root token is not shown the list of tokens, so that it can't be found: see docs/root-token.md")
	}
	more := ""
	if extra := len(candidates) - problem.MaxNamed; extra > 0 {
		candidates, more = candidates[:problem.MaxNamed], fmt.Sprintf("\nand %d more", extra)
	}
	return nil, problem.InField("authorization_id", "needed; InfluxDB hides the values of tokens, so that it is not known which one the root token is. It could be:\n%s%s", strings.Join(candidates, "\n"), more)
}

// describeCandidate describes an authorization to somebody who has to choose.
func describeCandidate(a *influx.Authorization) string {
	created := "unknown"
	if !a.CreatedAt.IsZero() {
		created = problem.RFC3339(a.CreatedAt)
	}
	return fmt.Sprintf("%s %q, created %s", a.ID, problem.Clip(a.Description), created)
}

// What confirmByDeactivating may find besides that the ID is right.
var (
	errNotTheRoot = errors.New("the root token still worked while that one was switched off")
	// errOldRootGone: the old root token does not work whatever is switched on or off. There is nothing to delete.
	errOldRootGone = errors.New("the old root token is not valid any more")
)

// confirmByDeactivating proves that the authorization OldID is the old root token: switched off, that one must not work.
// InfluxDB does not say which authorization a hashed token is, and a deletion can't be undone.
func (r *Root) confirmByDeactivating(ctx context.Context, s logical.Storage, c *connection.Connection, i *store.RootIntention) error {
	if err := ensureCurrent(ctx, s, i); err != nil {
		return err
	}
	old, err := r.pool.Dial(i.Previous)
	if err != nil {
		return err
	}
	defer old.Client.Close()
	err = c.V2.SetAuthorizationStatus(ctx, i.OldID, false)
	if err == nil {
		if err = verify.Accepted(ctx, old, i.OldID); influx.Is(err, influx.InactiveToken) {
			return nil
		}
	}
	if reactivateErr := r.reactivate(ctx, c, i.OldID); reactivateErr != nil {
		return errors.Join(err, reactivateErr)
	}
	stillWorks := verify.Accepted(ctx, old, i.OldID)
	switch {
	case influx.Is(stillWorks, influx.BadToken):
		return errOldRootGone
	case stillWorks != nil:
		return stillWorks
	case err == nil || verify.IsAnswer(err):
		return errNotTheRoot
	}
	return err
}

// reactivate undoes what confirmByDeactivating did. An authorization that is gone, or that the root token may not change,
// was never switched off by it.
func (r *Root) reactivate(ctx context.Context, c *connection.Connection, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.WriteTimeout)
	defer cancel()
	err := c.V2.SetAuthorizationStatus(ctx, id, true)
	if err == nil || verify.IsAnswer(err) {
		return nil
	}
	r.mount.Log.Error("a token may be switched off that was taken for the root token; it is tried again to switch it on", "authorization_id", id, "role", token.RootRole, "error", err)
	return err
}
