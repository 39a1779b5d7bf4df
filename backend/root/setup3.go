package root

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
	"vault-plugin-secrets-influxdb/backend/verify"
)

// is3 reports whether an InfluxDB 3 answers: a fresh one refuses to say more.
func (r *Root) is3(ctx context.Context, c *store.Connection) (bool, error) {
	dialed, err := r.pool.Dial(c)
	if err != nil {
		return false, err
	}
	defer dialed.Client.Close()
	server, err := dialed.Client.Ping(ctx)
	version := server.Version
	if failed, ok := errors.AsType[*influx.Error](err); ok {
		if failed.Kind == influx.Unavailable || failed.Kind == influx.BadCertificate { // which fields it takes is not known
			return false, verify.Explain(dialed, &store.Found{}, err)
		}
		version = failed.Version
	}
	major, _, _ := strings.Cut(version, ".")
	return major == "3", nil // what else is wrong is said where it is needed
}

// setUp3 makes the operator token of a fresh InfluxDB 3, and stores the connection with it. InfluxDB chooses its value, so
// that it is stored before anything else is done.
func (r *Root) setUp3(ctx context.Context, s logical.Storage, mountPath string, c *store.Connection, o influx.SetupRequest) (*store.Connection, error) {
	if err := noSetupFields(o); err != nil {
		return nil, err
	}
	switch config, err := store.Config.Get(ctx, s); {
	case err != nil:
		return nil, err
	case config != nil:
		return nil, configured(config, mountPath)
	}
	c.Product = permission.Core // which one it is, it says to a token alone
	fresh, err := r.pool.Dial(c)
	if err != nil {
		return nil, err
	}
	defer fresh.Client.Close()
	// Whatever can be known before is looked at before: InfluxDB makes the token once, and shows it once.
	switch named, err := fresh.V3.NamesItself(ctx); {
	case err != nil:
		return nil, verify.Explain(fresh, &store.Found{}, err)
	case !named:
		return nil, problem.InField("url", "this InfluxDB 3 does not say which cluster it is, by which another one at the same address could be told from it; it takes 3.7 or later. It was not set up")
	}
	if err := store.Try(ctx, s); err != nil {
		return nil, fmt.Errorf("InfluxDB was not set up, because its operator token could not be stored: %w", err)
	}
	if c.Token, err = fresh.V3.SetUp(ctx); err != nil {
		return nil, failedSetup3(fresh, err)
	}
	c.ID = rand.Text()
	stored, cancel := context.WithTimeout(context.WithoutCancel(ctx), mount.WriteTimeout)
	defer cancel()
	c.NextRotation = rotation.Next(c.RotationPlan, r.mount.Now())
	if err := putConfig(stored, s, c); err != nil {
		return nil, fmt.Errorf("the operator token of InfluxDB was made, and could not be stored: nobody has it; regenerate it as docs/influxdb3.md says: %w", err)
	}
	r.mount.Log.Info("InfluxDB was set up", "url", c.URL, "role", token.RootRole)
	result, err := r.verifier.Verify(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("the operator token is made, and stored as the configuration, but: %w", err)
	}
	verified := *c
	verified.Product, verified.Found = result.Product, result.Found
	return &verified, putConfig(ctx, s, &verified)
}

// noSetupFields refuses what the setup of InfluxDB 3 has not.
func noSetupFields(o influx.SetupRequest) error {
	var problems problem.List
	for _, field := range []struct{ name, value string }{{"username", o.Username}, {"password", o.Password}, {"org", o.Org}, {"bucket", o.Bucket}} {
		if field.value != "" {
			problems.Add(field.name, "this is InfluxDB 3, whose setup makes an admin token and nothing else; leave it out")
		}
	}
	if o.RetentionSeconds != 0 {
		problems.Add("retention_period", "this is InfluxDB 3, whose setup makes an admin token and nothing else; leave it out")
	}
	return problems.Err()
}

// failedSetup3 says in the caller's terms what a failed call means.
func failedSetup3(c *connection.Connection, err error) error {
	failed, ok := errors.AsType[*influx.Error](err)
	switch {
	case ok && failed.Status == http.StatusConflict && failed.FromInfluxDB():
		return problem.InField("url", "InfluxDB at %s has an operator token already; write its url and an admin token of it to config instead", c.Client.URL())
	case ok && failed.NotApplied():
		return verify.Explain(c, &store.Found{}, err)
	}
	return fmt.Errorf("%w; whether the operator token was made is not known, and nobody has it: call config/setup again, and should it say that there is one, regenerate it as docs/influxdb3.md says", err)
}
