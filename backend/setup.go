package backend

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/store"
)

// Bounds of what InfluxDB takes in a setup.
const (
	// minRetention, in seconds: with a shorter one the server answers 500 and is left half set up (measured).
	minRetention = 3600
	minPassword  = 8
	maxPassword  = 72
)

// founding is what a fresh InfluxDB is set up with.
type founding struct {
	username, password, org, bucket string
	// retention is in seconds; 0 keeps data for ever.
	retention int
}

// setUp sets a fresh InfluxDB up. Its operator token is a random value of ours, written down before the call, so that
// a lost answer loses nothing; it goes into the configuration and is shown to nobody.
func (b *backend) setUp(ctx context.Context, s logical.Storage, mount string, c *store.Connection, f founding) (*store.Connection, error) {
	release, err := b.configuringAlone(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rotationTimeout)
	defer cancel()
	interrupted, err := store.GetRootIntention(ctx, s)
	if err != nil {
		return nil, err
	}
	var cutOff *store.Connection // what an earlier call was setting up
	if interrupted != nil {
		cutOff = interrupted.Setup
	}
	if cutOff != nil && cutOff.URL != c.URL {
		return nil, badInput("url: a setup of %s was cut off; finish that one first", cutOff.URL)
	}
	if err := b.settleRoot(ctx, s); err != nil && !errors.Is(err, errSetupOpen) {
		return nil, err
	}
	config, err := store.GetConfig(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case config != nil && cutOff != nil && config.Token == cutOff.Token:
		return config, nil // it had been carried out
	case config != nil:
		return nil, badInput("url: the mount is connected to %s; config/setup is for a fresh InfluxDB and a mount without a configuration (vault delete %sconfig)", config.URL, mount)
	}
	intention, err := b.setupIntention(ctx, s, c)
	if err != nil {
		return nil, err
	}
	e, err := dial(intention.Setup)
	if err != nil {
		return nil, err
	}
	defer e.client.Close()
	server, err := setupAllowed(ctx, e)
	if err != nil {
		return nil, err
	}
	if err := store.PutRootIntention(ctx, s, intention); err != nil {
		return nil, err
	}
	answer, err := e.client.Setup(ctx, onboarding(f, e.Token))
	if err != nil {
		return nil, failedSetup(ctx, s, err, cutOff != nil && e.Token == cutOff.Token)
	}
	founded := intention.Setup
	founded.AuthorizationID, founded.RootNonce = *answer.Auth.Id, intention.Nonce
	founded.Org = f.org
	founded.Found = &store.Found{
		OrgIDs: []string{*answer.Org.Id}, DefaultOrg: f.org, DefaultOrgID: *answer.Org.Id,
		RootUser: f.username, RootUserID: *answer.User.Id, ServerVersion: server.Version,
	}
	b.log.Info("InfluxDB was set up", "url", c.URL, "authorization_id", founded.AuthorizationID, "role", rootRole)
	return founded, b.storeSetup(ctx, s, founded)
}

// setupIntention is a new one, or the one of a setup that was cut off: with its token, so that whichever call
// InfluxDB carries out, the token is known.
func (b *backend) setupIntention(ctx context.Context, s logical.Storage, c *store.Connection) (*store.RootIntention, error) {
	token := make([]byte, 64) // as long as InfluxDB's own
	_, _ = rand.Read(token)   // never fails: it ends the program first
	c.Token = base64.URLEncoding.EncodeToString(token)
	intention, err := store.GetRootIntention(ctx, s)
	if err != nil {
		return nil, err
	}
	if intention != nil && intention.Setup != nil {
		c.Token = intention.Setup.Token
	}
	if c.ID, err = uuid.GenerateUUID(); err != nil {
		return nil, err
	}
	if c.Revision, err = uuid.GenerateUUID(); err != nil {
		return nil, err
	}
	return &store.RootIntention{Nonce: newNonce(), Since: b.now().UTC(), Setup: c}, nil
}

