package token

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
)

// Spec is what a token is created from.
type Spec struct {
	// Kind, Role, Nonce and Deadline stand in the stamp. An empty Kind means Lease, an empty Nonce a new one.
	Kind, Role, Nonce string
	Deadline          time.Time
	// Text is the description in front of the stamp.
	Text        string
	Permissions []permission.Permission
	// OwnerID is the user; empty means the root token's.
	OrgID, OwnerID string
	// Inactive asks for a token that can't be used, where InfluxDB has such.
	Inactive bool
}

// Issuer creates the tokens of one mount, and recognizes them.
type Issuer struct{ mount *mount.Mount }

// NewIssuer makes the issuer of a mount.
func NewIssuer(m *mount.Mount) *Issuer { return &Issuer{mount: m} }

// Create creates an authorization; it is the only place that does. It never asks twice: a call without an answer may
// have been carried out, which is an UnknownOutcome. Nor does it end with its caller: a call that is cut off would be
// carried out too, and nobody would know the ID. The authorization that it returns, with or without an error, exists in
// InfluxDB.
func (i *Issuer) Create(ctx context.Context, c *connection.Connection, spec Spec) (*influx.Authorization, error) {
	if i.mount.UUID == "" {
		return nil, errors.New("Vault did not tell this mount's UUID; no token can be marked as ours")
	}
	if spec.Nonce == "" {
		spec.Nonce = NewNonce()
	}
	stamp := Stamp{i.mount.UUID, cmp.Or(spec.Kind, Lease), spec.Role, spec.Nonce, spec.Deadline}.String()
	request := spec.request(strings.TrimSpace(spec.Text + " " + stamp))
	if !spec.Deadline.IsZero() {
		request.Lifetime = cmp.Or(spec.Deadline.Sub(i.mount.Now()), -1)
	}
	created, err := c.Client.CreateAuthorization(context.WithoutCancel(ctx), request)
	if failed, ok := errors.AsType[*influx.Error](err); ok && !failed.NotApplied() {
		err = &UnknownOutcome{fmt.Errorf("%w; whether the token was created is not known, and nobody has it", err), spec.Nonce, stamp, Location{spec.OrgID, spec.OwnerID}}
	}
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(created.Description, stamp) {
		return created, fmt.Errorf("InfluxDB at %s did not keep the token's description; without it the token could not be found again", c.URL)
	}
	return created, ctx.Err()
}

// request is the spec as InfluxDB's API takes it.
func (s *Spec) request(description string) influx.NewAuthorization {
	permissions := make([]influx.Permission, len(s.Permissions))
	for i, p := range s.Permissions {
		permissions[i] = influx.Permission{Action: p.Action, Resource: influx.Resource{Type: p.Type, ID: p.ID, OrgID: p.OrgID}}
	}
	status := "active"
	if s.Inactive {
		status = "inactive"
	}
	return influx.NewAuthorization{Description: description, Status: status, OrgID: s.OrgID, UserID: s.OwnerID, Permissions: permissions}
}

// NewNonce tells one token of ours from every other.
func NewNonce() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails: it ends the program first
	return hex.EncodeToString(random)
}

// UnknownOutcome is a call to create that may have been carried out: a token with the nonce may exist that nobody has.
type UnknownOutcome struct {
	error
	Nonce, Stamp string
	At           Location
}

// Unwrap returns the error with which the call failed.
func (u *UnknownOutcome) Unwrap() error { return u.error }

// Probe creates a token that can't be used. Should its deletion fail, its deadline is a minute away.
func (i *Issuer) Probe(ctx context.Context, c *connection.Connection, at Location, permissions ...permission.Permission) (*influx.Authorization, error) {
	return i.Create(ctx, c, Spec{
		Role:        ProbeRole,
		Text:        "Made by Vault to try its root token",
		Permissions: permissions,
		OrgID:       at.OrgID,
		OwnerID:     at.UserID,
		Deadline:    i.mount.Now().Add(mount.DeadlineMargin),
		Inactive:    true,
	})
}

// Try creates a token that can't be used and deletes it: it reports whether the root token may grant the permissions.
func (i *Issuer) Try(ctx context.Context, c *connection.Connection, at Location, permissions ...permission.Permission) error {
	probe, err := i.Probe(ctx, c, at, permissions...)
	if probe != nil {
		err = errors.Join(err, c.Delete(context.WithoutCancel(ctx), probe.ID))
	}
	return err
}

// MinimalGrant is what every root token must hold, and so can grant: in InfluxDB 3, which has no organizations, everything.
func MinimalGrant(orgID string) permission.Permission {
	if orgID == "" {
		return permission.Permission{Action: permission.Write, Type: permission.Admin}
	}
	return permission.Permission{Action: permission.Write, Type: "authorizations", OrgID: orgID}
}

// Permissions are an authorization's permissions as the language of grants has them.
func Permissions(a *influx.Authorization) []permission.Permission {
	permissions := make([]permission.Permission, len(a.Permissions))
	for i, p := range a.Permissions {
		permissions[i] = permission.Permission{Action: p.Action, Type: p.Resource.Type, ID: p.Resource.ID, OrgID: p.Resource.OrgID}
	}
	return permissions
}

// Location is where a token is: InfluxDB shows it to a root token that may read the authorizations of the organization
// and the owner. An empty UserID is the root token's own user.
type Location struct{ OrgID, UserID string }

// DefaultLocation is where a connection's tokens are unless a role says otherwise.
func DefaultLocation(ctx context.Context, c *connection.Connection) (Location, error) {
	orgID, userID, err := c.Defaults(ctx)
	return Location{orgID, userID}, err
}

