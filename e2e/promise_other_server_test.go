package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// otherServer is an InfluxDB at whose address another one answers for a while, which knows the same operator token: a
// container that set itself up on an empty volume.
type otherServer struct {
	*engine
	other *lab.Influx
	// revoked is revoked meanwhile, brief runs out meanwhile, and held goes on.
	revoked, brief, held minted
}

// While another InfluxDB answers at the address nobody is told that a token is gone, and check says what is wrong. When
// the right one is back, what was asked for is done.
func TestAnotherInfluxDBAtTheAddressEndsNothing(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			o := newOtherServer(t, version)
			o.assertNothingEnds(t)
			require.NoError(t, o.other.Stop())
			require.NoError(t, o.influx.Start(t.Context()))
			assertWorks(t, o.influx, o.held.token)
			o.awaitOnly(t, o.held.id)
			assertDead(t, o.influx, o.revoked)
			assertDead(t, o.influx, o.brief)
			assertWorks(t, o.influx, o.held.token)
			o.revoke(t, o.revoked.lease)
			o.revoke(t, o.held.lease)
			assertDead(t, o.influx, o.held)
			assert.Empty(t, o.problems(t))
			require.NoError(t, lab.Await(t.Context(), tickLimit, "Vault to have tried the revocation again", func(ctx context.Context) error {
				if left := o.leases(ctx, t, "brief"); left > 0 {
					return fmt.Errorf("%d leases are left", left)
				}
				return nil
			}))
		})
	}
}

func newOtherServer(t *testing.T, version string) *otherServer {
	t.Helper()
	influx := newInflux(t, lab.InfluxOptions{Version: version})
	// No run of tidy by itself: one that met the other InfluxDB would be a problem until the next.
	o := &otherServer{engine: briefEngine(t, influx, map[string]any{"tidy_interval": 0})}
	o.role(t, "app", bucketRole(nil))
	o.role(t, "brief", bucketRole(map[string]any{"ttl": "20s"}))
	o.revoked, o.held = o.mint(t, "app"), o.mint(t, "app")
	require.NoError(t, influx.Stop())
	o.other = freshInflux(t, lab.InfluxOptions{Version: version, Instead: influx})
	_, err := o.other.SetupWith(t.Context(), org, bucket, user, influx.Operator)
	require.NoError(t, err)
	require.NoError(t, o.other.Stop())
	require.NoError(t, influx.Start(t.Context()))
	o.brief = o.mint(t, "brief")
	require.NoError(t, influx.Stop())
	require.NoError(t, o.other.Start(t.Context()))
	require.Equal(t, http.StatusOK, accepted(t, o.other, influx.Operator), "it knows the operator token")
	return o
}

// assertNothingEnds asks for what another InfluxDB would answer as if it were done.
func (o *otherServer) assertNothingEnds(t *testing.T) {
	t.Helper()
	for range 2 {
		require.ErrorContains(t, o.tryRevoke(t.Context(), o.revoked), "authorization "+o.revoked.id+" is not deleted yet")
	}
	_, err := o.vault.Logical().DeleteWithContext(t.Context(), o.path+"/tokens/"+o.revoked.id)
	require.Error(t, err)
	said := fmt.Sprint(o.problems(t))
	for _, part := range []string{"another InfluxDB", "abandon_previous=true"} {
		assert.Contains(t, said, part)
	}
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "the lease that runs out", func(ctx context.Context) error {
		left, err := o.pending(ctx)
		if err == nil && left == "1" {
			err = fmt.Errorf("1 deletion is pending, and %d leases are left", o.leases(ctx, t, "brief"))
		}
		return err
	}))
	o.assertPending(t, "2")
	assert.Equal(t, http.StatusNoContent, writes(t, o.other, o.influx.Operator), "the other one was there all the time")
}

// The default organization is deleted and made again under its name: the mount goes on in the new one. What is to be
// looked for in an organization that is gone holds nothing back.
func TestADefaultOrganizationThatWasMadeAnew(t *testing.T) {
	t.Parallel()
	influx := influxOfHost(t)
	p := startProxy(t, influx, "", nil)
	e := briefEngine(t, influx, behind(p, influx))
	name := unique("home")
	remake := func() lab.Named {
		made, err := influx.CreateOrg(t.Context(), name)
		require.NoError(t, err)
		_, err = influx.CreateBucket(t.Context(), made.ID, bucket)
		require.NoError(t, err)
		return made
	}
	first := remake()
	e.write(t, "config", map[string]any{"org": name})
	other := newOrg(t, influx)
	newBucket(t, influx, other.ID, bucket)
	e.role(t, "default", bucketRole(nil))
	e.role(t, "other", bucketRole(map[string]any{"org": other.Name}))
	e.mint(t, "default")
	e.revoke(t, e.mint(t, "other").lease)

	p.failing(dropsAnswer, createsToken)
	_, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/other")
	require.Error(t, err)
	p.mend()
	require.NoError(t, influx.DeleteOrg(t.Context(), first.ID))
	second := remake()
	t.Cleanup(func() { assert.NoError(t, influx.DeleteOrg(context.Background(), second.ID)) })

	m := e.mint(t, "default")
	assert.Equal(t, second.ID, e.authorization(t, m.id).OrgID)
	assert.Equal(t, "done", e.tidy(t, nil)["state"])
	require.NoError(t, lab.Await(t.Context(), reconcileLimit, "the mint that was lost", func(context.Context) error {
		if left := e.tokensOf(t, "other"); len(left) > 0 {
			return fmt.Errorf("%v are left", ids(left))
		}
		return nil
	}))
	require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path))
	assertGone(t, influx, m)
}

