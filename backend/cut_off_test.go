package backend

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx/influxtest"
)

// cutOff is a change of several steps that may be cut off after each of them.
type cutOff struct {
	*testMount
	server *influxtest.Server
	// act makes the change.
	act func() error
	// recovers lets time pass, and asserts that all is as if the change had been made, or as if it had never begun.
	recovers func(t *testing.T, failed string)
	// endsInStorage and endsInInfluxDB say that the process ends each time that something fails there; else it does
	// every other time.
	endsInStorage, endsInInfluxDB bool
}

// cutOffs are the changes, each from its beginning.
func cutOffs() map[string]func(t *testing.T) cutOff {
	changes := map[string]func(t *testing.T) cutOff{}
	for name, act := range staticActs {
		changes["static role "+name] = func(t *testing.T) cutOff {
			c := newStaticScene(t, act)
			return cutOff{testMount: c.testMount, server: c.server, act: func() error { return act.act(c) }, recovers: c.recovers}
		}
	}
	for _, hashed := range []bool{true, false} {
		changes[fmt.Sprintf("root token rotated, hashed %t", hashed)] = func(t *testing.T) cutOff {
			c := newRootScene(t, hashed)
			return cutOff{testMount: c.testMount, server: c.server, act: c.rotate, recovers: c.recovers, endsInStorage: true}
		}
	}
	for _, again := range []bool{false, true} {
		changes[fmt.Sprintf("set up, called again %t", again)] = func(t *testing.T) cutOff {
			m, server := newMount(t), influxtest.New(t, influxtest.Fresh())
			return cutOff{testMount: m, server: server,
				act:           func() error { return m.try(logical.UpdateOperation, "config/setup", founded(server)) },
				recovers:      func(t *testing.T, failed string) { m.setupRecovers(t, server, again, failed) },
				endsInStorage: true, endsInInfluxDB: true}
		}
	}
	return changes
}

// comesRight ends the process, where it is to, and lets all come right.
func (c cutOff) comesRight(t *testing.T, ends bool, failed string) {
	t.Helper()
	if ends {
		c.crash()
	}
	c.recovers(t, failed)
}

// eachNth runs a test that lets the n-th call fail, for every n, until there is no such call; for every third where it is not
// run at length. Names run in parallel.
func eachNth(t *testing.T, name string, test func(t *testing.T, nth int) (hit bool)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		const tooMany = 100
		nth, step := 1, 1
		if !atLength() {
			step = 3
		}
		for hit := true; hit; nth += step {
			require.Less(t, nth, tooMany)
			hit = false // also where it fails
			t.Run(fmt.Sprint(nth), func(t *testing.T) { hit = test(t, nth) })
		}
		t.Logf("%d calls", nth-step-1)
	})
}

func TestCutOffInStorage(t *testing.T) {
	t.Parallel()
	ways := []string{failsOnce, failsOnward, failsLate}
	if !atLength() { // the calls are the same
		ways = ways[:1]
	}
	for name, begin := range cutOffs() {
		for _, way := range ways {
			eachNth(t, name+"/"+way, func(t *testing.T, nth int) (hit bool) {
				c := begin(t)
				storage := &nthStorage{Storage: c.storage.Storage}
				c.storage.Storage = storage
				storage.arm(way, nth)
				err := c.act()
				failed := storage.disarm()
				if len(failed) == 0 {
					require.NoError(t, err)
				}
				c.comesRight(t, c.endsInStorage || nth%2 == 0, strings.Join(failed, ", "))
				return len(failed) > 0
			})
		}
	}
}

func TestCutOffInInfluxDB(t *testing.T) {
	t.Parallel()
	for name, begin := range cutOffs() {
		for what, fault := range map[string]faulttest.Interceptor{"refused": faulttest.Refused, "lost": faulttest.Lost} {
			for _, onward := range []bool{false, true} {
				if !atLength() && onward { // the calls are the same
					continue
				}
				eachNth(t, fmt.Sprintf("%s/%s/onward %t", name, what, onward), func(t *testing.T, nth int) (hit bool) {
					c := begin(t)
					f := &nthFault{n: nth, onward: onward, fault: fault}
					c.server.Intercept(f.intercept)
					_ = c.act()
					c.server.Intercept(nil)
					c.comesRight(t, c.endsInInfluxDB || nth%2 == 0, f.hit())
					return f.hit() != ""
				})
			}
		}
	}
}

// nthFault makes the n-th request from now on fail, or all from there on.
type nthFault struct {
	mu     sync.Mutex
	n      int
	onward bool
	failed string
	fault  faulttest.Interceptor
}

func (f *nthFault) intercept(w http.ResponseWriter, r *http.Request, next http.Handler) {
	f.mu.Lock()
	f.n--
	fails := f.n == 0 || f.onward && f.n < 0
	if fails && f.failed == "" {
		f.failed = r.Method + " " + r.URL.Path
	}
	f.mu.Unlock()
	if fails {
		f.fault(w, r, next)
		return
	}
	next.ServeHTTP(w, r)
}

// hit is the first request that failed; "" for none.
func (f *nthFault) hit() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}
