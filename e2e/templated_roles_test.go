package e2e

import (
	"context"
	"crypto/rand"
	"fmt"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// people log in to the shared Vault by userpass; each is an entity.
type people struct {
	*engine
	mount, accessor string
}

func newPeople(t *testing.T, e *engine) *people {
	t.Helper()
	p := &people{engine: e, mount: unique("userpass")}
	require.NoError(t, e.vault.Sys().EnableAuthWithOptionsWithContext(t.Context(), p.mount, &api.EnableAuthOptions{Type: "userpass"}))
	t.Cleanup(func() { assert.NoError(t, e.vault.Sys().DisableAuthWithContext(context.Background(), p.mount)) })
	mounts, err := e.vault.Sys().ListAuthWithContext(t.Context())
	require.NoError(t, err)
	p.accessor = mounts[p.mount+"/"].Accessor
	require.NoError(t, e.vault.Sys().PutPolicyWithContext(t.Context(), e.path, fmt.Sprintf(`
		path "%s/creds/*" { capabilities = ["read", "update"] }`, e.path)))
	return p
}

// ask writes to a path of Vault that is not the engine's.
func (p *people) ask(t *testing.T, path string, fields map[string]any) *api.Secret {
	t.Helper()
	answer, err := p.vault.Logical().WriteWithContext(t.Context(), path, fields)
	require.NoError(t, err)
	return answer
}

// person is an entity with metadata, logged in under a name.
func (p *people) person(t *testing.T, name string, metadata map[string]string) (client *api.Client, entityID string) {
	t.Helper()
	password := rand.Text()
	p.ask(t, "auth/"+p.mount+"/users/"+name, map[string]any{"password": password, "token_policies": p.path})
	entityID = p.ask(t, "identity/entity", map[string]any{"name": unique(name), "metadata": metadata}).Data["id"].(string)
	t.Cleanup(func() {
		_, err := p.engine.vault.Logical().DeleteWithContext(context.Background(), "identity/entity/id/"+entityID)
		assert.NoError(t, err)
	})
	p.ask(t, "identity/entity-alias", map[string]any{"name": name, "canonical_id": entityID, "mount_accessor": p.accessor})
	login := p.ask(t, "auth/"+p.mount+"/login/"+name, map[string]any{"password": password})
	require.Equal(t, entityID, login.Auth.EntityID)
	client, err := p.vault.Clone()
	require.NoError(t, err)
	client.SetToken(login.Auth.ClientToken)
	return client, entityID
}

// mintedFor mints for a caller, and also tells the buckets that the answer names.
func (p *people) mintedFor(t *testing.T, caller *api.Client, role string) (m minted, read, write any) {
	t.Helper()
	answer, err := caller.Logical().ReadWithContext(t.Context(), p.path+"/creds/"+role)
	require.NoError(t, err)
	return mintedFrom(t, answer), answer.Data["read_buckets"], answer.Data["write_buckets"]
}

// refusedTo are the lines of the 400 that a caller gets, who gets no token.
func (p *people) refusedTo(t *testing.T, caller *api.Client, role string) []string {
	t.Helper()
	before := p.inInflux(t)
	_, err := caller.Logical().ReadWithContext(t.Context(), p.path+"/creds/"+role)
	defer func() { assert.ElementsMatch(t, before, p.inInflux(t), "no token was made") }()
	return p.linesOf(t, err)
}

func TestATemplatedRoleGivesEveryCallerItsOwn(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		p := newPeople(t, e)
		home := e.influx.Onboarding.Org
		bucketOf := map[string]string{}
		callers := map[string]*api.Client{}
		for _, name := range []string{"ann", "bob"} {
			login := unique(name)
			for _, prefix := range []string{"own-", "by-"} {
				newBucket(t, e.influx, home.ID, prefix+login)
			}
			callers[name], _ = p.person(t, login, map[string]string{"bucket": "own-" + login})
			bucketOf[name], bucketOf["by "+name] = "own-"+login, "by-"+login
		}
		e.role(t, "own", map[string]any{"read_buckets": "{{identity.entity.metadata.bucket}}", "write_buckets": "{{identity.entity.metadata.bucket}}"})
		e.role(t, "by-login", map[string]any{
			"read_buckets": []string{bucket}, "permissions": []any{raw("write", "type", "buckets", "name", "by-{{identity.entity.aliases."+p.accessor+".name}}")},
		})
		for name, other := range map[string]string{"ann": "bob", "bob": "ann"} {
			own, theirs := target{org, bucketOf[name]}, target{org, bucketOf[other]}
			m, read, write := p.mintedFor(t, callers[name], "own")
			assert.Equal(t, []any{own.bucket}, read)
			assert.Equal(t, []any{own.bucket}, write)
			assert.True(t, e.writes(t, m, own))
			assert.True(t, e.reads(t, m, own))
			assertRefused(t, e.influx, m.token, org, theirs.bucket)
			assertRefused(t, e.influx, m.token, org, bucket)

			byLogin, read, write := p.mintedFor(t, callers[name], "by-login")
			own, theirs = target{org, bucketOf["by "+name]}, target{org, bucketOf["by "+other]}
			assert.Equal(t, []any{bucket}, read)
			assert.Equal(t, []any{own.bucket}, write)
			assert.True(t, e.writes(t, byLogin, own))
			assert.False(t, e.reads(t, byLogin, own))
			assertRefused(t, e.influx, byLogin.token, org, theirs.bucket)

			_, err := callers[name].Logical().WriteWithContext(t.Context(), e.path+"/creds/own", map[string]any{"read_buckets": bucketOf[other]})
			assert.Equal(t, []string{fmt.Sprintf(`read_buckets[0]: role "own" does not cover read:buckets/%s in org acme`, bucketOf[other])}, e.linesOf(t, err))
			e.assertJust(t, m, byLogin)
			e.revoke(t, m.lease)
			e.revoke(t, byLogin.lease)
		}
	})
}

