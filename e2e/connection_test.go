package e2e

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// onBothWays runs a test that leads a connection from one InfluxDB to another: from each version to the other.
func onBothWays(t *testing.T, test func(t *testing.T, from, to *lab.Influx)) {
	current, old := influxOf(t, lab.InfluxVersion), influxOf(t, lab.OldInfluxVersion)
	t.Run("from "+current.Version, func(t *testing.T) { test(t, current, old) })
	t.Run("from "+old.Version, func(t *testing.T) { test(t, old, current) })
}

// leadingTo is a write of config that leads to an InfluxDB.
func leadingTo(influx *lab.Influx, more map[string]any) map[string]any {
	fields := map[string]any{"url": influx.URL, "token": influx.Operator}
	for name, value := range more {
		fields[name] = value
	}
	return fields
}

func TestAnotherInfluxDBIsRefusedWhileTokensAreOut(t *testing.T) {
	t.Parallel()
	onBothWays(t, func(t *testing.T, from, other *lab.Influx) {
		e := connectedEngine(t, from)
		e.role(t, "app", bucketRole(nil))
		m := e.mint(t, "app")
		before := e.config(t)

		said := e.refuses(t, "config", leadingTo(other, nil))
		assert.Contains(t, said, "url: this is another InfluxDB than "+from.URL)
		assert.Contains(t, said, m.id+" (role app)")
		assert.Contains(t, said, "the stored configuration is unchanged")
		assert.Contains(t, said, "vault lease revoke -prefix "+e.path+"/creds/")
		assert.Contains(t, said, "abandon_previous=true")
		assert.Equal(t, before, e.config(t))
		assertWorks(t, from, e.mint(t, "app").token)

		e.revokePrefix(t, "creds/")
		assertNothingOf(t, from, e.uuid(t))
		assert.Empty(t, e.write(t, "config", leadingTo(other, nil)), "nothing is out any more")
		assertWorks(t, other, e.mint(t, "app").token)
	})
}

// The abandoned InfluxDB may be out of reach for good: then its leases end without it.
func TestAbandonedLeasesEndWithoutForce(t *testing.T) {
	t.Parallel()
	onBothWays(t, func(t *testing.T, from, other *lab.Influx) {
		e, p := engineBehindProxy(t, from)
		first, second, third := e.mint(t, "app"), e.mint(t, "app"), e.mint(t, "app")

		said := e.write(t, "config", leadingTo(other, map[string]any{"abandon_previous": true}))
		require.Len(t, said, 1)
		for _, m := range []minted{first, second, third} {
			assert.Contains(t, said[0], m.id+" (role app)")
		}
		assert.Contains(t, said[0], "abandon_previous: 3 tokens of this mount still live")
		fresh := e.mint(t, "app")
		assertWorks(t, other, fresh.token)

		e.revoke(t, first.lease)
		assertGone(t, from, first) // within reach it is asked

		p.Close()
		e.revoke(t, second.lease)
		e.revoke(t, fresh.lease)
		assertGone(t, other, fresh)
		require.NoError(t, e.vault.Sys().UnmountWithContext(t.Context(), e.path), "with the third lease")
		assertWorks(t, from, third.token) // it was given up
		for _, m := range []minted{second, third} {
			require.NoError(t, from.DeleteAuthorization(t.Context(), m.id))
		}
	})
}

// The same InfluxDB under another address is the same: its leases are revoked on the new way to it.
func TestInfluxDBMoves(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		for name, base := range map[string]string{"another port": "", "a base path": "/influx", "a base path with a slash": "/influx/"} {
			t.Run(name, func(t *testing.T) {
				e := connectedEngine(t, influx)
				e.role(t, "app", bucketRole(nil))
				before := e.mint(t, "app")
				p := startProxy(t, influx, base, nil)
				said := e.refuses(t, "config", map[string]any{"url": p.URL})
				assert.Contains(t, said, "url: leads to another host than "+influx.URL+"; give its token in the same write")
				assert.Equal(t, influx.URL, e.config(t)["url"])
				assert.Empty(t, e.write(t, "config", map[string]any{"url": p.URL, "token": influx.Operator}))
				assert.Equal(t, p.URL, e.config(t)["url"], "as it was written")
				probes := p.deletions.Load() // the write of config tried the new way

				e.revoke(t, before.lease)
				assertGone(t, influx, before)
				assert.Equal(t, probes+1, p.deletions.Load(), "it was revoked through the proxy")
				after := e.mint(t, "app")
				assertWorks(t, influx, after.token)
				e.write(t, "config", leadingTo(influx, nil))
				e.revoke(t, after.lease)
				assertGone(t, influx, after)
			})
		}
	})
}

func TestConfigIsDeletedAndWrittenAgain(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		e := connectedEngine(t, influx)
		e.role(t, "app", bucketRole(nil))
		first, second := e.mint(t, "app"), e.mint(t, "app")
		e.remove(t, "config")
		read, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/config")
		require.NoError(t, err)
		require.Nil(t, read)
		_, err = e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/app")
		require.ErrorContains(t, err, "influxdb is not configured: write url, token and org to "+e.path+"/config first")
		e.revoke(t, first.lease)
		assertGone(t, influx, first)
		assertWorks(t, influx, second.token)

		e.write(t, "config", leadingTo(influx, map[string]any{"org": org}))
		third := e.mint(t, "app")
		assertWorks(t, influx, third.token)
		e.revoke(t, second.lease)
		e.revoke(t, third.lease)
		assertGone(t, influx, second, third)
	})
}

// Between a deletion and a write the tokens of the old InfluxDB are still owed: the write does not change where
// they are revoked.
func TestConfigIsDeletedAndWrittenForAnotherInfluxDB(t *testing.T) {
	t.Parallel()
	onBothWays(t, func(t *testing.T, from, other *lab.Influx) {
		e := connectedEngine(t, from)
		e.role(t, "app", bucketRole(nil))
		old := e.mint(t, "app")
		e.remove(t, "config")
		e.write(t, "config", leadingTo(other, map[string]any{"org": org}))
		fresh := e.mint(t, "app")
		assertWorks(t, other, fresh.token)

		e.revoke(t, old.lease)
		assertGone(t, from, old)
		e.revoke(t, fresh.lease)
		assertGone(t, other, fresh)
	})
}
