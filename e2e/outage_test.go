package e2e

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// drainLimit is how long a pending deletion may take once InfluxDB is back: Vault ticks every minute, on the
// machine's own time.
const drainLimit = 2 * time.Minute

// outage is an InfluxDB of its own that goes down with two mounts connected to it, and what they minted.
type outage struct {
	influx *lab.Influx
	// revoking is the mount where a lease is revoked meanwhile, leaving the one that is disabled meanwhile.
	revoking, leaving *engine
	revoked, left     minted
	config            map[string]any
}

// While InfluxDB is down nobody is told that a token is gone, and nothing is lost. Once it is back, what was
// asked for is done without being asked for again.
func TestOutage(t *testing.T) {
	t.Parallel()
	var outages []*outage
	for _, version := range versions {
		outages = append(outages, newOutage(t, version))
	}
	for _, o := range outages {
		o.begin(t)
	}
	for _, o := range outages {
		require.NoError(t, o.influx.Start(t.Context()))
		assert.NoError(t, o.leaving.vault.Sys().UnmountWithContext(t.Context(), o.leaving.path), "back, it can be disabled")
		assertGone(t, o.influx, o.left)
	}
	// Both at once: the ticks of all mounts come together.
	started := time.Now()
	for _, o := range outages {
		o.awaitDrain(t)
		t.Logf("%s: the pending deletion was done %s after InfluxDB came back", o.influx.Version, time.Since(started).Round(time.Second))
		assertGone(t, o.influx, o.revoked)
		o.revoking.revoke(t, o.revoked.lease)
	}
}

func newOutage(t *testing.T, version string) *outage {
	t.Helper()
	influx := newInflux(t, lab.InfluxOptions{Version: version})
	o := &outage{influx: influx, revoking: connectedEngine(t, influx), leaving: connectedEngine(t, influx)}
	for _, e := range []*engine{o.revoking, o.leaving} {
		e.role(t, "app", bucketRole(nil))
	}
	o.revoked, o.left = o.revoking.mint(t, "app"), o.leaving.mint(t, "app")
	o.config = o.revoking.config(t)
	return o
}

// begin stops InfluxDB and asks for what can't be done now.
func (o *outage) begin(t *testing.T) {
	t.Helper()
	require.NoError(t, o.influx.Stop())
	const refused = "connection refused"
	for range 2 { // a second request finds the deletion pending, and is told the same
		err := o.revoking.tryRevoke(t.Context(), o.revoked)
		require.ErrorContains(t, err, "authorization "+o.revoked.id+" is not deleted yet")
		assert.ErrorContains(t, err, refused)
	}
	o.revoking.leaseTimes(t, o.revoked.lease)
	assert.Equal(t, o.config, o.revoking.config(t))

	err := o.leaving.vault.Sys().UnmountWithContext(t.Context(), o.leaving.path)
	require.ErrorContains(t, err, "authorization "+o.left.id+" is not deleted yet")
	assert.ErrorContains(t, err, refused)
	mounts, err := shared.vault.Client().Sys().ListMountsWithContext(t.Context())
	require.NoError(t, err)
	assert.Contains(t, mounts, o.leaving.path+"/", "it is still there")
	o.leaving.leaseTimes(t, o.left.lease)
}

// awaitDrain waits for the minute tick to do what is pending.
func (o *outage) awaitDrain(t *testing.T) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), drainLimit, "the pending deletion", func(ctx context.Context) error {
		_, err := o.influx.Authorization(ctx, o.revoked.id)
		var answer *lab.StatusError
		if errors.As(err, &answer) && answer.Status == http.StatusNotFound {
			return nil
		}
		return errors.Join(errors.New("the authorization is there"), err)
	}))
}
