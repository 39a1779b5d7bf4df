// Package config writes, replaces and deletes the mount's connection, and deletes those that were current once.
package config

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/background"
	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/root"
	"vault-plugin-secrets-influxdb/backend/static"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// What a connection has where nothing else is written.
const (
	DefaultRequestTimeout = 10 // seconds
	DefaultConnections    = 64
)

// Writer changes the mount's connection.
type Writer struct {
	mount    *mount.Mount
	pool     *connection.Pool
	root     *root.Root
	verifier *verify.Verifier
	statics  *static.Roles
	revoker  *revoke.Revoker
	tidier   *tidy.Tidier
	issuer   *token.Issuer
	counter  *lease.Counter

	// collection is when the former connections are looked at next.
	collection background.Timer
}

// New returns the mount's Writer.
func New(m *mount.Mount, pool *connection.Pool, root *root.Root, verifier *verify.Verifier, statics *static.Roles, revoker *revoke.Revoker, tidier *tidy.Tidier, issuer *token.Issuer, counter *lease.Counter) *Writer {
	return &Writer{mount: m, pool: pool, root: root, verifier: verifier, statics: statics, revoker: revoker, tidier: tidier, issuer: issuer, counter: counter}
}

// Change is a write of the configuration.
type Change struct {
	// MountPath is the mount's path, for messages.
	MountPath string
	// Apply sets the fields that the request gives.
	Apply func(*store.Connection)
	// WithToken says that the request gives a token.
	WithToken bool
	// WithProduct says that the request gives the product, which a verification finds.
	WithProduct bool
	// Unverified stores the connection without trying it.
	Unverified bool
	// AbandonPrevious gives up the tokens on the previous InfluxDB, where the change leads to another one.
	AbandonPrevious bool
}

// unchanged ends the errors that an operator could take for a change that was stored in part.
const unchanged = "; the stored configuration is unchanged"

// Write applies a change to the stored connection, tries the result, and stores it. Nothing is stored unless all of it
// is right. One write is under way at a time.
func (w *Writer) Write(ctx context.Context, s logical.Storage, ch Change) (warnings []string, err error) {
	unlock, err := w.pool.LockConfig(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := w.root.RecoverIfPossible(ctx, s); err != nil {
		return nil, err
	}
	old, err := store.Config.Get(ctx, s)
	if err != nil {
		return nil, err
	}
	candidate := &store.Connection{TidyInterval: tidy.DefaultInterval}
	if old != nil {
		*candidate = *old
	}
	candidate.Former = nil
	ch.Apply(candidate)
	forgetName(old, candidate)
	given := candidate.Token
	warnings = root.KeepRotated(old, candidate)
	keepsRoot := candidate.Token != given
	if err := w.check(old, candidate, ch, keepsRoot); err != nil {
		return nil, err
	}
	candidate.ID, candidate.Revision = rand.Text(), rand.Text()
	product := candidate.Product
	more, err := w.verify(ctx, candidate, old, ch.Unverified)
	if found := candidate.Product; err == nil && ch.WithProduct && product != found {
		err = problem.InField("product", "this is %s; leave it out: it is found by itself where the settings are tried", found)
	}
	if err != nil && keepsRoot {
		err = fmt.Errorf("%w\ntoken: the one in this write was rotated away, and the stored one was tried; where InfluxDB was restored and knows that one again, delete the configuration and write it anew, see docs/recovery.md", err)
	}
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, more...)
	more, err = w.replace(ctx, s, old, candidate, ch)
	if err != nil {
		return nil, err
	}
	w.root.ResetBackoff() // why a rotation failed may be mended
	return append(warnings, more...), nil
}

// check refuses a candidate that is wrong by its form, or would have the stored token sent elsewhere.
func (w *Writer) check(old, candidate *store.Connection, ch Change, keepsRoot bool) error {
	var before store.RotationPlan
	if old != nil {
		before = old.RotationPlan
	}
	problems := problem.List{verify.Form(candidate, before, w.mount.Now())}
	if ch.Unverified { // else which product it is, is found
		problems = append(problems, verify.Without(candidate))
	}
	if err := problems.Err(); err != nil {
		return err
	}
	w.root.Plan(old, candidate)
	return checkHostChange(old, candidate, ch.WithToken, keepsRoot)
}

