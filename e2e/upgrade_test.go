package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

const (
	// formerCommit is the commit whose storage the plugin has to go on with. It is never moved: what it wrote is out there.
	formerCommit    = "80d38b5"
	upgradedVersion = "v0.2.0"
)

// A mount that the plugin of formerCommit has written goes on under this one, without an operator: leases, static roles,
// deletions that are pending, and a root token that was rotated. What this one writes the former goes on with, too, when
// somebody goes back, and this one again with what that left. In the end no token is left.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	former, err := shared.lab.PluginOf(t.Context(), formerCommit, lab.PluginVersion)
	if errors.Is(err, lab.ErrNoCommit) {
		t.Skip("the upgrade from an older plugin is not tested: ", err)
	}
	require.NoError(t, err)
	current, err := shared.lab.Plugin(t.Context(), upgradedVersion)
	require.NoError(t, err)
	vault := newVaultWith(t, lab.VaultOptions{Storage: "inmem"}, former)
	var all []*upgraded
	for _, version := range versions {
		all = append(all, newUpgraded(t, vault, influxOf(t, version)))
	}
	var paths []string
	for _, u := range all {
		u.cutOff(t)
		paths = append(paths, u.path)
	}
	require.NoError(t, vault.Upgrade(t.Context(), current, paths...))
	for _, u := range all {
		u.assertRuns(t, upgradedVersion)
		u.assertReadsOn(t)
		u.proxy.mend()
	}
	for _, u := range all { // the ticks of both come together
		t.Run(u.influx.Version, func(t *testing.T) {
			t.Run("pending deletions", u.assertDrained)
			t.Run("leases", u.assertLeasesGoOn)
			t.Run("static roles", u.assertStaticRolesGoOn)
			t.Run("root token", u.assertRootGoesOn)
			t.Run("nothing stray", u.assertNothingStray)
		})
	}
	for _, u := range all {
		u.useAfresh(t)
	}
	require.NoError(t, vault.Upgrade(t.Context(), former, paths...))
	for _, u := range all {
		u.assertRuns(t, lab.PluginVersion)
		u.assertPendingAtLeast(t, 1)
		u.assertStands(t)
		u.proxy.mend()
	}
	for _, u := range all {
		t.Run(u.influx.Version+" under the former", u.assertGoesBack)
	}
	require.NoError(t, vault.Upgrade(t.Context(), current, paths...))
	for _, u := range all {
		u.assertRuns(t, upgradedVersion)
		t.Run(u.influx.Version+" again", func(t *testing.T) {
			t.Run("nothing stray", u.assertNothingStray)
			t.Run("teardown", u.assertTeardown)
		})
	}
}

// upgraded is a mount that the former plugin has written, and all that it handed out.
type upgraded struct {
	*engine
	proxy *proxy
	root  lab.Authorization
	// plain, narrowed and templated are renewed and revoked, last is left to the end of the mount. revoked is a lease
	// whose deletion is pending.
	plain, narrowed, templated, last, revoked minted
	grants                                    []lab.Permission
	// standing are the static roles' tokens. The previous one of byHand has an hour left, that of brief a minute.
	standing         map[string]standing
	previous         standing
	assertBriefEnded func(*testing.T)
	rootID           string
	// fresh is a lease that this plugin leaves to the former, dropped one whose deletion is pending then.
	fresh, dropped minted
}

// newUpgraded mounts the plugin and uses it.
func newUpgraded(t *testing.T, vault *lab.Vault, influx *lab.Influx) *upgraded {
	t.Helper()
	u := &upgraded{
		engine: &engine{path: "influxdb-" + influx.Version, influx: influx, vault: vault.Client()},
		proxy:  startProxy(t, influx, "", nil), root: operatorToken(t, influx), standing: map[string]standing{},
	}
	require.NoError(t, vault.Mount(t.Context(), u.path, "1h", "24h"))
	u.write(t, "config", map[string]any{"url": u.proxy.URL, "token": u.root.Token, "authorization_id": u.root.ID, "org": org, "request_timeout": patient})
	u.assertRuns(t, lab.PluginVersion)
	u.useLeases(t)
	u.useStaticRoles(t)
	require.Empty(t, u.write(t, "config/rotate-root", nil))
	u.rootID = u.config(t)["authorization_id"].(string)
	return u
}

