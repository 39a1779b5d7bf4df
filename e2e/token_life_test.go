package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// assertWorks writes a point with the token and reads it back.
func assertWorks(t *testing.T, influx *lab.Influx, token string) {
	t.Helper()
	status, err := influx.WritePoint(t.Context(), token, org, bucket)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, status, "write")
	status, csv, err := influx.QueryPoint(t.Context(), token, org, bucket)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status, "query")
	assert.Contains(t, csv, "source", "the query finds the point")
}

// assertDead asserts that InfluxDB refuses a token now, and keeps nothing of it.
func assertDead(t *testing.T, influx *lab.Influx, m minted) {
	t.Helper()
	assert.NoError(t, deleted(t.Context(), influx, m))
}

// awaitDeath waits until a token that nobody revokes is deleted.
func awaitDeath(t *testing.T, influx *lab.Influx, m minted, limit time.Duration) {
	t.Helper()
	assert.NoError(t, lab.Await(t.Context(), limit, "the token to be deleted", func(ctx context.Context) error {
		return deleted(ctx, influx, m)
	}))
}

// deleted is an error while a token lives.
func deleted(ctx context.Context, influx *lab.Influx, m minted) error {
	status, err := influx.WritePoint(ctx, m.token, org, bucket)
	switch {
	case err != nil:
		return err
	case status != http.StatusUnauthorized:
		return fmt.Errorf("a write with it is answered %d, not 401", status)
	}
	_, err = influx.Authorization(ctx, m.id)
	var answer *lab.StatusError
	switch {
	case err == nil:
		return errors.New("InfluxDB still has its authorization")
	case errors.As(err, &answer) && answer.Status == http.StatusNotFound:
		return nil
	}
	return err
}

// leaseTimes are when a lease began and when it ends, as Vault itself keeps them.
func (e *engine) leaseTimes(t *testing.T, lease string) (issued, expires time.Time) {
	t.Helper()
	found, err := e.vault.Sys().LookupWithContext(t.Context(), lease)
	require.NoError(t, err)
	at := func(name string) time.Time {
		text, ok := found.Data[name].(string)
		require.True(t, ok, "%s is a string", name)
		moment, err := time.Parse(time.RFC3339Nano, text)
		require.NoError(t, err)
		return moment
	}
	return at("issue_time"), at("expire_time")
}

// stamped is the deadline that stands at the end of a token's description in InfluxDB.
func (e *engine) stamped(t *testing.T, m minted) time.Time {
	t.Helper()
	description := e.authorization(t, m.id).Description
	digits := strings.TrimSuffix(description[strings.LastIndex(description, ":")+1:], "]")
	seconds, err := strconv.ParseInt(digits, 10, 64)
	require.NoError(t, err, "%q ends with a deadline", description)
	return time.Unix(seconds, 0)
}

// lateness is how much later than its lease a token may die: Vault works its queue off, on a busy machine.
const lateness = time.Minute

// watch tells when InfluxDB began to refuse a token: the zero time when it never did.
func (e *engine) watch(t *testing.T, m minted) <-chan time.Time {
	death := make(chan time.Time, 1)
	ctx := t.Context()
	go func() {
		defer close(death)
		err := lab.Await(ctx, tickLimit, "the token's end", func(ctx context.Context) error {
			// Every living token may ask for the list of resource types.
			status, _, err := e.influx.Call(ctx, m.token, http.MethodGet, "/api/v2/resources", nil)
			if err == nil && status != http.StatusUnauthorized {
				err = fmt.Errorf("it is answered %d", status)
			}
			return err
		})
		if err == nil {
			death <- time.Now()
		}
	}()
	return death
}

// assertDiedAt asserts that a token died when its lease ended, and not before.
func assertDiedAt(t *testing.T, expires, died time.Time) {
	t.Helper()
	require.NotZero(t, died, "the token never died")
	assert.False(t, died.Before(expires), "it died %s early", expires.Sub(died))
	assert.WithinDuration(t, expires, died, lateness)
}

// awaitNoTokenOf waits until InfluxDB has no token of a role.
func (e *engine) awaitNoTokenOf(t *testing.T, role string, limit time.Duration) {
	t.Helper()
	assert.NoError(t, lab.Await(t.Context(), limit, "the tokens of a role to be deleted", func(context.Context) error {
		if left := e.tokensOf(t, role); len(left) > 0 {
			return fmt.Errorf("%d are left", len(left))
		}
		return nil
	}))
}

// awaitMoment lets time pass.
func awaitMoment(t *testing.T, moment time.Time) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), time.Until(moment)+lateness, "a moment to pass", func(context.Context) error {
		if left := time.Until(moment); left > 0 {
			return fmt.Errorf("it is %s away", left)
		}
		return nil
	}))
}
