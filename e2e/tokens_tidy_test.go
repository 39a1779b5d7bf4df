package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// A token that has leaked is ended by its ID; its lease then ends cleanly.
func TestTokensAreListedAndEnded(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		e.role(t, "app", map[string]any{"read_buckets": bucket, "write_buckets": bucket})
		leaked, other := e.mint(t, "app"), e.mint(t, "app")

		listed, err := e.vault.Logical().ListWithContext(t.Context(), e.path+"/tokens")
		require.NoError(t, err)
		assert.ElementsMatch(t, []any{leaked.id, other.id}, listed.Data["keys"])
		info := listed.Data["key_info"].(map[string]any)[leaked.id].(map[string]any)
		assert.Equal(t, "app", info["role"])
		assert.Equal(t, org, info["org"])

		one, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/tokens/"+leaked.id)
		require.NoError(t, err)
		assert.Equal(t, leaked.description, one.Data["description"])

		_, err = e.vault.Logical().DeleteWithContext(t.Context(), e.path+"/tokens/"+leaked.id)
		require.NoError(t, err)
		status, _, err := e.influx.QueryPoint(t.Context(), leaked.token, org, bucket)
		require.NoError(t, err)
		assert.Equal(t, http.StatusUnauthorized, status)
		assertWorks(t, e.influx, other.token)
		e.revoke(t, leaked.lease)
	})
}

// A root token that can mint and delete but is not shown the list learns nothing from it, and says so.
func TestTidyWithARootThatSeesNothingIsBlind(t *testing.T) {
	t.Parallel()
	onBothVersions(t, func(t *testing.T, influx *lab.Influx) {
		l := newLandscape(t, influx)
		for name, lacks := range map[string]lab.Permission{
			"read:orgs/" + l.home.ID + "/authorizations": to("read", "authorizations", "", l.home.ID),
			"read:users/" + l.root.ID:                    to("read", "users", l.root.ID, ""),
		} {
			t.Run(name, func(t *testing.T) {
				held := append(leastRoot(l), to("write", "buckets", "", l.home.ID))
				e, _ := rootedIn(t, influx, l, slices.DeleteFunc(held, func(p lab.Permission) bool { return p == lacks }))
				e.role(t, "app", map[string]any{"write_buckets": bucket})
				m := e.mint(t, "app")
				dead := e.handMade(t, lookAlike(e.uuid(t), "lease", time.Now().Add(-time.Hour)))

				state := e.tidy(t, nil)
				assert.Equal(t, "blind", state["state"])
				assert.Contains(t, state["last_error"], name)
				assert.Equal(t, "0", fmt.Sprint(state["deleted_count"]))
				assert.True(t, e.exists(t, dead), "what is not seen is not deleted")
				assert.Contains(t, fmt.Sprint(e.problems(t)), name)
				assert.True(t, e.writes(t, m, target{org, bucket}))
				e.revoke(t, m.lease)
				assertGone(t, influx, m)

				e.write(t, "config", map[string]any{"token": influx.Operator})
				assertCounts(t, e.tidy(t, nil), 1, 1)
				assert.Empty(t, e.problems(t))
			})
		}
	})
}

// tidy runs tidy to its end, and returns its status.
func (e *engine) tidy(t *testing.T, fields map[string]any) map[string]any {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), time.Minute, "tidy to begin", func(ctx context.Context) error {
		_, err := e.vault.Logical().WriteWithContext(ctx, e.path+"/tidy", fields)
		if err != nil && !strings.Contains(err.Error(), "a run of tidy is under way") { // one that a tick began
			return lab.Final(err)
		}
		return err
	}))
	var state map[string]any
	require.NoError(t, lab.Await(t.Context(), time.Minute, "the end of tidy", func(ctx context.Context) error {
		status, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/tidy-status")
		if err != nil {
			return err
		}
		if state = status.Data; state["state"] == "running" {
			return fmt.Errorf("tidy still runs")
		}
		return nil
	}))
	return state
}

// lookAlike is a description as the mount with a UUID would write it.
func lookAlike(uuid, kind string, deadline time.Time) string {
	return fmt.Sprintf("by hand [vault:v1:%s:%s:app:0011223344556677:%d]", uuid, kind, deadline.Unix())
}

// handMade makes a token as a person would, with a description of their choice.
func (e *engine) handMade(t *testing.T, description string) string {
	t.Helper()
	made, err := e.influx.CreateAuthorization(t.Context(), lab.Authorization{
		OrgID: e.influx.Onboarding.Org.ID, Description: description,
		Permissions: []lab.Permission{{Action: "read", Resource: lab.Resource{Type: "buckets", OrgID: e.influx.Onboarding.Org.ID}}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.influx.DeleteAuthorization(context.Background(), made.ID) }) // tidy may have been first
	return made.ID
}

func (e *engine) exists(t *testing.T, id string) bool {
	t.Helper()
	all, err := e.influx.Authorizations(t.Context())
	require.NoError(t, err)
	for _, a := range all {
		if a.ID == id {
			return true
		}
	}
	return false
}
