package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/faulttest"
	"vault-plugin-secrets-influxdb/backend/influx3/influx3test"
	"vault-plugin-secrets-influxdb/e2e/lab"
)

// influx3 is an InfluxDB 3 Core of a test's own: the fake of the unit tests in this process, or a real one.
type influx3 struct {
	url, operator string
	// One of them is nil.
	fake *influx3test.Server
	core *lab.Influx3
}

const noCore = "INFLUXDB3_BIN is not set: no InfluxDB 3 Core to test with"

// onInfluxDB3s runs a test once on the fake Core and once on a real one, which is skipped where there is none.
func onInfluxDB3s(t *testing.T, test func(t *testing.T, influx *influx3)) {
	t.Run("fake", func(t *testing.T) { test(t, newFake3(t)) })
	t.Run("core", func(t *testing.T) { test(t, newCore3(t, lab.Influx3Options{})) })
}

// onFreshInfluxDB3s is onInfluxDB3s on servers that have no token yet.
func onFreshInfluxDB3s(t *testing.T, test func(t *testing.T, influx *influx3)) {
	t.Run("fake", func(t *testing.T) { test(t, newFake3(t, influx3test.Fresh())) })
	t.Run("core", func(t *testing.T) { test(t, newCore3(t, lab.Influx3Options{Fresh: true})) })
}

func newFake3(t *testing.T, options ...influx3test.Option) *influx3 {
	t.Helper()
	fake := influx3test.New(t, options...)
	t.Cleanup(func() { seen3.add(fake.IssuedTokens()...) })
	return &influx3{url: fake.URL, operator: fake.RootToken(), fake: fake}
}

func newCore3(t *testing.T, options lab.Influx3Options) *influx3 {
	t.Helper()
	if lab.Influx3Binary() == "" {
		t.Skip(noCore)
	}
	core, err := shared.lab.StartInflux3(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, core.Stop())
		seen3.add(core.Operator)
		seen3.addLog(core.LogPath())
	})
	return &influx3{url: core.URL, operator: core.Operator, core: core}
}

// seen3 are the token values of every InfluxDB 3 that was here, and the logs of the real ones, for the search for leaks.
var seen3 tokens3

type tokens3 struct {
	mu           sync.Mutex
	values, logs []string
}

func (s *tokens3) add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values = append(s.values, values...)
}

func (s *tokens3) addLog(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.logs = append(s.logs, path)
}

// all are the values and the logs so far.
func (s *tokens3) all() (values, logs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.values), slices.Clone(s.logs)
}

// proxied is what proxies of InfluxDB 2 lead to, so that they lead to this one.
func (i *influx3) proxied() *lab.Influx { return &lab.Influx{URL: i.url} }

// Kill is a crash. Of the fake nobody gets an answer from then on.
func (i *influx3) Kill() {
	if i.fake != nil {
		i.fake.Intercept(faulttest.Refused)
		return
	}
	i.core.Kill()
}

// Start starts it again: it reads all that was written.
func (i *influx3) Start(ctx context.Context) error {
	if i.fake == nil {
		return i.core.Start(ctx)
	}
	i.fake.Intercept(nil)
	i.fake.Restart()
	return nil
}

// call is a call with any token, or none, and its answer whatever the status.
func (i *influx3) call(ctx context.Context, token, method, path string, in any) (int, []byte, error) {
	return lab.CallInflux3(ctx, http.DefaultClient, i.url, token, method, path, in)
}

// status is how a token is answered: 200, or 401.
func (i *influx3) status(ctx context.Context, token string) (int, error) {
	status, _, err := i.call(ctx, token, http.MethodGet, "/ping", nil)
	return status, err
}

// row3 is a token as InfluxDB lists it.
type row3 struct{ Name, Expiry string }

// end is when InfluxDB itself ends the token.
func (r row3) end(t *testing.T) time.Time {
	t.Helper()
	end, err := time.Parse("2006-01-02T15:04:05.999999999", r.Expiry)
	require.NoError(t, err)
	return end
}

// rows are the tokens whose names are like a pattern, by name.
func (i *influx3) rows(ctx context.Context, pattern string) (map[string]row3, error) {
	status, answer, err := i.call(ctx, i.operator, http.MethodPost, "/api/v3/query_sql", map[string]any{
		"db": "_internal", "q": "SELECT name, expiry FROM system.tokens WHERE name LIKE $p", "params": map[string]string{"p": pattern}, "format": "json",
	})
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the list of tokens is answered %d: %s", status, answer)
	}
	if err != nil {
		return nil, err
	}
	var rows []row3
	if err := json.Unmarshal(answer, &rows); err != nil {
		return nil, err
	}
	byName := map[string]row3{}
	for _, r := range rows {
		byName[r.Name] = r
	}
	return byName, nil
}

// names are the names of all tokens of a mount that begin so after its UUID, such as lease:app:.
func (i *influx3) names(ctx context.Context, mount, kind string) ([]string, error) {
	rows, err := i.rows(ctx, "vault:v1:"+mount+":"+kind+"%")
	return slices.Sorted(maps.Keys(rows)), err
}

// create makes a token by hand, which ends so many seconds later.
func (i *influx3) create(t *testing.T, name string, seconds int) (token string) {
	t.Helper()
	status, answer, err := i.call(t.Context(), i.operator, http.MethodPost, "/api/v3/configure/token/named_admin",
		map[string]any{"token_name": name, "expiry_secs": seconds})
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, status)
	var made struct {
		Token string `json:"token"`
	}
	require.NoError(t, json.Unmarshal(answer, &made))
	seen3.add(made.Token)
	return made.Token
}

// remove deletes a token by hand.
func (i *influx3) remove(t *testing.T, name string) {
	t.Helper()
	status, _, err := i.call(t.Context(), i.operator, http.MethodDelete, "/api/v3/configure/token?token_name="+name, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
}

// assertWorks asserts that a token is known and writes a point.
func (i *influx3) assertWorks(t *testing.T, token string) {
	t.Helper()
	status, err := i.status(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status, "ping")
	status, answer, err := i.call(t.Context(), token, http.MethodPost, "/api/v3/write_lp?db=e2e", "point source=1")
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, status, "write: %s", answer)
}

// assertRefused asserts that a token is refused now.
func (i *influx3) assertRefused(t *testing.T, token string) {
	t.Helper()
	status, err := i.status(t.Context(), token)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, status)
}

// watch tells when a token is refused: the zero time when it never is.
func (i *influx3) watch(t *testing.T, token string) <-chan time.Time {
	death := make(chan time.Time, 1)
	ctx := t.Context()
	go func() {
		defer close(death)
		if lab.Await(ctx, tickLimit, "the token's end", func(ctx context.Context) error { return i.refused(ctx, token) }) == nil {
			death <- time.Now()
		}
	}()
	return death
}

// refused is nil when a token is refused.
func (i *influx3) refused(ctx context.Context, token string) error {
	status, err := i.status(ctx, token)
	if err == nil && status != http.StatusUnauthorized {
		err = errors.New("it still works")
	}
	return err
}
