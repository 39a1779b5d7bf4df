package e2e

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// bucketRole grants reading and writing of bucket, and nothing else.
func bucketRole(more map[string]any) map[string]any {
	fields := map[string]any{"read_buckets": bucket, "write_buckets": bucket}
	for name, value := range more {
		fields[name] = value
	}
	return fields
}

func TestTokenWorksInItsBucketUntilItsLeaseIsRevoked(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		neighbour := newBucket(t, e.influx, e.influx.Onboarding.Org.ID, unique("neighbour"))
		foreign := newOrg(t, e.influx)
		newBucket(t, e.influx, foreign.ID, bucket)
		e.role(t, "app", bucketRole(nil))
		m := e.mint(t, "app")

		assertWorks(t, e.influx, m.token)
		assertRefused(t, e.influx, m.token, org, neighbour.Name)
		assertRefused(t, e.influx, m.token, foreign.Name, bucket)
		bystander := e.mint(t, "app")
		e.revoke(t, m.lease)
		assertDead(t, e.influx, m)
		assertWorks(t, e.influx, bystander.token)

		// Without -sync Vault answers before it has revoked.
		require.NoError(t, e.vault.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: bystander.lease}))
		awaitDeath(t, e.influx, bystander, time.Minute)
	})
}

// assertRefused asserts that a token InfluxDB knows can neither write nor read a bucket that exists.
func assertRefused(t *testing.T, influx *lab.Influx, token, org, bucket string) {
	t.Helper()
	status, err := influx.WritePoint(t.Context(), token, org, bucket)
	require.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, status, "write")
	status, csv, err := influx.QueryPoint(t.Context(), token, org, bucket)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, status, "query: to this token the bucket does not exist")
	assert.Contains(t, csv, "could not find bucket")
}

func TestCredsTakeATTLByEveryMethod(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", bucketRole(map[string]any{"ttl": "5m", "max_ttl": "10m"}))
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
			t.Run(method, func(t *testing.T) {
				m := e.mintWith(t, method, "app", nil)
				assert.Equal(t, 300, m.seconds, "the role's ttl")
				assert.Empty(t, m.warnings)
				m = e.mintWith(t, method, "app", map[string]string{"ttl": "90s"})
				assert.Equal(t, 90, m.seconds)
				assert.Empty(t, m.warnings)
				m = e.mintWith(t, method, "app", map[string]string{"ttl": "48h"})
				assert.Equal(t, 600, m.seconds, "capped at the role's max_ttl")
				assert.Equal(t, []string{"ttl: 48h0m0s is longer than allowed; the lease has 10m0s"}, m.warnings)
				issued, _ := e.leaseTimes(t, m.lease)
				assert.WithinDuration(t, issued.Add(11*time.Minute), e.stamped(t, m), 30*time.Second)
				assertWorks(t, e.influx, m.token)
			})
		}
	})
}

func TestLaterMaxTTLDoesNotMoveTheDeadline(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", bucketRole(map[string]any{"ttl": "30s", "max_ttl": "2m"}))
		m := e.mint(t, "app")
		issued, _ := e.leaseTimes(t, m.lease)
		deadline := e.stamped(t, m)
		assert.WithinDuration(t, issued.Add(3*time.Minute), deadline, 30*time.Second, "max_ttl and a minute of grace")

		e.role(t, "app", bucketRole(map[string]any{"ttl": "5h", "max_ttl": "10h"}))
		assert.LessOrEqual(t, e.renew(t, m.lease, 36000), 120)
		_, expires := e.leaseTimes(t, m.lease)
		assert.WithinDuration(t, issued.Add(2*time.Minute), expires, 30*time.Second)
		assert.True(t, expires.Before(deadline), "the lease ends before the deadline in InfluxDB")
		assert.Equal(t, deadline, e.stamped(t, m), "the stamp never changes")
		assert.Equal(t, 18000, e.mint(t, "app").seconds, "new tokens have the new ttl")
	})
}

func TestBatchTokensAreServed(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", bucketRole(nil))
		parent := e.caller(t, e.vault, api.TokenCreateRequest{TTL: "20m"})
		batch := e.caller(t, parent, api.TokenCreateRequest{Type: "batch", TTL: "10m", DisplayName: "crowd"})
		m := e.mintAs(t, batch, "app")
		assertWorks(t, e.influx, m.token)
		assert.Contains(t, e.authorization(t, m.id).Description, "creds/app for token-crowd)")
		assert.LessOrEqual(t, e.renew(t, m.lease, 36000), 600, "not past the batch token's end")

		require.NoError(t, parent.Auth().Token().RevokeSelfWithContext(t.Context(), ""))
		awaitDeath(t, e.influx, m, time.Minute)
	})
}

func TestResponseWrappingHandsTheTokenToOneReader(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", bucketRole(nil))
		wrapping := e.wrapped(t, "app", "1m")
		unwrapped, err := e.vault.Logical().UnwrapWithContext(t.Context(), wrapping)
		require.NoError(t, err)
		m := mintedFrom(t, unwrapped)
		assertWorks(t, e.influx, m.token)
		_, err = e.vault.Logical().UnwrapWithContext(t.Context(), wrapping)
		require.Error(t, err, "nobody unwraps it again")
		e.revoke(t, m.lease)
		assertDead(t, e.influx, m)
	})
}

func TestDescriptionNamesRoleMountAndCaller(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		alice := e.caller(t, e.vault, api.TokenCreateRequest{DisplayName: "alice"})
		stamp := regexp.QuoteMeta(e.stampStart(t)) + `lease:app:[0-9a-f]{16}:\d+\]$`
		described := func(m minted) string {
			description := e.authorization(t, m.id).Description
			assert.Equal(t, m.description, description, "creds answers what InfluxDB shows")
			return description
		}

		e.role(t, "app", bucketRole(nil))
		assert.Regexp(t, `^Read buckets metrics Write buckets metrics \(vault `+e.path+`/creds/app for token-alice\) `+stamp,
			described(e.mintAs(t, alice, "app")))
		e.role(t, "app", bucketRole(map[string]any{"description": "{{.DisplayName}} by {{.Mount}} {{.Role}}: {{.Permissions}}"}))
		assert.Regexp(t, `^token-alice by `+e.path+`/ app: Read buckets metrics Write buckets metrics `+stamp,
			described(e.mintAs(t, alice, "app")))
	})
}