// forgetName takes an authorization_id out of a write that is the one that is read of an InfluxDB 3: the name of the root token,
// which InfluxDB tells itself. Terraform writes back what it has read.
func forgetName(old, candidate *store.Connection) {
	if old != nil && !old.Product.IsV2() && candidate.RootNonce == "" && strings.EqualFold(candidate.AuthorizationID, old.RootID()) {
		candidate.AuthorizationID = ""
	}
}

// checkHostChange keeps the stored token from being sent to another host: whoever may write the configuration could have
// it sent to a server of their own. keepsRoot says that the stored token stays instead of the one that was given.
func checkHostChange(old, candidate *store.Connection, withToken, keepsRoot bool) error {
	switch {
	case old == nil || !otherHost(old.URL, candidate.URL):
	case keepsRoot:
		return problem.BadInput("token: this one was rotated away, and the current one is not sent to another host than %s; give one that the InfluxDB there knows%s", old.URL, unchanged)
	case !withToken:
		return problem.BadInput("url: leads to another host than %s; give its token in the same write, so that nobody can have the stored one sent elsewhere%s", old.URL, unchanged)
	}
	return nil
}

// otherHost reports whether two URLs lead to different hosts, ports or schemes.
func otherHost(a, b string) bool {
	from, errA := url.Parse(a)
	to, errB := url.Parse(b)
	return errA == nil && errB == nil && (from.Scheme != to.Scheme || !strings.EqualFold(from.Host, to.Host))
}

// verify fills in what is found out about the candidate; unverified keeps what is known of the same settings.
func (w *Writer) verify(ctx context.Context, candidate, old *store.Connection, unverified bool) ([]string, error) {
	var warnings []string
	if candidate.TLSSkipVerify {
		warnings = append(warnings, "tls_skip_verify: any certificate is accepted; whoever stands between Vault and InfluxDB can read the root token")
	}
	if candidate.TidyInterval == 0 {
		warnings = append(warnings, "tidy_interval: 0; tokens that a crash or a lost answer left behind stay in InfluxDB until tidy is run by hand")
	}
	if unverified {
		if old == nil || old.URL != candidate.URL || old.Token != candidate.Token || old.Org != candidate.Org ||
			old.OrgID != candidate.OrgID || old.User != candidate.User || old.UserID != candidate.UserID || old.Product != candidate.Product {
			candidate.Found = nil
		}
		return append(warnings, "verify_connection: the settings were stored without being tried"), nil
	}
	result, err := w.verifier.Verify(ctx, candidate)
	if err != nil {
		return nil, withUnchanged(old, err)
	}
	candidate.Found, candidate.Product = result.Found, result.Product
	return slices.Concat(warnings, result.Warnings), nil
}

// withUnchanged adds to an error that says what is wrong with a connection that the stored one stays, if there is one.
func withUnchanged(old *store.Connection, err error) error {
	if _, rejected := errors.AsType[*verify.Rejection](err); rejected && old != nil {
		return fmt.Errorf("%w%s", err, unchanged)
	}
	return err
}

// Delete leaves the mount without a connection. The old one is kept for the leases that need it.
func (w *Writer) Delete(ctx context.Context, s logical.Storage) error {
	unlock, err := w.pool.LockConfig(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := w.root.RecoverIfPossible(ctx, s); err != nil {
		return err
	}
	config, err := store.Config.Get(ctx, s)
	if err != nil || config == nil {
		return err
	}
	if err := w.keepFormer(ctx, s, config, false); err != nil {
		return err
	}
	if err := store.Config.Delete(ctx, s); err != nil {
		return err
	}
	w.root.ResetBackoff()
	return nil
}
