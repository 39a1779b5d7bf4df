package e2e

import (
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a real Vault answers for static-creds is what Vault Secrets Operator and consul-template (and so Vault Agent
// and Nomad) go by, for each kind of plan.
func TestStaticCredsAreWhatConsumersGoBy(t *testing.T) {
	t.Parallel()
	e := connectedEngine(t, shared.influx)
	for name, plan := range map[string]map[string]any{
		"period":   {"rotation_period": "24h"},
		"schedule": {"rotation_schedule": "0 3 * * SUN", "rotation_window": "2h"},
		"by-hand":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			e.staticRole(t, name, plan)
			first, second := e.readStaticCreds(t, name), e.readStaticCreds(t, name)
			assert.Empty(t, first.LeaseID)
			assert.False(t, first.Renewable)
			assert.Positive(t, number(t, first.Data, "ttl"), "consul-template reads again then")
			assert.Positive(t, number(t, first.Data, "rotation_period"), "and takes ttl only where this is, too")

			last, err := time.Parse(time.RFC3339Nano, text(t, first.Data, "last_vault_rotation"))
			require.NoError(t, err)
			assert.Positive(t, last.Unix())
			assert.NotContains(t, first.Data, "rotation_schedule", "Vault Secrets Operator takes each wait for a tick for a reset")
			assert.NotContains(t, first.Data, "rotation_window", "and restarts workloads when this changes")
			assert.Equal(t, lasting(first.Data), lasting(second.Data), "Vault Secrets Operator restarts workloads when anything else changes")
			for field, value := range lasting(first.Data) {
				assert.IsType(t, "", value, "%s is text in a Kubernetes secret", field)
			}
		})
	}
}

// What Terraform does at each apply, which is a write, and at each plan, which is a read: it finds every field as it was
// written, and the token stays.
func TestStaticRoleIsWrittenAgainAndAgain(t *testing.T) {
	t.Parallel()
	e := connectedEngine(t, shared.influx)
	e.deleteStaticRole(t, "applied")
	written := map[string]any{"write_buckets": []any{bucket}, "rotation_period": json.Number("86400"), "grace_period": json.Number("3600")}
	var first standing
	for range 3 {
		require.Empty(t, e.write(t, "static-roles/applied", written))
		read := e.staticRoleNow(t, "applied")
		for field, value := range written {
			assert.Equal(t, value, read[field], field)
		}
		if first == (standing{}) {
			first = e.stands(t, "applied")
		}
		assert.Equal(t, first, e.stands(t, "applied"))
	}
	_, err := e.vault.Logical().DeleteWithContext(t.Context(), e.path+"/static-roles/applied")
	require.NoError(t, err)
	assert.Empty(t, e.staticTokens(t))
}

func (e *engine) readStaticCreds(t *testing.T, name string) *api.Secret {
	t.Helper()
	answer, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/static-creds/"+name)
	require.NoError(t, err)
	return answer
}

// lasting is an answer without the fields that Vault Secrets Operator does not compare.
func lasting(data map[string]any) map[string]any {
	rest := maps.Clone(data)
	for _, ignored := range []string{"ttl", "rotation_schedule", "rotation_period", "last_vault_rotation"} {
		delete(rest, ignored)
	}
	return rest
}

// number is a field that has to be a number in JSON.
func number(t *testing.T, data map[string]any, field string) int64 {
	t.Helper()
	value, isNumber := data[field].(json.Number)
	require.True(t, isNumber, "%s is a number, not %T", field, data[field])
	whole, err := value.Int64()
	require.NoError(t, err)
	return whole
}

// text is a field that has to be a string.
func text(t *testing.T, data map[string]any, field string) string {
	t.Helper()
	value, isText := data[field].(string)
	require.True(t, isText, "%s is a string, not %T", field, data[field])
	return value
}
