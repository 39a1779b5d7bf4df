package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// engineOnCluster mounts the engine in a cluster; what it is asked goes to all nodes in turn.
func engineOnCluster(t *testing.T, cluster *lab.Cluster, influx *lab.Influx, path, url string) *engine {
	t.Helper()
	require.NoError(t, cluster.Nodes[0].Mount(t.Context(), path, "1h", "24h"))
	e := &engine{path: path, influx: influx, vault: cluster.Client()}
	// A standby of OpenBao learns of a new mount some moments later.
	require.NoError(t, lab.Await(t.Context(), time.Minute, "all nodes to know the mount", func(ctx context.Context) error {
		for range cluster.Nodes {
			settings := leadingTo(influx, map[string]any{"url": url, "org": org, "request_timeout": patient})
			_, err := e.vault.Logical().WriteWithContext(ctx, path+"/config", settings)
			switch {
			case err != nil && onOpenBao() && isNoMount(err):
				return err
			case err != nil:
				return lab.Final(err)
			}
		}
		return nil
	}))
	return e
}

// unfinished is a mount whose first leader leaves something to do: a deletion that InfluxDB refused, and a role that has
// as many tokens as it may.
type unfinished struct {
	*engine
	proxy   *proxy
	pending minted
}

func newUnfinished(t *testing.T, cluster *lab.Cluster, influx *lab.Influx) *unfinished {
	t.Helper()
	p := startProxy(t, influx, "", nil)
	o := &unfinished{engine: engineOnCluster(t, cluster, influx, "unfinished", p.URL), proxy: p}
	o.role(t, "app", bucketRole(nil))
	o.role(t, "few", bucketRole(map[string]any{"max_leases": 2}))
	o.mint(t, "few")
	o.mint(t, "few")
	require.Error(t, o.exceeds(t), "the third is one too many")

	o.pending = o.mint(t, "app")
	p.failing(answers(http.StatusServiceUnavailable, asJSON, `{"code":"unavailable","message":"not now"}`), func(r *http.Request) bool {
		return r.Method == http.MethodDelete && path.Base(r.URL.Path) == o.pending.id // tidy deletes what it counts with
	})
	require.ErrorContains(t, o.tryRevoke(t.Context(), o.pending), "is not deleted yet")
	return o
}

// assertFinished asserts that the latest leader knows what the first one wrote down, and does it: that node alone.
func (o *unfinished) assertFinished(t *testing.T) {
	checked, err := o.vault.Logical().ReadWithContext(t.Context(), o.path+"/check")
	require.NoError(t, err)
	assert.Equal(t, "1", fmt.Sprint(checked.Data["pending_deletions"]))

	var deletions atomic.Int64
	o.proxy.failDeletions(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if path.Base(r.URL.Path) == o.pending.id { // a run of tidy may delete others
			deletions.Add(1)
		}
		next.ServeHTTP(w, r)
	})
	require.NoError(t, lab.Await(t.Context(), drainLimit, "the pending deletion", func(ctx context.Context) error {
		return deleted(ctx, o.influx, o.pending)
	}))
	assert.EqualValues(t, 1, deletions.Load())
	o.revoke(t, o.pending.lease)
}

// assertRotatedOnce asserts that no rotation of the static role came early or twice, with all fail-overs in its period,
// and that the next one came.
func (f *failOver) assertRotatedOnce(t *testing.T) {
	require.NoError(t, lab.Await(t.Context(), staticPeriod+drainLimit, "the rotation", func(ctx context.Context) error {
		f.traffic.readStatic()
		read, err := f.engine.vault.Logical().ReadWithContext(ctx, f.engine.path+"/static-roles/"+staticRole)
		if err != nil {
			return err
		}
		return f.rotatedOnce(read.Data, f.engine.inInflux(t))
	}))
}

// rotatedOnce compares what was read of the role, its tokens in InfluxDB, and the tokens that it had so far. The next
// rotation may come while all of that is read; then it is read again.
func (f *failOver) rotatedOnce(role map[string]any, living []lab.Authorization) error {
	made := f.madeInOrder()
	if len(made) < 2 {
		return errors.New("the token is still the first one")
	}
	for i := range made[1:] {
		if gap := f.traffic.rotations[made[i+1]].Sub(f.traffic.rotations[made[i]]); gap < staticPeriod-takenEarly {
			return lab.Final(fmt.Errorf("rotation %d came after %s", i+1, gap))
		}
	}
	two := made[len(made)-2:]
	if known := fmt.Sprint(role["previous_authorization_id"], " ", role["authorization_id"]); known != strings.Join(two, " ") {
		return fmt.Errorf("the role has had %v, and was read to have %s", two, known)
	}
	for _, a := range living {
		if !slices.Contains(two, a.ID) {
			return fmt.Errorf("%s is there, too: %s", a.ID, a.Description)
		}
	}
	return nil
}

// madeInOrder are the static role's tokens that were read, the oldest first.
func (f *failOver) madeInOrder() []string {
	var made []string
	for id := range f.traffic.rotations {
		made = append(made, id)
	}
	slices.SortFunc(made, func(a, b string) int { return f.traffic.rotations[a].Compare(f.traffic.rotations[b]) })
	return made
}
