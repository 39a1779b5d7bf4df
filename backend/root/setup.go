package root

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// Bounds of what InfluxDB takes in a setup.
const (
	// minRetention, in seconds: with a shorter one the server answers 500 and is left half set up (measured).
	minRetention = 3600
	minPassword  = 8
	maxPassword  = 72
)

// validateSetup checks what InfluxDB would refuse, or be left half set up by.
func validateSetup(o influx.SetupRequest) error {
	var problems problem.List
	for _, required := range []struct{ field, value string }{{"username", o.Username}, {"org", o.Org}, {"bucket", o.Bucket}} {
		if required.value == "" {
			problems.Add(required.field, "missing")
		}
	}
	if length := len(o.Password); length > 0 && (length < minPassword || length > maxPassword) {
		problems.Add("password", "must have 8 to 72 bytes")
	}
	if o.RetentionSeconds != 0 && o.RetentionSeconds < minRetention {
		problems.Add("retention_period", "must be 1h or more, or 0 for ever")
	}
	return problems.Err()
}

// SetUp sets a fresh InfluxDB up and returns the connection to it, which is stored. Its operator token is a random value of
// ours, written down before the call, so that a lost answer loses nothing; it is shown to nobody.
//
// InfluxDB 3 chooses that value, so that a lost answer loses it; there a token of the mount's own takes its place at once.
func (r *Root) SetUp(ctx context.Context, s logical.Storage, mountPath string, c *store.Connection, o influx.SetupRequest) (created *store.Connection, warnings []string, err error) {
	if err := verify.ReachForm(c); err != nil {
		return nil, nil, errors.Join(validateSetup(o), err)
	}
	is3, err := r.is3(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if !is3 {
		if err := validateSetup(o); err != nil {
			return nil, nil, err
		}
		created, err = r.setUp(ctx, s, mountPath, c, o, r.setUp2)
		return created, nil, err
	}
	if _, err = r.setUp(ctx, s, mountPath, c, o, r.setUp3); err != nil {
		return nil, nil, err
	}
	if warnings, err = r.Rotate(context.WithoutCancel(ctx), s, mountPath, ""); err != nil {
		warnings = []string{fmt.Sprintf("InfluxDB is set up, but its operator token is still the root token; run vault write -f %sconfig/rotate-root: %v", mountPath, err)}
	}
	created, err = store.Config.Get(ctx, s)
	return created, warnings, err
}

// setUp makes one of the setups while nobody else changes the configuration. It goes on when its caller has gone.
func (r *Root) setUp(ctx context.Context, s logical.Storage, mountPath string, c *store.Connection, o influx.SetupRequest,
	of func(context.Context, logical.Storage, string, *store.Connection, influx.SetupRequest) (*store.Connection, error),
) (*store.Connection, error) {
	unlock, err := r.pool.LockConfig(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.RotationTimeout)
	defer cancel()
	return of(ctx, s, mountPath, c, o)
}

// setUp2 makes the setup of an InfluxDB 2.
func (r *Root) setUp2(ctx context.Context, s logical.Storage, mountPath string, c *store.Connection, o influx.SetupRequest) (*store.Connection, error) {
	intention, err := store.RootIntentions.Get(ctx, s)
	if err != nil {
		return nil, err
	}
	var interrupted *store.Connection // that an earlier call was setting up
	if intention != nil {
		interrupted = intention.Setup
	}
	if interrupted != nil && interrupted.URL != c.URL {
		return nil, problem.InField("url", "a setup of %s was cut off; finish that one first", interrupted.URL)
	}
	err = r.Recover(ctx, s)
	again := interrupted != nil && errors.Is(err, ErrSetupPending)
	if err != nil && !again {
		return nil, err
	}
	config, err := store.Config.Get(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case config != nil && interrupted != nil && config.Token == interrupted.Token:
		return config, nil // it had been carried out
	case config != nil:
		return nil, configured(config, mountPath)
	}
	random := make([]byte, 64) // as long as InfluxDB's own
	_, _ = rand.Read(random)   // never fails: it ends the program first
	c.Token = base64.URLEncoding.EncodeToString(random)
	if again { // whichever call InfluxDB carries out, the token is known
		c.Token = interrupted.Token
	}
	c.ID = rand.Text()
	return r.onboard(ctx, s, &store.RootIntention{Nonce: token.NewNonce(), Since: r.mount.Now().UTC(), Setup: c}, o, again)
}

// configured says that the mount has a connection.
func configured(config *store.Connection, mountPath string) error {
	return problem.InField("url", "the mount is connected to %s; config/setup is for a fresh InfluxDB and a mount without a configuration (vault delete %sconfig)", config.URL, mountPath)
}

// onboard asks InfluxDB for the setup, once its intention is stored, and stores the connection. again says that an earlier
// call asked with the same token.
func (r *Root) onboard(ctx context.Context, s logical.Storage, i *store.RootIntention, o influx.SetupRequest, again bool) (*store.Connection, error) {
	c, err := r.pool.Dial(i.Setup)
	if err != nil {
		return nil, err
	}
	defer c.Client.Close()
	server, err := r.setupAllowed(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := store.RootIntentions.Put(ctx, s, i); err != nil {
		return nil, err
	}
	o.Token = c.Token
	answer, err := c.V2.Setup(ctx, o)
	if err != nil {
		return nil, failedSetup(ctx, s, err, again)
	}
	config := i.Setup
	config.AuthorizationID, config.RootNonce = answer.AuthorizationID, i.Nonce
	config.Org = o.Org
	config.Found = &store.Found{
		OrgIDs: []string{answer.OrgID}, DefaultOrg: o.Org, DefaultOrgID: answer.OrgID,
		RootUser: o.Username, RootUserID: answer.UserID, ServerVersion: server.Version,
	}
	r.mount.Log.Info("InfluxDB was set up", "url", config.URL, "authorization_id", config.AuthorizationID, "role", token.RootRole)
	return config, r.storeSetup(ctx, s, config)
}

// setupAllowed refuses a server that is no InfluxDB 2, or is set up.
func (r *Root) setupAllowed(ctx context.Context, c *connection.Connection) (influx.Server, error) {
	server, err := r.verifier.Server(ctx, c)
	if err != nil {
		return influx.Server{}, err
	}
	allowed, err := c.V2.SetupAllowed(ctx)
	if influx.Is(err, influx.NoSuchPath) {
		return influx.Server{}, problem.InField("url", "InfluxDB at %s has no setup, as InfluxDB Cloud has none; write its url and a token of it to config instead", c.Client.URL())
	}
	if err != nil {
		return influx.Server{}, verify.Explain(c, &store.Found{}, err)
	}
	if !allowed {
		return influx.Server{}, problem.InField("url", "InfluxDB at %s is set up already; write its url and a token of it to config instead", c.Client.URL())
	}
	return server, nil
}

// failedSetup says in the caller's terms what a failed call means. InfluxDB's own no ends the intention, unless the call
// was made again: the earlier one may be carried out all the same.
func failedSetup(ctx context.Context, s logical.Storage, err error, again bool) error {
	failed, ok := errors.AsType[*influx.Error](err)
	if !ok || !failed.NotApplied() {
		return fmt.Errorf("%w; whether InfluxDB is set up now is not known: call config/setup again, or wait some minutes", err)
	}
	refused := &problem.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("InfluxDB refused the setup: %v", failed), Cause: failed}
	if again {
		return errors.Join(refused, ErrSetupPending)
	}
	return errors.Join(refused, store.RootIntentions.Delete(ctx, s))
}

// storeSetup makes the connection to an InfluxDB that was set up the current one.
func (r *Root) storeSetup(ctx context.Context, s logical.Storage, c *store.Connection) error {
	c.NextRotation = rotation.Next(c.RotationPlan, r.mount.Now())
	if err := putConfig(ctx, s, c); err != nil {
		return fmt.Errorf("InfluxDB is set up, and its token is written down, but not as the configuration yet; that is tried again by itself: %w", err)
	}
	if err := store.RootIntentions.Delete(ctx, s); err != nil {
		r.mount.Log.Warn("the intention of a setup that is done is still in storage", "error", err)
	}
	return nil
}

// ErrSetupPending is a setup that was cut off and may still be carried out.
var ErrSetupPending = errors.New("a setup of InfluxDB was cut off, and InfluxDB does not show yet what became of it; call config/setup again, or wait some minutes")

// recoverSetup finishes a setup that was cut off, if InfluxDB carried it out.
func (r *Root) recoverSetup(ctx context.Context, s logical.Storage, i *store.RootIntention) error {
	config, err := store.Config.Get(ctx, s)
	if err != nil {
		return err
	}
	if config != nil {
		if config.Token != i.Setup.Token {
			r.mount.Log.Error("a setup of InfluxDB was cut off, and another configuration was written meanwhile; should it have been carried out, nobody knows its operator token", "role", token.RootRole, "url", i.Setup.URL)
		}
		return store.RootIntentions.Delete(ctx, s)
	}
	c, err := r.pool.Dial(i.Setup)
	if err != nil {
		return err
	}
	defer c.Client.Close()
	_, err = c.V2.Me(ctx)
	switch {
	case influx.Is(err, influx.BadToken) && r.mount.Now().Sub(i.Since) < mount.InterruptedAge:
		return ErrSetupPending
	case influx.Is(err, influx.BadToken):
		r.mount.Log.Warn("a setup of InfluxDB that was cut off was not carried out", "url", i.Setup.URL)
		return store.RootIntentions.Delete(ctx, s)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrSetupPending, err)
	}
	done := *i.Setup
	result, err := r.verifier.Verify(ctx, i.Setup)
	if err != nil {
		r.mount.Log.Warn("InfluxDB was set up, but is not as it should be", "url", done.URL, "error", err)
	} else {
		done.Found = result.Found
	}
	r.mount.Log.Info("a setup of InfluxDB that was cut off had been carried out", "url", done.URL)
	return r.storeSetup(ctx, s, &done)
}
