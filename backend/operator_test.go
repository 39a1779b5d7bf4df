package backend

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"
)

// operator is Vault Secrets Operator 1.4.1 with a resource that reads static-creds (allowStaticCreds): when it reads, what
// it takes for trouble, and when it restarts the workloads.
type operator struct {
	*planned
	// synced is the answer that the Kubernetes secret was made of.
	synced map[string]any
	// next is when it reads again, and tick when Vault calls the engine.
	next, tick time.Time
	// troubles are what made the resource unhealthy.
	troubles []string
	restarts int
	reads    int
}

// newOperator begins with a static role, in the middle of one of Vault's minutes. InfluxDB takes a while to answer, so
// that a rotation ends some time after its tick.
func newOperator(t *testing.T, plan map[string]any) *operator {
	t.Helper()
	o := &operator{planned: newPlannedStatic(t, plan)}
	o.clock.freeze()
	o.tick = o.clock.now().Add(17 * time.Second)
	o.answering()
	o.sync()
	return o
}

// answering has InfluxDB answer, after a while.
func (o *operator) answering() {
	o.server.Intercept(func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if r.Method == http.MethodPost {
			o.clock.advance(20 * time.Millisecond)
		}
		next.ServeHTTP(w, r)
	})
}

// sync reads the token, a second time where nothing was rotated, and restarts the workloads when a field differs that
// goes into the secret's hash.
func (o *operator) sync() {
	o.t.Helper()
	answer := o.credentials()
	if o.synced != nil && rotatedAt(o.t, answer) == rotatedAt(o.t, o.synced) {
		answer = o.credentials()
		_, scheduled := answer["rotation_schedule"]
		switch ttl := answer["ttl"].(float64); {
		case ttl <= 2:
			o.troubles = append(o.troubles, fmt.Sprintf("ttl %v: near a rotation", ttl))
		case scheduled && ttl >= o.synced["ttl"].(float64):
			o.troubles = append(o.troubles, fmt.Sprintf("ttl %v after %v: TTL reset detected", ttl, o.synced["ttl"]))
		}
	}
	if o.synced != nil && !reflect.DeepEqual(hashed(answer), hashed(o.synced)) {
		o.restarts++
	}
	o.synced = answer
	const jitter = time.Second
	o.next = o.clock.now().Add(time.Duration(answer["ttl"].(float64))*time.Second + time.Second/2 + jitter)
}

// credentials is an answer that it takes for that of static credentials: by the time of the last rotation and a period.
func (o *operator) credentials() map[string]any {
	o.t.Helper()
	o.reads++
	answer := overJSON(o.t, o.readStatic("kept"))
	require.Positive(o.t, rotatedAt(o.t, answer))
	require.Positive(o.t, answer["rotation_period"].(float64))
	return answer
}

func rotatedAt(t testing.TB, answer map[string]any) int64 {
	t.Helper()
	rotated, err := time.Parse(time.RFC3339Nano, answer["last_vault_rotation"].(string))
	require.NoError(t, err)
	return rotated.Unix()
}

// hashed is what of an answer makes another secret.
func hashed(answer map[string]any) map[string]any {
	rest := maps.Clone(answer)
	for _, left := range []string{"ttl", "rotation_schedule", "rotation_period", "last_vault_rotation", "_raw"} {
		delete(rest, left)
	}
	return rest
}

// watch lets time pass, with Vault's ticks and the operator's reads as they come.
func (o *operator) watch(d time.Duration) {
	o.t.Helper()
	for until := o.clock.now().Add(d); ; {
		next := o.tick
		if o.next.Before(next) {
			next = o.next
		}
		if next.After(until) {
			o.clock.set(until)
			return
		}
		o.clock.set(next)
		if next.Equal(o.tick) {
			o.pass(0)
			o.tick = o.tick.Add(time.Minute)
		} else {
			o.sync()
		}
	}
}

// Vault Secrets Operator restarts the workloads once for each rotation and for nothing else, and its resource is healthy
// all the time: by every plan, over whole rotations.
func TestVaultSecretsOperatorFollowsRotations(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plan map[string]any
		live func(o *operator)
		// rotations is how many there are, and reads how many it may read for them.
		rotations, reads int
	}{
		"a period of a minute": {map[string]any{"rotation_period": "1m", "grace_period": "1m"}, func(o *operator) { o.watch(10 * time.Minute) }, 9, 60},
		"a period":             {map[string]any{"rotation_period": "1h"}, func(o *operator) { o.watch(5*time.Hour + time.Minute) }, 5, 80},
		"a schedule":           {map[string]any{"rotation_schedule": "*/30 * * * *", "grace_period": "30m"}, func(o *operator) { o.watch(151 * time.Minute) }, 5, 50},
		"a window": {map[string]any{"rotation_schedule": "0 * * * *", "rotation_window": "1h"}, func(o *operator) {
			o.watch(70 * time.Minute)
			o.ok(logical.PatchOperation, "static-roles/kept", map[string]any{"rotation_window": "2h"})
			o.watch(70 * time.Minute)
		}, 2, 30},
		"by hand": {nil, func(o *operator) {
			for range 3 {
				o.watch(7 * time.Minute)
				o.rotateByHand()
			}
			o.watch(7 * time.Minute)
		}, 3, 20},
		"by hand within a period": {map[string]any{"rotation_period": "1h"}, func(o *operator) {
			o.watch(20 * time.Minute)
			o.rotateByHand()
			o.watch(62 * time.Minute)
		}, 2, 20},
		"through an outage": {map[string]any{"rotation_period": "1h"}, func(o *operator) {
			o.watch(10 * time.Minute)
			o.server.Refuse("", "/")
			o.watch(65 * time.Minute)
			require.Empty(o.t, o.rotated)
			o.answering()
			o.watch(50 * time.Minute)
		}, 1, 700},
		"a schedule through an outage": {map[string]any{"rotation_schedule": "0 13 * * *"}, func(o *operator) {
			o.server.Refuse("", "/")
			o.watch(45 * time.Minute)
			o.answering()
			o.watch(50 * time.Minute)
		}, 1, 700},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOperator(t, c.plan)
			c.live(o)
			require.Len(t, o.rotated, c.rotations)
			require.Equal(t, c.rotations, o.restarts)
			require.Empty(t, o.troubles)
			require.LessOrEqual(t, o.reads, c.reads)
			require.Equal(t, o.current(), o.synced["token"])
		})
	}
}

// rotateByHand rotates the role, and notes it as a tick's would be.
func (o *operator) rotateByHand() {
	o.t.Helper()
	o.write("rotate-role/kept", nil)
	o.seen = o.current()
	o.rotated = append(o.rotated, o.clock.now())
}
