package backend

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// What config assumes where nothing is written: seconds, connections.
const (
	defaultRequestTimeout = 10
	defaultConnections    = 64
	maxConnections        = 10000
)

// change is a write of the configuration.
type change struct {
	mount string
	apply func(*store.Connection)
	// withToken says that the write holds a token.
	withToken       bool
	unverified      bool
	abandonPrevious bool
}

// configure lays a change over the stored connection, tries it, and stores it. Nothing is stored unless all
// of it is right. One write is under way at a time.
func (b *backend) configure(ctx context.Context, s logical.Storage, ch change) ([]string, error) {
	release, err := b.configuringAlone(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := b.settleIfPossible(ctx, s); err != nil {
		return nil, err
	}
	old, err := store.GetConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	candidate := &store.Connection{TidyInterval: defaultTidyInterval}
	if old != nil {
		*candidate = *old
	}
	candidate.Retired = nil
	ch.apply(candidate)
	given := candidate.Token
	rootWarnings := keepRotatedRoot(old, candidate)
	kept := candidate.Token != given
	if err := checkConnection(candidate, b.now()); err != nil {
		return nil, err
	}
	b.planRotation(old, candidate)
	if err := checkMove(old, candidate, ch.withToken, kept); err != nil {
		return nil, err
	}
	if candidate.ID, err = uuid.GenerateUUID(); err != nil {
		return nil, err
	}
	if candidate.Revision, err = uuid.GenerateUUID(); err != nil {
		return nil, err
	}
	warnings, err := b.examine(ctx, candidate, old, ch)
	if err != nil && kept {
		err = fmt.Errorf("%w\ntoken: the one in this write was rotated away, and the stored one was tried; where InfluxDB was restored and knows that one again, delete the configuration and write it anew, see docs/recovery.md", err)
	}
	if err != nil {
		return nil, err
	}
	more, err := b.replace(ctx, s, old, candidate, ch)
	if err != nil {
		return nil, err
	}
	b.rootAttempts.ended(nil, b.now()) // what a rotation failed for may be mended
	return slices.Concat(rootWarnings, warnings, more), nil
}

// configuringAlone waits for its turn to write the configuration, and has it read afresh: on a node that has just
// become active what is kept may be old.
func (b *backend) configuringAlone(ctx context.Context) (release func(), err error) {
	select {
	case b.configuring <- struct{}{}:
		b.forget(store.ConfigKey)
		return func() { <-b.configuring }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// examine fills in what is found out about the candidate, or keeps what is known of it.
func (b *backend) examine(ctx context.Context, candidate, old *store.Connection, ch change) ([]string, error) {
	var warnings []string
	if candidate.TLSSkipVerify {
		warnings = append(warnings, "tls_skip_verify: any certificate is accepted; whoever stands between Vault and InfluxDB can read the root token")
	}
	if candidate.TidyInterval == 0 {
		warnings = append(warnings, "tidy_interval: 0; tokens that a crash or a lost answer left behind stay in InfluxDB until tidy is run by hand")
	}
	if !ch.unverified {
		found, more, err := b.verify(ctx, candidate)
		candidate.Found = found
		return append(warnings, more...), err
	}
	if old == nil || old.URL != candidate.URL || old.Token != candidate.Token || old.Org != candidate.Org ||
		old.OrgID != candidate.OrgID || old.User != candidate.User || old.UserID != candidate.UserID {
		candidate.Found = nil
	}
	return append(warnings, "verify_connection: the settings were stored without being tried"), nil
}

// checkConnection checks the form of the fields; every problem comes in one answer.
func checkConnection(c *store.Connection, now time.Time) error {
	problems := checkPlan(c.RotationPlan, now)
	problem := problems.Add
	switch {
	case c.Token == "":
		problem("token", "missing; the root token of InfluxDB, see docs/root-token.md")
	case !isHeaderText(c.Token):
		problem("token", "holds a character that no token has; allowed: printable ASCII without spaces")
	}
	for _, id := range []struct{ field, value string }{
		{"authorization_id", c.AuthorizationID}, {"org_id", c.OrgID}, {"user_id", c.UserID},
	} {
		if id.value != "" && !permission.IsID(id.value) {
			// Not repeated: a token could have been written here by mistake.
			problem(id.field, "must be an ID of 16 hexadecimal digits")
		}
	}
	if c.Org != "" && c.OrgID != "" {
		problem("org", "give either org or org_id")
	}
	if c.User != "" && c.UserID != "" {
		problem("user", "give either user or user_id")
	}
	return errors.Join(checkReach(c), problems.Err())
}

// checkReach is the part of checkConnection that says how to reach InfluxDB.
func checkReach(c *store.Connection) error {
	var problems permission.Problems
	problem := problems.Add
	if c.URL == "" {
		problem("url", "missing; the base URL of InfluxDB, such as https://influxdb.example:8086")
	} else if reason := badURL(c.URL); reason != "" {
		problem("url", "%s", reason)
	}
	if reason := badURL(c.ExternalURL); c.ExternalURL != "" && reason != "" {
		problem("external_url", "%s", reason)
	}
	if c.RequestTimeout < 1 || c.RequestTimeout > maxRequestTimeout {
		problem("request_timeout", "must be 1s to 1m")
	}
	if c.MaxOpenConnections < 1 || c.MaxOpenConnections > maxConnections {
		problem("max_open_connections", "must be 1 to %d", maxConnections)
	}
	_, tlsProblems := tlsOptions(c).Config()
	return errors.Join(problems.Err(), tlsProblems)
}

// checkMove keeps the stored token from being sent to another host: whoever may write the configuration could have it
// sent to a server of their own. kept says that the stored one took the place of the one that was given.
func checkMove(old, candidate *store.Connection, withToken, kept bool) error {
	switch {
	case old == nil || !movedHost(old.URL, candidate.URL):
	case kept:
		return badInput("token: this one was rotated away, and the current one is not sent to another host than %s; give one that the InfluxDB there knows%s", old.URL, unchanged)
	case !withToken:
		return badInput("url: leads to another host than %s; give its token in the same write, so that nobody can have the stored one sent elsewhere%s", old.URL, unchanged)
	}
	return nil
}

// movedHost reports whether two URLs lead to different hosts, ports or schemes.
func movedHost(a, b string) bool {
	from, errA := url.Parse(a)
	to, errB := url.Parse(b)
	return errA == nil && errB == nil && (from.Scheme != to.Scheme || !strings.EqualFold(from.Host, to.Host))
}

func badURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return "must be an http or https URL, such as https://influxdb.example:8086"
	case u.User != nil:
		return "holds a user name; the token is written to the token field"
	case u.RawQuery != "" || u.Fragment != "":
		return "holds a query or a fragment; write the base URL alone"
	}
	return ""
}

// isHeaderText reports whether a token can stand in an HTTP header.
func isHeaderText(s string) bool {
	return !slices.ContainsFunc([]byte(s), func(c byte) bool { return c <= ' ' || c > '~' })
}

// disconnect leaves the mount without a connection. The old one is kept for the leases that need it.
func (b *backend) disconnect(ctx context.Context, s logical.Storage) error {
	release, err := b.configuringAlone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := b.settleIfPossible(ctx, s); err != nil {
		return err
	}
	config, err := store.GetConfig(ctx, s)
	if err != nil || config == nil {
		return err
	}
	if err := b.keepRetired(ctx, s, config, false); err != nil {
		return err
	}
	if err := store.DeleteConfig(ctx, s); err != nil {
		return err
	}
	b.rootAttempts.ended(nil, b.now())
	return nil
}
