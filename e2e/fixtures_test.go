package e2e

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// unique is a name that no other test gives in the shared servers.
func unique(name string) string { return name + "-" + strings.ToLower(rand.Text()[:6]) }

// newOrg makes an organization for the time of a test.
func newOrg(t *testing.T, influx *lab.Influx) lab.Named {
	t.Helper()
	made, err := influx.CreateOrg(t.Context(), unique("org"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, influx.DeleteOrg(context.Background(), made.ID)) })
	return made
}

// newBucket makes a bucket for the time of a test.
func newBucket(t *testing.T, influx *lab.Influx, orgID, name string) lab.Named {
	t.Helper()
	made, err := influx.CreateBucket(t.Context(), orgID, name)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, influx.DeleteBucket(context.Background(), made.ID)) })
	return made
}

// newUser makes a user for the time of a test.
func newUser(t *testing.T, influx *lab.Influx) lab.Named {
	t.Helper()
	made, err := influx.CreateUser(t.Context(), unique("user"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, influx.DeleteUser(context.Background(), made.ID)) })
	return made
}