// setupAllowed refuses a server that is no InfluxDB 2, or is set up.
func setupAllowed(ctx context.Context, e *endpoint) (influx.Server, error) {
	v := verification{e: e, found: &store.Found{}}
	if err := v.server(ctx); err != nil {
		return influx.Server{}, err
	}
	allowed, err := e.client.SetupAllowed(ctx)
	if err != nil {
		return influx.Server{}, v.told(err)
	}
	if !allowed {
		return influx.Server{}, badInput("url: InfluxDB at %s is set up already; write its url and a token of it to config instead", e.client.URL())
	}
	return v.pinged, nil
}

// onboarding is a founding as InfluxDB's API takes it.
func onboarding(f founding, token string) domain.OnboardingRequest {
	r := domain.OnboardingRequest{Username: f.username, Org: f.org, Bucket: f.bucket, Token: &token, Password: optional(&f.password)}
	if f.retention > 0 {
		seconds := int64(f.retention)
		r.RetentionPeriodSeconds = &seconds
	}
	return r
}

// failedSetup says in the caller's terms what a failed call means. InfluxDB's own no ends the intention, unless the
// call was made again: the earlier one may be carried out all the same.
func failedSetup(ctx context.Context, s logical.Storage, err error, again bool) error {
	var failed *influx.Error
	if !errors.As(err, &failed) || !failed.NotApplied() {
		return fmt.Errorf("%w; whether InfluxDB is set up now is not known: call config/setup again, or wait some minutes", err)
	}
	refused := &told{http.StatusBadRequest, fmt.Sprintf("InfluxDB refused the setup: %v", failed), failed}
	if again {
		return errors.Join(refused, errSetupOpen)
	}
	return errors.Join(refused, store.DeleteRootIntention(ctx, s))
}

// storeSetup makes the connection to an InfluxDB that was set up the current one.
func (b *backend) storeSetup(ctx context.Context, s logical.Storage, c *store.Connection) error {
	c.NextRotation = nextRotation(c.RotationPlan, b.now())
	if err := b.putConfig(ctx, s, c); err != nil {
		return fmt.Errorf("InfluxDB is set up, and its token is written down, but not as the configuration yet; that is tried again by itself: %w", err)
	}
	if err := store.DeleteRootIntention(ctx, s); err != nil {
		b.log.Warn("the intention of a setup that is done is still in storage", "error", err)
	}
	return nil
}

// errSetupOpen is a setup that was cut off and may still be carried out.
var errSetupOpen = errors.New("a setup of InfluxDB was cut off, and InfluxDB does not show yet what became of it; call config/setup again, or wait some minutes")

// settleSetup finishes a setup that was cut off, if InfluxDB carried it out.
func (b *backend) settleSetup(ctx context.Context, s logical.Storage, i *store.RootIntention) error {
	config, err := store.GetConfig(ctx, s)
	if err != nil {
		return err
	}
	if config != nil {
		if config.Token != i.Setup.Token {
			b.log.Error("a setup of InfluxDB was cut off, and another configuration was written meanwhile; should it have been carried out, nobody knows its operator token", "role", rootRole, "url", i.Setup.URL)
		}
		return store.DeleteRootIntention(ctx, s)
	}
	e, err := dial(i.Setup)
	if err != nil {
		return err
	}
	defer e.client.Close()
	_, err = e.client.Me(ctx)
	if err == nil {
		founded := *i.Setup
		if founded.Found, _, err = b.verify(ctx, i.Setup); err != nil {
			b.log.Warn("InfluxDB was set up, but is not as it should be", "url", founded.URL, "error", err)
		}
		b.log.Info("a setup of InfluxDB that was cut off had been carried out", "url", founded.URL)
		return b.storeSetup(ctx, s, &founded)
	}
	if !influx.Is(err, influx.BadToken) {
		return fmt.Errorf("%w: %w", errSetupOpen, err)
	}
	if b.now().Sub(i.Since) < intentionAge {
		return errSetupOpen
	}
	b.log.Warn("a setup of InfluxDB that was cut off was not carried out", "url", i.Setup.URL)
	return store.DeleteRootIntention(ctx, s)
}
