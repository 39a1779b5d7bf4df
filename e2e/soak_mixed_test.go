//go:build soak

package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	gopsutil "github.com/shirou/gopsutil/v4/process"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// soakDuration is an environment variable that takes the place of soakUsually.
	soakDuration = "SOAK_DURATION"
	soakUsually  = 30 * time.Minute
	// soakSteps are how many events and samples there are. In the first third of them the plugin is killed now and
	// then; one process lives through the rest.
	soakSteps = 30
	// soakIdle is how long the plugin may take to give up its idle connections.
	soakIdle = 5 * time.Minute
)

// Applications mint, renew and revoke for half an hour, and read a static role's token that is rotated each minute, while
// InfluxDB's answers get lost, its connections break, it is restarted, and the plugin is killed. The plugin's process
// doesn't grow, and in the end there are as many tokens as leases.
func TestSoakMixed(t *testing.T) {
	length := soakUsually
	if given := os.Getenv(soakDuration); given != "" {
		var err error
		length, err = time.ParseDuration(given)
		require.NoError(t, err, soakDuration)
	}
	influx := newInflux(t, lab.InfluxOptions{})
	p := startProxy(t, influx, "", nil)
	s := newSoaked(t, influx, p)
	s.traffic = startTraffic(t, s.engine)
	s.traffic.keep(t, 20)

	weather := fault(changeable)
	p.intercept(weather)
	s.lasts(t, length/soakSteps)
	p.mend()
	s.traffic.end()
	t.Logf("%d mints, %d requests failed, %d tokens of the static role", s.traffic.minted.Load(), len(s.traffic.failures), len(s.traffic.rotations))

	s.traffic.assertTokensAreLeases(t)
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "nothing to be left", s.leftOver))
	s.assertFlat(t)
}

// changeable spoils one call in 25, in one of the ways there are.
func changeable(w http.ResponseWriter, r *http.Request, next http.Handler) {
	ways := []fault{
		answers(http.StatusTooManyRequests, asJSON, `{"code":"too many requests","message":"slow down"}`),
		answers(http.StatusServiceUnavailable, asJSON, `{"code":"unavailable","message":"not now"}`),
		hangsUp, losesAnswer, stalls,
	}
	if rand.IntN(25) > 0 {
		next.ServeHTTP(w, r)
		return
	}
	ways[rand.IntN(len(ways))](w, r, next)
}

// soaked is a Vault under traffic, and what its plugin held meanwhile.
type soaked struct {
	vault   *lab.Vault
	engine  *engine
	traffic *traffic
	// profiles is where plugin processes say where they serve statistics.
	profiles string
	// idle is what the first plugin process held after one mint; samples are of the one that lived to the end.
	idle    usage
	samples []usage
}

func newSoaked(t *testing.T, influx *lab.Influx, p *proxy) *soaked {
	t.Helper()
	s := &soaked{profiles: t.TempDir()}
	s.vault = newVaultWith(t, lab.VaultOptions{Env: []string{"PPROF_DIRECTORY=" + s.profiles}}, crashTestPlugin(t))
	s.engine = engineIn(t, s.vault, "influxdb", influx)
	s.engine.write(t, "config", map[string]any{"url": p.URL, "token": influx.Operator, "request_timeout": "2s"})
	s.engine.role(t, "first", bucketRole(nil))
	s.engine.revoke(t, s.engine.mint(t, "first").lease)
	s.idle = s.sample(t)
	t.Logf("idle:    %s", s.idle)
	return s
}

// lasts goes through the steps.
func (s *soaked) lasts(t *testing.T, step time.Duration) {
	t.Helper()
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for i := range soakSteps {
		<-ticker.C
		switch {
		case i%3 == 1 && i < soakSteps/3:
			s.killPlugin(t)
		case i%3 == 2:
			require.NoError(t, s.engine.influx.Stop())
			require.NoError(t, s.engine.influx.Start(t.Context()))
		case i > soakSteps/3:
			now := s.sample(t)
			t.Logf("step %2d: %s, after %d mints", i, now, s.traffic.minted.Load())
			s.samples = append(s.samples, now)
		}
	}
}

