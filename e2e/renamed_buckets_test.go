package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// moving is a bucket that does not stay what it is while an engine knows it by name and ID.
type moving struct {
	*engine
	calls *recorder
	home  lab.Named
	name  string
	first lab.Named
	// second is what has taken its place.
	second lab.Named
}

func newMoving(t *testing.T, influx *lab.Influx) *moving {
	t.Helper()
	m := &moving{calls: startRecorder(t, influx), home: influx.Onboarding.Org, name: unique("moving")} // closed after the mount is gone
	m.engine = connectedEngine(t, influx)
	m.first = newBucketUntil(t, influx, m.home.ID, m.name)
	m.write(t, "config", map[string]any{"url": m.calls.URL, "token": influx.Operator})
	return m
}

// newBucketUntil makes a bucket that a test may delete itself.
func newBucketUntil(t *testing.T, influx *lab.Influx, orgID, name string) lab.Named {
	t.Helper()
	made, err := influx.CreateBucket(t.Context(), orgID, name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = influx.DeleteBucket(context.Background(), made.ID) })
	return made
}

// remake deletes the bucket and makes another of its name.
func (m *moving) remake(t *testing.T) {
	t.Helper()
	require.NoError(t, m.influx.DeleteBucket(t.Context(), m.first.ID))
	m.second = newBucketUntil(t, m.influx, m.home.ID, m.name)
}

// rename gives the bucket another name.
func (m *moving) rename(t *testing.T) {
	t.Helper()
	m.second = lab.Named{ID: m.first.ID, Name: unique("moved")}
	status, answer, err := m.influx.Call(t.Context(), m.influx.Operator, http.MethodPatch, "/api/v2/buckets/"+m.first.ID,
		map[string]any{"name": m.second.Name})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s", answer)
}

// replace renames the bucket and makes another of its old name.
func (m *moving) replace(t *testing.T) {
	t.Helper()
	m.rename(t)
	m.second = newBucketUntil(t, m.influx, m.home.ID, m.name)
}

func (m *moving) delete(t *testing.T) {
	t.Helper()
	require.NoError(t, m.influx.DeleteBucket(t.Context(), m.first.ID))
}

// minting mints, and tells how InfluxDB was called for it.
func (m *moving) minting(t *testing.T, role string) (token minted, calls []string) {
	t.Helper()
	calls = m.calls.during(func() { token = m.mint(t, role) })
	return token, calls
}

// It counts calls, and so is quick and by itself: Vault's tick makes some of its own.
func TestTheNextMintFollowsABucket(t *testing.T) {
	const post, del, get = http.MethodPost, http.MethodDelete, http.MethodGet
	byName := func(_ *testing.T, m *moving) map[string]any { return map[string]any{"write_buckets": m.name} }
	for _, c := range []struct {
		name string
		role func(t *testing.T, m *moving) map[string]any
		move func(*moving, *testing.T)
		// reaches says that the token from before can write what is there now.
		reaches bool
		// calls are all that the first mint afterwards costs.
		calls []string
	}{
		{"deleted and made anew", byName, (*moving).remake, false, []string{post, del, get, post}},
		{"renamed, and its name given to another", byName, (*moving).replace, false, []string{post, del, get, post}},
		{"renamed, and known by ID", func(_ *testing.T, m *moving) map[string]any {
			return map[string]any{"write_buckets": "id:" + m.first.ID}
		}, (*moving).rename, true, []string{post, del, get, post}},
		{"one of two", func(_ *testing.T, m *moving) map[string]any {
			return map[string]any{"write_buckets": []string{bucket, m.name}}
		}, (*moving).remake, false, []string{post, del, get, get, post}},
		{"in an organization by name", func(_ *testing.T, m *moving) map[string]any {
			return map[string]any{"org": m.home.Name, "write_buckets": m.name}
		}, (*moving).remake, false, []string{post, del, get, get, post}},
		{"in an organization by ID in capitals", func(_ *testing.T, m *moving) map[string]any {
			return map[string]any{"org_id": strings.ToUpper(m.home.ID), "write_buckets": m.name}
		}, (*moving).remake, false, []string{post, del, get, get, post}},
		{"in the config's organization by ID in capitals", func(t *testing.T, m *moving) map[string]any {
			m.write(t, "config", map[string]any{"org_id": strings.ToUpper(m.home.ID)})
			return map[string]any{"write_buckets": m.name}
		}, (*moving).remake, false, []string{post, del, get, post}},
		{"as a permission", func(_ *testing.T, m *moving) map[string]any {
			return map[string]any{"permissions": []any{raw("write", "type", "buckets", "name", m.name)}}
		}, (*moving).remake, false, []string{post, del, get, post}},
		{"under *", func(*testing.T, *moving) map[string]any { return map[string]any{"write_buckets": "*"} }, (*moving).remake, true, []string{post}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
				m := newMoving(t, influx)
				m.role(t, "app", c.role(t, m))
				first := m.mint(t, "app") // what the name means is remembered from here on
				old, calls := m.minting(t, "app")
				require.Equal(t, []string{post}, calls)

				c.move(m, t)
				fresh, calls := m.minting(t, "app")
				assert.Equal(t, c.calls, calls)
				here := target{m.home.Name, m.second.Name}
				assert.True(t, m.writes(t, fresh, here), "the token works")
				assert.Equal(t, c.reaches, m.writes(t, old, here), "the token from before")
				next, calls := m.minting(t, "app")
				assert.Equal(t, []string{post}, calls, "it is remembered again")
				assert.ElementsMatch(t, m.granted(t, fresh), m.granted(t, next))
				m.assertJust(t, first, old, fresh, next)
			})
		})
	}
}

// assertJust asserts that these are all tokens of the mount that InfluxDB has.
func (e *engine) assertJust(t *testing.T, handedOut ...minted) {
	t.Helper()
	var wanted, got []string
	for _, m := range handedOut {
		wanted = append(wanted, m.id)
	}
	for _, a := range e.inInflux(t) {
		got = append(got, a.ID)
	}
	assert.ElementsMatch(t, wanted, got, "no unusable and no surplus token is left")
}

func TestABucketThatIsGoneIsNamed(t *testing.T) {
	const post, del, get = http.MethodPost, http.MethodDelete, http.MethodGet
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		noName := func(b lab.Named) string { return fmt.Sprintf(`write_buckets[0]: no bucket %q in org "acme"`, b.Name) }
		noID := func(b lab.Named) string { return "write_buckets[0]: no bucket has the ID " + b.ID }
		for _, c := range []struct {
			name string
			byID bool
			move func(*moving, *testing.T)
			says func(lab.Named) string
		}{
			{"deleted", false, (*moving).delete, noName},
			{"renamed", false, (*moving).rename, noName},
			{"deleted, and known by ID", true, (*moving).delete, noID},
		} {
			t.Run(c.name, func(t *testing.T) {
				m := newMoving(t, influx)
				role := map[string]any{"write_buckets": m.name}
				if c.byID {
					role["write_buckets"] = "id:" + m.first.ID
				}
				m.role(t, "app", role)
				before := m.mint(t, "app")
				c.move(m, t)
				// From the second time on nothing is cached, so that no token is made in vain. The last call looks whether
				// the organization was made anew, and the bucket with it.
				for _, calls := range [][]string{{post, del, get, get}, {get, get}} {
					assert.Equal(t, calls, m.calls.during(func() {
						assert.Equal(t, []string{c.says(m.first)}, m.refusedLines(t, "creds/app", nil))
					}))
				}
				m.assertJust(t, before)
			})
		}
	})
}
