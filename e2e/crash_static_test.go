package e2e

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// rotatesStatic replaces a static role's token while the one before it still works, so that this one is deleted first.
var rotatesStatic = crashAct{
	name: "rotate-role",
	prepare: func(t *testing.T, p *crashPoint) {
		p.connect(t, nil)
		p.write(t, "static-roles/app", bucketRole(map[string]any{"rotation_period": "24h"}))
		p.id = p.static(t, "static-roles/app")["authorization_id"].(string)
		require.NoError(t, rotatesRole(t.Context(), p))
	},
	call: rotatesRole,
	recovered: func(t *testing.T, p *crashPoint) {
		p.awaitRecovery(t, func(ctx context.Context, p *crashPoint) error {
			_, err := p.vault.Logical().ReadWithContext(ctx, p.path+"/static-creds/app")
			return err
		})
		p.assertCurrentWorks(t)
	},
	reconciled: func(t *testing.T, p *crashPoint) {
		p.assertStatic(t)
		require.NoError(t, rotatesRole(t.Context(), p))
		p.assertStatic(t)
		p.remove(t, "static-roles/app")
		p.awaitNothing(t)
	},
	steps: slices.Concat(
		aroundCall("deletion of the token before the current one", "DELETE", "/authorizations/{id}"),
		aroundWrite("it is stored that this one is gone", "put", "static-role/app", 1),
		aroundWrite("the intention is stored", "put", "intention/static/app", 1),
		aroundCall("call for a new token", "POST", ":{uuid}:static:app:"),
		aroundWrite("the new token is stored", "put", "static-role/app", 2),
		aroundWrite("the intention is struck off", "delete", "intention/static/app", 1),
		aroundAnswer("update rotate-role/app"),
	),
}

func rotatesRole(ctx context.Context, p *crashPoint) error {
	_, err := p.vault.Logical().WriteWithContext(ctx, p.path+"/rotate-role/app", nil)
	return err
}

// static reads a path of a static role.
func (p *crashPoint) static(t *testing.T, path string) map[string]any {
	t.Helper()
	read, err := p.vault.Logical().ReadWithContext(t.Context(), p.path+"/"+path)
	require.NoError(t, err)
	require.NotNil(t, read)
	return read.Data
}

// assertStatic waits until nothing bears the role's stamp but its current token and, maybe, the one before, and asserts
// that the current one works.
func (p *crashPoint) assertStatic(t *testing.T) {
	t.Helper()
	p.awaitReconciled(t, func(ctx context.Context) error {
		role := p.static(t, "static-roles/app")
		current, previous := role["authorization_id"], role["previous_authorization_id"]
		living, err := p.stamped(ctx, "static", "app")
		if err == nil && slices.ContainsFunc(living, func(id string) bool { return id != current && id != previous }) {
			err = fmt.Errorf("the tokens %v live, and the role knows %v and %v", living, current, previous)
		}
		return err
	})
	p.assertCurrentWorks(t)
}

// assertCurrentWorks asserts that whoever reads the role's token gets one that works.
func (p *crashPoint) assertCurrentWorks(t *testing.T) {
	t.Helper()
	token, _ := p.static(t, "static-creds/app")["token"].(string)
	assertWorks(t, p.influx, token)
}