func (s *soaked) killPlugin(t *testing.T) {
	t.Helper()
	pids, err := s.vault.PluginPIDs(t.Context())
	require.NoError(t, err)
	for _, pid := range pids {
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
}

// leftOver says what is left beside the static role's token and its previous one.
func (s *soaked) leftOver(ctx context.Context) error {
	checked, err := s.engine.vault.Logical().ReadWithContext(ctx, s.engine.path+"/check")
	if err != nil {
		return err
	}
	tokens, err := s.engine.vault.Logical().ListWithContext(ctx, s.engine.path+"/tokens")
	if err != nil {
		return err
	}
	if pending := fmt.Sprint(checked.Data["pending_deletions"]); pending != "0" || len(tokens.Data["keys"].([]any)) > 2 {
		return fmt.Errorf("%s pending deletions, tokens %v", pending, tokens.Data["keys"])
	}
	return nil
}

// usage is what a process holds at one moment.
type usage struct {
	resident                         int // KiB
	goroutines, threads, descriptors int
}

func (u usage) String() string {
	return fmt.Sprintf("%.1f MiB resident, %d goroutines, %d threads, %d file descriptors",
		float64(u.resident)/1024, u.goroutines, u.threads, u.descriptors)
}

func (s *soaked) sample(t *testing.T) usage {
	t.Helper()
	pids, err := s.vault.PluginPIDs(t.Context())
	require.NoError(t, err)
	require.Len(t, pids, 1)
	process, err := gopsutil.NewProcess(int32(pids[0]))
	require.NoError(t, err)
	threads, err := process.NumThreadsWithContext(t.Context())
	require.NoError(t, err)
	descriptors, err := process.NumFDsWithContext(t.Context())
	require.NoError(t, err)
	return usage{residentMemory(t, pids[0]), s.goroutines(t, pids[0]), int(threads), int(descriptors)}
}

// goroutines asks the plugin itself, which is built to tell.
func (s *soaked) goroutines(t *testing.T, pid int) (count int) {
	t.Helper()
	address, err := os.ReadFile(filepath.Join(s.profiles, strconv.Itoa(pid)))
	require.NoError(t, err)
	response, err := http.Get("http://" + string(address) + "/debug/pprof/goroutine?debug=1")
	require.NoError(t, err)
	defer response.Body.Close()
	_, err = fmt.Fscanf(response.Body, "goroutine profile: total %d", &count)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	return count
}

// assertFlat compares the last samples with the first ones of the same process, and the process at rest with another
// that had done nothing yet.
func (s *soaked) assertFlat(t *testing.T) {
	t.Helper()
	third := len(s.samples) / 3
	first, last := medians(s.samples[:third]), medians(s.samples[len(s.samples)-third:])
	t.Logf("first:   %s", first)
	t.Logf("last:    %s", last)
	assert.LessOrEqual(t, last.resident, first.resident*5/4+8<<10, "KiB resident")
	assert.LessOrEqual(t, last.goroutines, first.goroutines*5/4+50)
	assert.LessOrEqual(t, last.threads, first.threads+10)
	assert.LessOrEqual(t, last.descriptors, first.descriptors*5/4+20)

	var rested usage
	assert.NoError(t, lab.Await(t.Context(), soakIdle, "the plugin to come to rest", func(context.Context) error {
		rested = s.sample(t)
		if rested.goroutines > s.idle.goroutines+10 || rested.descriptors > s.idle.descriptors+10 {
			return fmt.Errorf("%s, and at first %s", rested, s.idle)
		}
		return nil
	}))
	t.Logf("at rest: %s", rested)
}

// medians are of each figure by itself.
func medians(samples []usage) usage {
	middle := func(of func(usage) int) int {
		var all []int
		for _, sample := range samples {
			all = append(all, of(sample))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return usage{
		middle(func(u usage) int { return u.resident }), middle(func(u usage) int { return u.goroutines }),
		middle(func(u usage) int { return u.threads }), middle(func(u usage) int { return u.descriptors }),
	}
}