func (u *upgraded) useLeases(t *testing.T) {
	t.Helper()
	u.role(t, "app", bucketRole(map[string]any{"ttl": "30m", "max_ttl": "2h"}))
	u.role(t, "broad", map[string]any{"token_type": "all-access", "allow_privileged": true})
	u.role(t, "few", bucketRole(map[string]any{"max_leases": 1}))
	u.role(t, "own", map[string]any{"read_buckets": "{{identity.entity.metadata.bucket}}", "write_buckets": "{{identity.entity.metadata.bucket}}"})
	u.plain, u.last, u.revoked = u.mint(t, "app"), u.mint(t, "few"), u.mint(t, "app")
	u.narrowed = u.mintWith(t, http.MethodPut, "broad", map[string]string{"read_buckets": bucket, "write_buckets": bucket})
	u.grants = u.granted(t, u.narrowed)
	require.Len(t, u.grants, 2)
	caller, _ := newPeople(t, u.engine).person(t, unique("ann"), map[string]string{"bucket": bucket})
	u.templated = u.mintAs(t, caller, "own")
}

func (u *upgraded) useStaticRoles(t *testing.T) {
	t.Helper()
	for name, plan := range map[string]map[string]any{
		"period": {"rotation_period": "1m", "grace_period": "1m"}, "schedule": {"rotation_schedule": "* * * * *", "grace_period": "1h"},
		"by-hand": nil, "brief": nil,
	} {
		u.write(t, "static-roles/"+name, bucketRole(plan))
	}
	u.previous = u.stands(t, "by-hand")
	u.rotate(t, "by-hand", "1h")
	brief := u.stands(t, "brief").token
	u.rotate(t, "brief", "1m")
	u.assertBriefEnded = u.watchGrace(t, "brief", brief)
}

// cutOff makes InfluxDB answer no more: a mint and a revocation that come now leave something to delete.
func (u *upgraded) cutOff(t *testing.T) {
	t.Helper()
	u.revoke(t, u.mint(t, "app").lease) // so that the next mint makes one call: it knows all names
	u.proxy.intercept(dropsAnswer)
	_, err := u.vault.Logical().ReadWithContext(t.Context(), u.path+"/creds/app")
	require.Error(t, err, "the mint is done, and not answered")
	u.proxy.intercept(hangsUp)
	require.ErrorContains(t, u.tryRevoke(t.Context(), u.revoked), "is not deleted yet")
	require.Len(t, u.tokensOf(t, "app"), 3)
	for _, name := range []string{"period", "schedule", "by-hand", "brief"} {
		u.standing[name] = u.stands(t, name) // no rotation can come any more
	}
}

// assertRuns asserts which version runs, and which one the mount is to run.
func (u *upgraded) assertRuns(t *testing.T, version string) {
	t.Helper()
	mount, err := u.vault.Logical().ReadWithContext(t.Context(), "sys/mounts/"+u.path)
	require.NoError(t, err)
	assert.Equal(t, []any{version, version}, []any{mount.Data["plugin_version"], mount.Data["running_plugin_version"]})
}

// assertReadsOn asserts what needs no InfluxDB.
func (u *upgraded) assertReadsOn(t *testing.T) {
	t.Helper()
	u.assertPendingAtLeast(t, 2)
	u.assertStands(t)
	assert.Equal(t, u.rootID, u.config(t)["authorization_id"])
}

// assertPendingAtLeast asserts that so many deletions are pending; a rotation that a tick begins meanwhile leaves one, too.
func (u *upgraded) assertPendingAtLeast(t *testing.T, least int) {
	t.Helper()
	now, err := u.pending(t.Context())
	require.NoError(t, err)
	count, err := strconv.Atoi(now)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, count, least, "pending deletions")
}

// assertStands asserts that the static roles have the tokens that they had.
func (u *upgraded) assertStands(t *testing.T) {
	t.Helper()
	for name, before := range u.standing {
		assert.Equal(t, before, u.stands(t, name), name)
	}
}

func (u *upgraded) assertDrained(t *testing.T) {
	u.awaitDrained(t)
	assertDead(t, u.influx, u.revoked)
	u.revoke(t, u.revoked.lease)
	left := u.tokensOf(t, "app")
	assert.Equal(t, []string{u.plain.id}, ids(left), "neither the one that was revoked nor the one that nobody got")
}

// awaitDrained waits until no deletion is pending.
func (u *upgraded) awaitDrained(t *testing.T) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), tickLimit, "the pending deletions", func(ctx context.Context) error {
		left, err := u.pending(ctx)
		if err == nil && left != "0" {
			err = fmt.Errorf("%s are left", left)
		}
		return err
	}))
}

func (u *upgraded) assertLeasesGoOn(t *testing.T) {
	u.assertCounted(t)
	assert.Equal(t, u.grants, u.granted(t, u.narrowed))
	for _, m := range []minted{u.plain, u.narrowed, u.templated} {
		deadline := u.stamped(t, m)
		assert.Equal(t, 3600, u.renew(t, m.lease, 3600))
		assert.Equal(t, deadline, u.stamped(t, m))
		assertWorks(t, u.influx, m.token)
		u.revoke(t, m.lease)
		assertDead(t, u.influx, m)
	}
	fresh := u.mint(t, "app")
	assertWorks(t, u.influx, fresh.token)
	u.revoke(t, fresh.lease)
}