func TestATemplatedRoleGivesNothingToWhomItDoesNotFit(t *testing.T) {
	t.Parallel()
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		p := newPeople(t, e)
		const own = "{{identity.entity.metadata.bucket}}"
		e.role(t, "own", map[string]any{"read_buckets": []string{bucket, own}, "write_buckets": own})
		l := newLandscape(t, e.influx)
		const (
			unfilled = `"` + own + `" can't be filled in for this caller: no value could be found for one of the template directives`
			nobody   = "the caller has no identity entity (a root token has none), which the role's templates need; log in through an auth method"
		)
		ofEach := func(text string) []string { return []string{"read_buckets[1]: " + text, "write_buckets[0]: " + text} }
		for _, c := range []struct {
			name     string
			metadata map[string]string
			says     []string
		}{
			{"no metadata", nil, ofEach(unfilled)},
			{"everything", map[string]string{"bucket": "*"}, ofEach(`the template yields "*" for this caller; it must yield a name`)},
		} {
			t.Run(c.name, func(t *testing.T) {
				caller, _ := p.person(t, unique("eve"), c.metadata)
				assert.Equal(t, c.says, p.refusedTo(t, caller, "own"))
			})
		}
		t.Run("a root token", func(t *testing.T) {
			assert.Equal(t, ofEach(nobody), p.refusedTo(t, e.vault, "own"))
		})
		t.Run("a caller given a bucket later", func(t *testing.T) {
			caller, entityID := p.person(t, unique("late"), nil)
			p.refusedTo(t, caller, "own")
			p.ask(t, "identity/entity/id/"+entityID, map[string]any{"metadata": map[string]string{"bucket": l.alerts.Name}})
			m, _, write := p.mintedFor(t, caller, "own")
			assert.Equal(t, []any{l.alerts.Name}, write)
			assert.True(t, e.writes(t, m, target{org, l.alerts.Name}))
			p.ask(t, "identity/entity/id/"+entityID, map[string]any{"metadata": map[string]string{"bucket": bucket}})
			m, _, write = p.mintedFor(t, caller, "own")
			assert.Equal(t, []any{bucket}, write)
			assert.False(t, e.writes(t, m, target{org, l.alerts.Name}), "what was granted to a caller before is not remembered")
		})
	})
}
