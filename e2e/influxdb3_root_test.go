package e2e

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A mount that was given the operator token gets one of its own; the operator token stays, which the warning says.
func TestRootTokenIsRotatedOnInfluxDB3(t *testing.T) {
	t.Parallel()
	onInfluxDB3(t, func(t *testing.T, e *engine3) {
		m := e.mint(t, "app")
		said := e.write(t, "config/rotate-root", nil)
		require.Len(t, said, 1)
		assert.Contains(t, said[0], "the old root token, _admin, is one that InfluxDB never deletes")
		assert.Contains(t, said[0], "--regenerate")
		e.server.assertWorks(t, e.server.operator)
		first := e.rootID(t)
		assert.Equal(t, []string{first}, e.held(t, "root:-root:"))
		assert.Empty(t, e.write(t, "config/rotate-root", nil))
		assert.NotEqual(t, first, e.rootID(t))
		assert.Equal(t, []string{e.rootID(t)}, e.held(t, "root:-root:"))
		assert.Contains(t, e.write(t, "config", map[string]any{"token": e.server.operator})[0], "this one was rotated away")
		e.revoke(t, m.lease)
		e.assertEnded(t, m)
		e.awaitMint(t)
		assert.Empty(t, e.problems(t))
	})
}

func (e *engine3) rootID(t *testing.T) string {
	t.Helper()
	id, _ := e.config(t)["authorization_id"].(string)
	require.NotEmpty(t, id)
	return id
}

// lostStep is a call of a rotation that is lost.
type lostStep struct {
	name string
	at   at
}

// lostSteps are all calls of a rotation that change something or look at what was made. {uuid} and {id} are as in steps.
var lostSteps = []lostStep{
	{"the call for the new token", at{when: "before", what: http.MethodPost, about: ":{uuid}:root:-root:"}},
	{"the answer with the new token", at{when: "after", what: http.MethodPost, about: ":{uuid}:root:-root:"}},
	{"the new token's ping", at{when: "after", what: http.MethodGet, about: "/ping"}},
	{"the new token's look at itself", at{when: "after", what: http.MethodPost, about: "hash = $p", nth: 2}},
	{"the call for a token to try it with", at{when: "before", what: http.MethodPost, about: ":{uuid}:lease:-probe:"}},
	{"the answer with a token to try it with", at{when: "after", what: http.MethodPost, about: ":{uuid}:lease:-probe:"}},
	{"the deletion of that", at{when: "before", what: http.MethodDelete, about: ":{uuid}:lease:-probe:"}},
	{"the answer to the deletion of that", at{when: "after", what: http.MethodDelete, about: ":{uuid}:lease:-probe:"}},
	{"the deletion of the old one", at{when: "before", what: http.MethodDelete, about: "{id}"}},
	{"the answer to the deletion of the old one", at{when: "after", what: http.MethodDelete, about: "{id}"}},
}

// losing is a mount whose rotation loses one call.
type losing struct {
	*engine3
	step  lostStep
	first string
	err   error
}

// A call of a rotation is lost, or its answer: the stored token works at once, and in the end it is the only one. The row of a
// token to try it with stays until tidy runs; the token ends by itself.
func TestARotationOfInfluxDB3ThatLosesACall(t *testing.T) {
	t.Parallel()
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		t.Parallel()
		var all []*losing
		for _, step := range lostSteps {
			all = append(all, newLosing(t, influx, step))
		}
		for _, l := range all {
			t.Run(l.step.name, func(t *testing.T) {
				t.Parallel()
				t.Logf("the rotation is answered: %v", l.err)
				l.awaitMint(t)
				l.awaitOnly3(t, l.rootID(t))
				assert.Empty(t, l.problems(t))
				assert.Empty(t, l.write(t, "config/rotate-root", nil))
				l.awaitOnly3(t, l.rootID(t))
				influx.assertWorks(t, influx.operator)
			})
		}
	})
}

// newLosing rotates the operator token away, and then has a call of the next rotation lost, once.
func newLosing(t *testing.T, influx *influx3, step lostStep) *losing {
	t.Helper()
	lost := startStops(t)
	lost.end() // nothing is held: what is cut is cut at once
	p := lost.proxy(t, influx.proxied())
	l := &losing{engine3: briefEngine3(t, influx, map[string]any{"url": p.URL, "tidy_interval": "10s"}), step: step}
	require.Len(t, l.write(t, "config/rotate-root", nil), 1)
	l.first = l.rootID(t)
	point := &crashPoint{uuid: l.mountUUID(t), id: l.first}
	cut := lost.hold(point.about(step.at), true)
	_, l.err = l.vault.Logical().WriteWithContext(t.Context(), l.path+"/config/rotate-root", nil)
	select {
	case <-cut.reached:
	default:
		require.Fail(t, "nothing was lost", step.name)
	}
	return l
}

// A fresh server is set up, and its operator token is seen by nobody.
func TestAFreshInfluxDB3IsSetUp(t *testing.T) {
	t.Parallel()
	onFreshInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		e := &engine3{&engine{path: mountEngine(t), vault: shared.vault.Client()}, influx}
		said := e.refuses(t, "config/setup", map[string]any{"url": influx.url, "org": org, "username": user})
		assert.Contains(t, said, "org: this is InfluxDB 3, whose setup makes an admin token and nothing else; leave it out")
		assert.Contains(t, said, "username: this is InfluxDB 3")
		answer, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/config/setup", map[string]any{"url": influx.url})
		require.NoError(t, err)
		assert.Equal(t, "core", answer.Data["product"])
		assert.Contains(t, answer.Data["authorization_id"], "vault:v1:"+e.mountUUID(t)+":root:-root:")
		assert.NotContains(t, answer.Data, "token")
		assert.Contains(t, strings.Join(answer.Warnings, "\n"), "_admin")
		e.role(t, "app", adminRole(nil))
		m := e.mint(t, "app")
		influx.operator = m.token // to look around with
		influx.assertWorks(t, m.token)
		assert.Len(t, e.held(t, "root:-root:"), 1)
		assert.Contains(t, e.refuses(t, "config/setup", map[string]any{"url": influx.url}), "the mount is connected to "+influx.url)
		other := &engine{path: mountEngine(t), vault: e.vault}
		assert.Contains(t, other.refuses(t, "config/setup", map[string]any{"url": influx.url}), "has an operator token already; write its url and an admin token of it to config instead")
		assert.Empty(t, e.problems(t))
	})
}

// The operator token of a setup whose answer is lost is lost with it: what is said then leads on.
func TestASetupOfInfluxDB3WhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	onFreshInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		p := startProxy(t, influx.proxied(), "", nil)
		e := &engine{path: mountEngine(t), vault: shared.vault.Client()}
		p.failing(dropsAnswer, func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/token/admin") })
		_, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/config/setup", map[string]any{"url": p.URL})
		said := answeredWith(t, http.StatusBadGateway, err)
		assert.Contains(t, said, "call config/setup again, and should it say that there is one, regenerate it")
		p.mend()
		assert.Contains(t, e.refuses(t, "config/setup", map[string]any{"url": p.URL}), "has an operator token already")
		require.NoError(t, lab.Await(t.Context(), reachLimit, "no connection to be left", func(ctx context.Context) error {
			read, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/config")
			if err == nil && read != nil {
				err = errors.New("there is one")
			}
			return err
		}))
	})
}
