package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// rotatesRoot replaces a root token that was made by hand, so that it has to be proven which one it is.
var rotatesRoot = crashAct{
	name:       "rotate-root",
	prepare:    rootByHand,
	call:       rotatesIt,
	recovered:  func(t *testing.T, p *crashPoint) { p.awaitRecovery(t, mintsAgain) },
	reconciled: rootIsOne,
	steps: slices.Concat(
		aroundWrite("the intention is stored", "put", "intention/root", 1),
		aroundCall("call for a new token", "POST", ":{uuid}:root:-root:"),
		atEvery(aroundCall("new token's trial", "POST", ":{uuid}:lease:-probe:")), // tidy makes such a token, too
		aroundWrite("the new token is stored", "put", "config", 1),
		aroundCall("old one's proof", "PATCH", "/authorizations/{id}"),
		aroundCall("deletion of the old one", "DELETE", "/authorizations/{id}"),
		aroundWrite("the intention is struck off", "delete", "intention/root", 1),
		aroundAnswer("update config/rotate-root"),
	),
}

// rotatesRootAgain replaces a root token that the engine has made, which needs no proof.
var rotatesRootAgain = crashAct{
	name: "rotate-root again",
	prepare: func(t *testing.T, p *crashPoint) {
		rootByHand(t, p)
		require.NoError(t, rotatesIt(t.Context(), p))
		p.id = p.config(t)["authorization_id"].(string)
	},
	call:       rotatesIt,
	recovered:  func(t *testing.T, p *crashPoint) { p.awaitRecovery(t, mintsAgain) },
	reconciled: rootIsOne,
	steps: slices.Concat(
		aroundCall("call for a new token", "POST", ":{uuid}:root:-root:"),
		aroundWrite("the new token is stored", "put", "config", 1),
		aroundCall("deletion of the old one", "DELETE", "/authorizations/{id}"),
		aroundWrite("the intention is struck off", "delete", "intention/root", 1),
	),
}

// rootByHand connects the mount with a root token of its own.
func rootByHand(t *testing.T, p *crashPoint) {
	t.Helper()
	root, err := p.influx.CreateAuthorization(t.Context(), lab.Authorization{
		OrgID: p.influx.Onboarding.Org.ID, Description: "root of " + p.path, Permissions: p.influx.Onboarding.Authorization.Permissions,
	})
	require.NoError(t, err)
	p.id = root.ID
	p.connect(t, map[string]any{"token": root.Token, "authorization_id": root.ID})
	p.role(t, "app", bucketRole(map[string]any{"ttl": "1h"}))
}

// rootIsOne waits until of all root tokens that the mount has had one lives, and asserts that it can be replaced.
func rootIsOne(t *testing.T, p *crashPoint) {
	p.awaitReconciled(t, p.oneRoot)
	assert.NoError(t, mintsAgain(t.Context(), p))
	require.NoError(t, rotatesIt(t.Context(), p))
	assert.NoError(t, p.oneRoot(t.Context()))
	assert.False(t, p.exists(t, p.id), "the old one is gone")
	assert.NoError(t, mintsAgain(t.Context(), p))
}

func rotatesIt(ctx context.Context, p *crashPoint) error {
	_, err := p.vault.Logical().WriteWithContext(ctx, p.path+"/config/rotate-root", nil)
	return err
}

// mintsAgain: the root token in storage works.
func mintsAgain(ctx context.Context, p *crashPoint) error {
	_, err := p.vault.Logical().ReadWithContext(ctx, p.path+"/creds/app")
	return err
}

// oneRoot is nil when of all root tokens that the mount has had one lives: the stored one.
func (p *crashPoint) oneRoot(ctx context.Context) error {
	stored, err := p.vault.Logical().ReadWithContext(ctx, p.path+"/config")
	if err != nil {
		return err
	}
	all, err := p.influx.Authorizations(ctx)
	if err != nil {
		return err
	}
	var living []string
	for _, a := range all {
		if a.ID == p.id || strings.Contains(a.Description, p.stamp("root", "-root")) {
			living = append(living, a.ID+" "+a.Status)
		}
	}
	if want := []string{fmt.Sprint(stored.Data["authorization_id"], " active")}; !slices.Equal(living, want) {
		return fmt.Errorf("the root tokens %v live, and not just %v", living, want)
	}
	return p.nothingCutOff(ctx)
}

// nothingCutOff is nil when the engine has nothing more to finish.
func (p *crashPoint) nothingCutOff(ctx context.Context) error {
	checked, err := p.vault.Logical().ReadWithContext(ctx, p.path+"/check")
	if err != nil {
		return err
	}
	problems := fmt.Sprint(checked.Data["problems"])
	for _, unfinished := range []string{"that began at", "cut off"} {
		if strings.Contains(problems, unfinished) {
			return errors.New(problems)
		}
	}
	return nil
}

// setsUp sets an InfluxDB of its own up.
var setsUp = crashAct{
	name: "setup",
	prepare: func(t *testing.T, p *crashPoint) {
		p.influx = freshInflux(t, lab.InfluxOptions{})
		p.proxied = p.scene.stops.proxy(t, p.influx).URL
	},
	call: setsItUp,
	recovered: func(t *testing.T, p *crashPoint) {
		p.awaitRecovery(t, setsUpAgain)
		p.role(t, "app", bucketRole(map[string]any{"ttl": "1h"}))
		assertWorks(t, p.influx, p.mint(t, "app").token)
		assert.NoError(t, p.nothingCutOff(t.Context()))
		require.NoError(t, p.vault.Sys().UnmountWithContext(t.Context(), p.path))
		assert.NoError(t, p.influx.Stop())
	},
	steps: slices.Concat(
		aroundWrite("the intention is stored", "put", "intention/root", 1),
		aroundCall("call", "POST", `"username":"{uuid}"`),
		aroundWrite("the token is stored", "put", "config", 1),
		aroundWrite("the intention is struck off", "delete", "intention/root", 1),
		aroundAnswer("update config/setup"),
	),
}

func setsItUp(ctx context.Context, p *crashPoint) error {
	_, err := p.vault.Logical().WriteWithContext(ctx, p.path+"/config/setup", map[string]any{
		"url": p.proxied, "username": p.uuid, "org": org, "bucket": bucket, "request_timeout": "5m",
	})
	return err
}

// setsUpAgain does the rest, as the help of config/setup says, unless nothing is left to do.
func setsUpAgain(ctx context.Context, p *crashPoint) error {
	err := setsItUp(ctx, p)
	if err != nil && strings.Contains(err.Error(), "the mount is connected to "+p.proxied) {
		return nil
	}
	return err
}