// A mount is disabled whose default organization is gone for good, with a mint of unknown outcome in another one.
func TestAnOrganizationThatIsGoneHoldsNoDisableBack(t *testing.T) {
	t.Parallel()
	influx := influxOfHost(t)
	p := startProxy(t, influx, "", nil)
	e := briefEngine(t, influx, behind(p, influx))
	home, err := influx.CreateOrg(t.Context(), unique("home"))
	require.NoError(t, err)
	other := newOrg(t, influx)
	newBucket(t, influx, other.ID, bucket)
	e.write(t, "config", map[string]any{"org": home.Name})
	e.role(t, "app", bucketRole(map[string]any{"org": other.Name}))
	held := e.mint(t, "app")
	p.failing(dropsAnswer, createsToken)
	_, err = e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
	require.Error(t, err)
	p.mend()
	require.NoError(t, influx.DeleteOrg(t.Context(), home.ID))
	assert.Contains(t, fmt.Sprint(e.problems(t)), home.Name, "check names it")
	mount := e.mountUUID(t)
	// Until the list proves it, the mint may still make a token.
	require.NoError(t, lab.Await(t.Context(), reachLimit, "the mount to be disabled", func(ctx context.Context) error {
		return e.vault.Sys().UnmountWithContext(ctx, e.path)
	}))
	assertGone(t, influx, held)
	awaitNothingOf(t, influx, mount)
}

// A token that this mount leased can't become its root token: it would end with its lease.
func TestALeasedTokenIsNoRootToken(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		e := briefEngine(t, influx, nil)
		e.role(t, "boot", map[string]any{"token_type": "operator", "allow_privileged": true})
		m := e.mint(t, "boot")
		for name, fields := range map[string]map[string]any{
			"by its ID":    {"token": m.token, "authorization_id": m.id},
			"by its value": {"token": m.token},
		} {
			if name == "by its value" && influx.HashesTokens {
				continue // hashed: nothing tells which authorization it is
			}
			said := e.refuses(t, "config", fields)
			assert.Contains(t, said, "token: ", name)
			assert.Contains(t, said, m.id, name)
		}
		e.revoke(t, m.lease)
		assertGone(t, influx, m)
		e.role(t, "app", bucketRole(nil))
		e.assertLeases(t)
	})
}

// A URL with a slash too many is written back as it is, and handed out so that an application can append to it.
func TestURLsAreHandedOutClean(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		based := startProxy(t, influx, "/influx", nil)
		e := briefEngine(t, influx, nil)
		e.role(t, "app", bucketRole(nil))
		e.staticRole(t, "meter", nil)
		for written, clean := range map[string]string{
			influx.URL + "/":              influx.URL,
			influx.URL + "//":             influx.URL,
			influx.URL + "/a/../":         influx.URL,
			based.URL + "/":               based.URL,
			based.URL + "//":              based.URL,
			based.URL + "/a/../":          based.URL,
			influx.URL + "//influx/../":   influx.URL,
			based.URL + "/../influx/./b/": based.URL + "/b",
		} {
			field := map[string]any{"url": written, "external_url": "", "token": influx.Operator}
			if strings.HasSuffix(clean, "/b") { // nothing is there: only applications are sent so far
				field = map[string]any{"external_url": written}
			}
			e.write(t, "config", field)
			for _, name := range []string{"url", "external_url"} {
				if value, ok := field[name]; ok {
					assert.Equal(t, value, e.config(t)[name])
				}
			}
			m := e.handsOut(t, "creds/app")
			assert.Equal(t, clean, m.Data["url"], written)
			assert.Equal(t, clean, e.handsOut(t, "static-creds/meter").Data["url"], written)
			e.revoke(t, m.LeaseID)
			if strings.HasSuffix(clean, "/b") {
				continue
			}
			token, _ := m.Data["token"].(string)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprint(m.Data["url"], "/api/v2/resources"), nil)
			require.NoError(t, err)
			request.Header.Set("Authorization", "Token "+token)
			answer, err := http.DefaultClient.Do(request)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			assert.Equal(t, http.StatusUnauthorized, answer.StatusCode, "it gets to InfluxDB, which knows of the revocation")
		}
	})
}

// handsOut reads a path that hands a token out.
func (e *engine) handsOut(t *testing.T, path string) *api.Secret {
	t.Helper()
	answer, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/"+path)
	require.NoError(t, err)
	require.NotNil(t, answer)
	return answer
}
