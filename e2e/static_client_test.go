package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// tickLimit is how long the engine may take for what it does of itself: Vault ticks once a minute.
const tickLimit = 4 * time.Minute

// briefGrace is over before the next tick, mostly, and long beside a few requests.
const briefGrace = "20s"

// staticRole writes a static role that reads and writes the bucket of Setup, and deletes it when the test ends.
func (e *engine) staticRole(t *testing.T, name string, more map[string]any) {
	t.Helper()
	e.write(t, "static-roles/"+name, bucketRole(more))
	e.deleteStaticRole(t, name)
}

// deleteStaticRole deletes a static role when the test ends: its token outlives the mount.
func (e *engine) deleteStaticRole(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		_, err := e.vault.Logical().Delete(e.path + "/static-roles/" + name)
		assert.NoError(t, err)
	})
}

// standing is a static role's current token, as static-creds answers it.
type standing struct{ token, id, rotated string }

// standing reads static-creds.
func (e *engine) standing(ctx context.Context, name string) (standing, error) {
	answer, err := e.vault.Logical().ReadWithContext(ctx, e.path+"/static-creds/"+name)
	if err != nil {
		return standing{}, err
	}
	if answer.LeaseID != "" || answer.Renewable {
		return standing{}, lab.Final(errors.New("static-creds has a lease"))
	}
	text := func(field string) string { return fmt.Sprint(answer.Data[field]) }
	return standing{token: text("token"), id: text("authorization_id"), rotated: text("last_vault_rotation")}, nil
}

// stands reads static-creds, which has to answer.
func (e *engine) stands(t *testing.T, name string) standing {
	t.Helper()
	read, err := e.standing(t.Context(), name)
	require.NoError(t, err)
	return read
}

// rotate rotates a static role by hand, and returns its new token.
func (e *engine) rotate(t *testing.T, name, grace string) standing {
	t.Helper()
	before := e.stands(t, name)
	require.Empty(t, e.write(t, "rotate-role/"+name, map[string]any{"grace_period": grace}))
	after := e.stands(t, name)
	require.NotEqual(t, before.token, after.token)
	require.NotEqual(t, before.rotated, after.rotated)
	return after
}

// staticRoleNow reads a static role.
func (e *engine) staticRoleNow(t *testing.T, name string) map[string]any {
	t.Helper()
	read, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/static-roles/"+name)
	require.NoError(t, err)
	return read.Data
}

// awaitOther waits for a static role's token to be another one, and returns that.
func (e *engine) awaitOther(t *testing.T, name string, than standing) (now standing) {
	t.Helper()
	require.NoError(t, lab.Await(t.Context(), tickLimit, "another token of "+name, func(ctx context.Context) (err error) {
		if now, err = e.standing(ctx, name); err == nil && now.token == than.token {
			err = errors.New("it is the same")
		}
		return err
	}))
	return now
}

// watchGrace tells, when it is asked, that InfluxDB refuses a previous token since its grace is over, and not before.
func (e *engine) watchGrace(t *testing.T, name, token string) (assertEnded func(*testing.T)) {
	t.Helper()
	assert.Equal(t, http.StatusNoContent, writes(t, e.influx, token))
	ends, err := time.Parse(time.RFC3339, fmt.Sprint(e.staticRoleNow(t, name)["previous_ends"]))
	require.NoError(t, err)
	death := e.watch(t, minted{token: token})
	return func(t *testing.T) {
		t.Helper()
		died := <-death
		require.NotZero(t, died, "the previous token never died")
		assert.False(t, died.Before(ends), "it died %s early", ends.Sub(died))
	}
}

// writes is how InfluxDB answers a token that writes a point.
func writes(t *testing.T, influx *lab.Influx, token string) (status int) {
	t.Helper()
	status, err := influx.WritePoint(t.Context(), token, org, bucket)
	require.NoError(t, err)
	return status
}

// appRoles makes AppRole logins possible in the shared Vault.
var appRoles = sync.OnceValue(func() error {
	return shared.vault.Client().Sys().EnableAuthWithOptions("approle", &api.EnableAuthOptions{Type: "approle"})
})

// login is an AppRole of the shared Vault whose tokens have a policy.
type login struct{ roleID, secretID string }

func newLogin(t *testing.T, policy string) login {
	t.Helper()
	require.NoError(t, appRoles())
	vault, name := shared.vault.Client(), unique("login")
	require.NoError(t, vault.Sys().PutPolicyWithContext(t.Context(), name, policy))
	role := "auth/approle/role/" + name
	_, err := vault.Logical().WriteWithContext(t.Context(), role, map[string]any{"token_policies": name, "token_period": "1h"})
	require.NoError(t, err)
	id, err := vault.Logical().ReadWithContext(t.Context(), role+"/role-id")
	require.NoError(t, err)
	secret, err := vault.Logical().WriteWithContext(t.Context(), role+"/secret-id", nil)
	require.NoError(t, err)
	return login{roleID: fmt.Sprint(id.Data["role_id"]), secretID: fmt.Sprint(secret.Data["secret_id"])}
}

// recipeBlock is a documented recipe that is tried here.
var recipeBlock = regexp.MustCompile("(?ms)^```\\w+\n(?:#|//) tried: (\\S+)\n(.*?)^```$")

// recipe is one of docs/recipes.md.
func recipe(t *testing.T, name string, here map[string]string) string {
	t.Helper()
	return recipeOf(t, recipes, name, here)
}

// The documents with recipes.
const (
	recipes   = "docs/recipes.md"
	v1Clients = "docs/v1-clients.md"
)

// recipeOf is such a block of a document with what stands there replaced by what is here.
func recipeOf(t *testing.T, page, name string, here map[string]string) string {
	t.Helper()
	for _, block := range recipeBlock.FindAllStringSubmatch(document(t, page), -1) {
		if block[1] == name {
			return replaced(t, block[2], here)
		}
	}
	require.Fail(t, page+" has no such recipe", name)
	return ""
}

// replaced is a documented text with what is here. All that is replaced has to be there, so that nothing is tried but
// the document.
func replaced(t *testing.T, text string, here map[string]string) string {
	t.Helper()
	for documented, real := range here {
		require.Contains(t, text, documented)
		text = strings.ReplaceAll(text, documented, real)
	}
	return text
}