// Owned returns the stamp of a token that is this mount's.
func (i *Issuer) Owned(a *influx.Authorization) (Stamp, bool) {
	st, ok := ParseStamp(a.Description)
	return st, ok && st.Mount == i.mount.UUID
}

// LiveLease reports whether a stamp is of a token of this mount that belongs to a lease and is not past its deadline.
func (i *Issuer) LiveLease(st Stamp, now time.Time) bool {
	return st.Mount == i.mount.UUID && st.Kind == Lease && st.Role != ProbeRole && st.Deadline.After(now)
}

// IncompleteListError says that the root token is not shown all tokens of a location.
type IncompleteListError struct{ At Location }

// Incomplete returns an IncompleteListError that names the root token's own user, where it is known.
func Incomplete(c *connection.Connection, at Location) error {
	at.UserID = cmp.Or(at.UserID, c.RootUserID())
	return &IncompleteListError{at}
}

// Error names the permissions that the root token lacks.
func (e *IncompleteListError) Error() string {
	return fmt.Sprintf("the root token is not shown the list of tokens: it lacks read:orgs/%s/authorizations or read:users/%s; see docs/root-token.md", e.At.OrgID, cmp.Or(e.At.UserID, "<owner>"))
}

// Listing is what is known of a list of all tokens besides the tokens.
type Listing struct {
	// Complete are the locations of which all tokens are shown. One that is gone, and all that a token there could do with
	// it, is among them.
	Complete map[Location]bool
	// Proven says that a token was shown that is known to live. Where none is, none may have been.
	Proven bool
	// Answered and Date are the times of the answer by our clock and by InfluxDB's; Date is zero where it did not tell.
	Answered, Date time.Time
}

// ListVerified hands every token of an InfluxDB to visit, and returns of which locations the list is complete: InfluxDB
// answers a token that may not read authorizations with 200 and leaves them out, so a probe is created in each location
// first, and has to be in the list. A location where the root token may not create one is not complete; in the first, the
// default one, that is an error. So is a list of another InfluxDB at the same address, which says nothing of ours. What
// visit is handed is valid only during the call; before the first one l has the times. InfluxDB 3 refuses who may not see
// all tokens, so that it needs no probe.
func (i *Issuer) ListVerified(ctx context.Context, c *connection.Connection, at []Location, l *Listing, visit func(*influx.Listed)) (err error) {
	probes := map[string]Location{}
	defer func() {
		for id := range probes {
			err = errors.Join(err, c.Delete(context.WithoutCancel(ctx), id))
		}
	}()
	l.Complete = map[Location]bool{}
	if c.Client.ListsAll() {
		for _, location := range at {
			l.Complete[location] = true
		}
		at, l.Proven = nil, true
	}
	for n, location := range at {
		probe, probeErr := i.Probe(ctx, c, location, MinimalGrant(location.OrgID))
		if probe != nil {
			probes[probe.ID] = location
		}
		switch {
		case probeErr == nil:
		case LocationGone(probeErr):
			l.Complete[location] = true
		case n == 0 || !refused(probeErr):
			return probeErr
		}
	}
	if err := i.probeElsewhere(ctx, c, probes); err != nil {
		return err
	}
	dated := func(date time.Time) { l.Answered, l.Date = i.mount.Now(), date }
	rootID := c.RootID()
	err = c.Client.ScanAuthorizations(ctx, dated, func(a *influx.Listed) {
		l.Proven = l.Proven || string(a.ID) == rootID && rootID != ""
		if location, isProbe := probes[string(a.ID)]; isProbe {
			l.Complete[location], l.Proven = true, true
		} else if len(a.ID) > 0 {
			visit(a)
		}
	})
	if err == nil {
		_, err = c.Identify(ctx) // the list of another InfluxDB says nothing of ours
	}
	return err
}

// probeElsewhere makes a probe in an organization that the root token was shown, where all locations that were asked for are
// gone: whether it is shown tokens at all has to be seen.
func (i *Issuer) probeElsewhere(ctx context.Context, c *connection.Connection, probes map[string]Location) error {
	if c.Found == nil {
		return nil
	}
	for _, orgID := range c.Found.OrgIDs {
		if len(probes) > 0 {
			break
		}
		at := Location{OrgID: orgID}
		probe, err := i.Probe(ctx, c, at, MinimalGrant(orgID))
		if probe != nil {
			probes[probe.ID] = at
		}
		if err != nil && !refused(err) {
			return err
		}
	}
	return nil
}

// ListDefault is ListVerified of the default location, whose list has to be complete.
func (i *Issuer) ListDefault(ctx context.Context, c *connection.Connection, visit func(*influx.Listed)) error {
	at, err := DefaultLocation(ctx, c)
	if err != nil {
		return err
	}
	var l Listing
	err = i.ListVerified(ctx, c, []Location{at}, &l, visit)
	if err == nil && (!l.Complete[at] || !l.Proven) {
		err = Incomplete(c, at)
	}
	return err
}

// LocationGone reports whether InfluxDB refused to create a token because the organization or the owner does not exist: 400
// is all that it says of either. 413 and 422, which are influx.Invalid as well, say nothing of them.
func LocationGone(err error) bool {
	failed, ok := errors.AsType[*influx.Error](err)
	return ok && failed.Kind == influx.Invalid && failed.Status == http.StatusBadRequest
}

// refused reports whether InfluxDB itself said no, rather than being out of reach.
func refused(err error) bool {
	failed, ok := errors.AsType[*influx.Error](err)
	return ok && failed.NotApplied() && failed.FromInfluxDB() && failed.Kind != influx.Unavailable
}
