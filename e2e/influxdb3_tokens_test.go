package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// lookAlike3 is the name of a token as the mount with a UUID would make it.
func lookAlike3(uuid, nonce string, deadline time.Time) string {
	return fmt.Sprintf("vault:v1:%s:lease:app:%s:%d", uuid, nonce, deadline.Unix())
}

// A token is listed, read and deleted by its name; its lease then ends cleanly.
func TestTokensOfInfluxDB3AreListedAndEnded(t *testing.T) {
	t.Parallel()
	onInfluxDB3(t, func(t *testing.T, e *engine3) {
		leaked, other := e.mint(t, "app"), e.mint(t, "app")
		logical := e.vault.Logical()
		listed, err := logical.ListWithContext(t.Context(), e.path+"/tokens")
		require.NoError(t, err)
		assert.ElementsMatch(t, []any{leaked.id, other.id}, listed.Data["keys"])
		info := listed.Data["key_info"].(map[string]any)[leaked.id].(map[string]any)
		assert.Equal(t, "app", info["role"])
		one, err := logical.ReadWithContext(t.Context(), e.path+"/tokens/"+leaked.id)
		require.NoError(t, err)
		assert.Equal(t, leaked.id, one.Data["authorization_id"])
		assert.NotEmpty(t, one.Data["issued"])
		assert.NotContains(t, one.Data, "token")

		_, err = logical.DeleteWithContext(t.Context(), e.path+"/tokens/"+leaked.id)
		require.NoError(t, err)
		e.assertEnded(t, leaked)
		e.server.assertWorks(t, other.token)
		e.revoke(t, leaked.lease)
		for name, status := range map[string]int{
			leaked.id: http.StatusNotFound, "_admin": http.StatusBadRequest, "0123456789abcdef": http.StatusBadRequest,
			lookAlike3("00000000-0000-0000-0000-000000000000", "0011223344556677", time.Now()): http.StatusNotFound,
		} {
			_, err = logical.DeleteWithContext(t.Context(), e.path+"/tokens/"+name)
			answeredWith(t, status, err)
		}
		e.server.assertWorks(t, e.server.operator)
		e.revoke(t, other.lease)
	})
}

// Two mounts share a server: tidy of one deletes the rows of its own expired tokens, and nothing else, and neither does its
// end.
func TestMountsShareAnInfluxDB3(t *testing.T) {
	t.Parallel()
	onInfluxDB3Brief(t, func(t *testing.T, e *engine3) {
		other := briefEngine3(t, e.server, nil)
		mine, theirs := e.mint(t, "app"), other.mint(t, "app")
		before := time.Now().Add(-time.Hour)
		dead := lookAlike3(e.mountUUID(t), "0011223344556677", before)
		others := []string{
			lookAlike3(other.mountUUID(t), "0011223344556677", before), "by hand", theirs.id,
			lookAlike3(e.mountUUID(t), "8899aabbccddeeff", time.Now().Add(time.Hour)),
			strings.Replace(dead, ":lease:", ":static:", 1), mine.id,
		}
		for i, name := range append([]string{dead}, others...) {
			if name != mine.id && name != theirs.id {
				e.server.create(t, name, 1+i) // all of them expire
			}
		}
		state := e.tidy(t, map[string]any{"dry_run": true})
		assertCounts(t, state, 1, 0)
		require.NoError(t, lab.Await(t.Context(), reachLimit, "tidy to delete what is dead", func(ctx context.Context) error {
			rows, err := e.server.rows(ctx, dead)
			if err == nil && len(rows) > 0 {
				e.tidy(t, nil)
				err = errors.New("it is there")
			}
			return err
		}))
		for _, name := range others {
			e.row(t, name)
		}
		for _, name := range others[3:5] {
			e.server.remove(t, name)
		}
		require.NoError(t, other.vault.Sys().UnmountWithContext(t.Context(), other.path))
		e.server.assertRefused(t, theirs.token)
		e.server.assertWorks(t, mine.token)
		e.row(t, others[0])
		// The mount is gone, and what it left is tidied up after by name.
		e.tidy(t, map[string]any{"mount_uuid": strings.Split(others[0], ":")[2]})
		rows, err := e.server.rows(t.Context(), "%")
		require.NoError(t, err)
		assert.NotContains(t, rows, others[0])
		assert.Contains(t, rows, "by hand")
	})
}

// max_leases holds, also after the process that has counted was killed.
func TestMaxLeasesOnInfluxDB3(t *testing.T) {
	t.Parallel()
	onInfluxDB3s(t, func(t *testing.T, influx *influx3) {
		t.Parallel()
		vault := newVaultWith(t, lab.VaultOptions{Storage: "inmem"}, crashTestPlugin(t))
		e := engineIn3(t, vault, "influxdb", influx, nil)
		e.role(t, "few", adminRole(map[string]any{"max_leases": 2}))
		first := e.mint(t, "few")
		e.mint(t, "few")
		require.Error(t, e.exceeds(t))
		require.NoError(t, vault.KillPlugins(t.Context()))
		require.NoError(t, lab.Await(t.Context(), drainLimit, "max_leases to count what was minted before", func(ctx context.Context) error {
			answer, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/creds/few")
			var refused *api.ResponseError
			switch {
			case errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests:
				return nil
			case err == nil:
				e.revoke(t, answer.LeaseID)
				err = errors.New("one more was minted")
			}
			return err
		}))
		e.revoke(t, first.lease)
		require.NoError(t, e.exceeds(t), "one has ended")
	})
}