func (u *upgraded) assertStaticRolesGoOn(t *testing.T) {
	for _, name := range []string{"period", "schedule"} {
		assertWorks(t, u.influx, u.awaitOther(t, name, u.standing[name]).token)
	}
	assertWorks(t, u.influx, u.previous.token)
	assertWorks(t, u.influx, u.standing["by-hand"].token)
	last := u.rotate(t, "by-hand", "0")
	assertWorks(t, u.influx, last.token)
	assertGone(t, u.influx, minted{id: u.previous.id}, minted{id: u.standing["by-hand"].id})
	u.assertBriefEnded(t)
	assertWorks(t, u.influx, u.stands(t, "brief").token)
}

func (u *upgraded) assertRootGoesOn(t *testing.T) {
	assert.Equal(t, http.StatusUnauthorized, accepted(t, u.influx, u.root.Token))
	warnings := u.write(t, "config", map[string]any{"token": u.root.Token})
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "token: this one was rotated away; the current root token stays")
	require.Empty(t, u.write(t, "config/rotate-root", nil), "the ID of the one that the former plugin made is known")
	assertGone(t, u.influx, minted{id: u.rootID})
	u.rootID = u.config(t)["authorization_id"].(string)
	u.assertMints(t)
}

// useAfresh leaves to the former what this plugin writes: a lease, a deletion that is pending, a previous static token
// with a grace.
func (u *upgraded) useAfresh(t *testing.T) {
	t.Helper()
	u.fresh, u.dropped = u.mint(t, "app"), u.mint(t, "app")
	u.previous = u.stands(t, "by-hand")
	u.rotate(t, "by-hand", "1h")
	u.proxy.intercept(hangsUp)
	require.ErrorContains(t, u.tryRevoke(t.Context(), u.dropped), "is not deleted yet")
	for name := range u.standing {
		u.standing[name] = u.stands(t, name)
	}
}

// assertGoesBack asserts that the former goes on with what this plugin has written.
func (u *upgraded) assertGoesBack(t *testing.T) {
	u.awaitDrained(t)
	assertDead(t, u.influx, u.dropped)
	u.revoke(t, u.dropped.lease)
	assert.Equal(t, 3600, u.renew(t, u.fresh.lease, 3600))
	assertWorks(t, u.influx, u.fresh.token)
	u.revoke(t, u.fresh.lease)
	assertDead(t, u.influx, u.fresh)
	assertWorks(t, u.influx, u.previous.token)
	for _, name := range []string{"period", "schedule"} {
		assertWorks(t, u.influx, u.awaitOther(t, name, u.standing[name]).token)
	}
	u.rotate(t, "by-hand", "0")
	assertGone(t, u.influx, minted{id: u.previous.id}, minted{id: u.standing["by-hand"].id})
	require.Empty(t, u.write(t, "config/rotate-root", nil))
	assertGone(t, u.influx, minted{id: u.rootID})
	u.rootID = u.config(t)["authorization_id"].(string)
	u.assertMints(t)
}

// assertNothingStray asserts that each token of the mount belongs to something.
func (u *upgraded) assertNothingStray(t *testing.T) {
	assertCounts(t, u.tidy(t, nil), 0, 0)
	for _, problem := range u.problems(t) { // the older version took what this one cuts
		assert.Contains(t, problem, `static role "schedule": grace_period: 3600s is longer than the shortest time between two rotations`)
	}
	require.NoError(t, lab.Await(t.Context(), tickLimit, "all tokens to be known", func(context.Context) error {
		known := []string{u.rootID, u.last.id}
		for name := range u.standing {
			role := u.staticRoleNow(t, name)
			known = append(known, fmt.Sprint(role["authorization_id"]), fmt.Sprint(role["previous_authorization_id"]))
		}
		for _, a := range u.inInflux(t) { // a rotation that comes meanwhile makes another
			if !slices.Contains(known, a.ID) {
				return fmt.Errorf("nobody knows %s: %s", a.ID, a.Description)
			}
		}
		return nil
	}))
}

// assertTeardown ends the mount. What is left is its root token, as the documentation says.
func (u *upgraded) assertTeardown(t *testing.T) {
	mount := u.uuid(t)
	for name := range u.standing {
		u.remove(t, "static-roles/"+name)
	}
	require.NoError(t, u.vault.Sys().UnmountWithContext(t.Context(), u.path))
	assertDead(t, u.influx, u.last)
	require.NoError(t, u.influx.DeleteAuthorization(t.Context(), u.rootID))
	assertNothingOf(t, u.influx, mount)
}
