package e2e

import (
	"context"
	"net/http"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// estate is an engine whose roles live in an organization, a bucket and a user of the test's own: all of
// them may go.
type estate struct {
	*engine
	org, bucket, user lab.Named
	minted            []minted
}

// newEstate mints two tokens of one role and one of another.
func newEstate(t *testing.T, influx *lab.Influx) *estate {
	t.Helper()
	s := &estate{engine: &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}}
	var err error
	s.org, err = influx.CreateOrg(t.Context(), unique("org"))
	require.NoError(t, err)
	s.bucket, err = influx.CreateBucket(t.Context(), s.org.ID, "metrics")
	require.NoError(t, err)
	s.user, err = influx.CreateUser(t.Context(), unique("user"))
	require.NoError(t, err)
	t.Cleanup(func() { // the test may have deleted them
		_ = influx.DeleteOrg(context.Background(), s.org.ID)
		_ = influx.DeleteUser(context.Background(), s.user.ID)
	})
	s.write(t, "config", map[string]any{
		"url": influx.URL, "token": influx.Operator, "org": s.org.Name, "user": s.user.Name,
	})
	for _, role := range []string{"app", "app", "batch"} {
		s.role(t, role, map[string]any{"read_buckets": s.bucket.Name})
		s.minted = append(s.minted, s.mint(t, role))
	}
	return s
}

// Neither the role nor anything in InfluxDB is needed to end a lease, and nothing that is missing holds one
// back: not one by one, not by prefix, not when the mount is disabled. Force is never needed.
func TestLeasesEndWhateverIsGone(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(t *testing.T, s *estate){
		"the authorizations": func(t *testing.T, s *estate) {
			for _, m := range s.minted {
				require.NoError(t, s.influx.DeleteAuthorization(t.Context(), m.id))
			}
		},
		"the roles": func(t *testing.T, s *estate) {
			s.remove(t, "roles/app")
			s.remove(t, "roles/batch")
		},
		"the bucket":       func(t *testing.T, s *estate) { require.NoError(t, s.influx.DeleteBucket(t.Context(), s.bucket.ID)) },
		"the owner":        func(t *testing.T, s *estate) { require.NoError(t, s.influx.DeleteUser(t.Context(), s.user.ID)) },
		"the organization": func(t *testing.T, s *estate) { require.NoError(t, s.influx.DeleteOrg(t.Context(), s.org.ID)) },
		"the config":       func(t *testing.T, s *estate) { s.remove(t, "config") },
		"everything": func(t *testing.T, s *estate) {
			s.remove(t, "roles/app")
			s.remove(t, "config")
			require.NoError(t, s.influx.DeleteUser(t.Context(), s.user.ID))
			require.NoError(t, s.influx.DeleteOrg(t.Context(), s.org.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
				s := newEstate(t, influx)
				mount := s.uuid(t)
				remove(t, s)

				s.revoke(t, s.minted[0].lease)
				s.revokePrefix(t, "creds/app")
				assertGone(t, influx, s.minted[0], s.minted[1])
				require.NoError(t, s.vault.Sys().UnmountWithContext(t.Context(), s.path))
				assertGone(t, influx, s.minted[2])
				assertNothingOf(t, influx, mount)
			})
		})
	}
}

// onBothVersions runs a test once for each shared InfluxDB.
func onBothVersions(t *testing.T, test func(t *testing.T, influx *lab.Influx)) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { test(t, influxOf(t, version)) })
	}
}

// remove deletes a path of the mount.
func (e *engine) remove(t *testing.T, path string) {
	t.Helper()
	_, err := e.vault.Logical().DeleteWithContext(t.Context(), e.path+"/"+path)
	require.NoError(t, err)
}

// config reads the connection.
func (e *engine) config(t *testing.T) map[string]any {
	t.Helper()
	read, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/config")
	require.NoError(t, err)
	require.NotNil(t, read)
	return read.Data
}

// uuid is what marks the mount's tokens in InfluxDB.
func (e *engine) uuid(t *testing.T) string {
	t.Helper()
	mark, _ := e.config(t)["mount_uuid"].(string)
	require.NotEmpty(t, mark)
	return mark
}

// revokePrefix revokes every lease below a path of the mount, as `vault lease revoke -prefix -sync` does.
func (e *engine) revokePrefix(t *testing.T, path string) {
	t.Helper()
	require.NoError(t, e.vault.Sys().RevokeWithOptionsWithContext(t.Context(),
		&api.RevokeOptions{LeaseID: e.path + "/" + path, Prefix: true, Sync: true}))
}

// tryRevoke is revoke where it is to fail: its error.
func (e *engine) tryRevoke(ctx context.Context, m minted) error {
	return e.vault.Sys().RevokeWithOptionsWithContext(ctx, &api.RevokeOptions{LeaseID: m.lease, Sync: true})
}

// assertGone proves that InfluxDB has the authorizations no more. It asks for a deletion: a token whose owner
// or organization is gone answers a read with 404 too, and works on.
func assertGone(t *testing.T, influx *lab.Influx, all ...minted) {
	t.Helper()
	for _, m := range all {
		var answer *lab.StatusError
		require.ErrorAs(t, influx.DeleteAuthorization(t.Context(), m.id), &answer)
		assert.Equal(t, http.StatusNotFound, answer.Status)
		assert.Contains(t, answer.Body, "authorization not found")
	}
}

// assertNothingOf asserts that InfluxDB lists no token of a mount.
func assertNothingOf(t *testing.T, influx *lab.Influx, mount string) {
	t.Helper()
	all, err := influx.Authorizations(t.Context())
	require.NoError(t, err)
	for _, text := range descriptions(all) {
		assert.NotContains(t, text, mount)
	}
}
