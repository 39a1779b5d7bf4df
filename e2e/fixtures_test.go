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

// landscape is what the roles of these tests are about.
type landscape struct {
	// home is the config's organization, other one that roles have to name.
	home, other lab.Named
	// metrics is home's bucket; its namesake is other's.
	metrics, namesake lab.Named
	alerts            lab.Named
	// root owns tokens where nothing else is said.
	root, dedicated   lab.Named
	monitoring, tasks lab.Named
}

func newLandscape(t *testing.T, influx *lab.Influx) landscape {
	t.Helper()
	made := influx.Onboarding
	l := landscape{home: made.Org, metrics: made.Bucket, root: made.User, other: newOrg(t, influx), dedicated: newUser(t, influx)}
	l.namesake = newBucket(t, influx, l.other.ID, bucket)
	l.alerts = newBucket(t, influx, l.home.ID, unique("alerts"))
	var err error
	l.monitoring, err = influx.BucketNamed(t.Context(), l.home.ID, "_monitoring")
	require.NoError(t, err)
	l.tasks, err = influx.BucketNamed(t.Context(), l.home.ID, "_tasks")
	require.NoError(t, err)
	return l
}

// to is one permission.
func to(action, kind, id, orgID string) lab.Permission {
	return lab.Permission{Action: action, Resource: lab.Resource{Type: kind, ID: id, OrgID: orgID}}
}

// byHand makes a token with InfluxDB's API for the time of a test.
func byHand(t *testing.T, influx *lab.Influx, orgID, ownerID string, permissions ...lab.Permission) lab.Authorization {
	t.Helper()
	made, err := influx.CreateAuthorization(t.Context(), lab.Authorization{OrgID: orgID, UserID: ownerID, Permissions: permissions})
	require.NoError(t, err)
	t.Cleanup(func() { _ = influx.DeleteAuthorization(context.Background(), made.ID) }) // some tests delete it themselves
	return made
}
