package e2e

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// interruption is a time in which Vault does not serve the engine.
type interruption struct {
	name  string
	begin func(context.Context) error
	end   func(context.Context) error
}

func interruptions() []interruption {
	vault := shared.vault
	return []interruption{
		{"restart", func(context.Context) error { return vault.Stop() }, vault.Start},
		{"crash", func(context.Context) error { vault.Kill(); return nil }, vault.Start},
		{"seal", vault.Seal, vault.Unseal},
		// Vault starts it again when it needs it: there is nothing to end.
		{"plugin killed", vault.KillPlugins, func(context.Context) error { return nil }},
	}
}

// held is what an engine has handed out before an interruption.
type held struct {
	engine *engine
	// renewed and revoked are asked for afterwards; nobody asks for brief, which runs out meanwhile.
	renewed, revoked, brief minted
	briefEnds               time.Time
}

func (e *engine) hold(t *testing.T) held {
	t.Helper()
	e.role(t, "app", bucketRole(map[string]any{"ttl": "10m"}))
	e.role(t, "brief", bucketRole(map[string]any{"ttl": "3s"}))
	h := held{engine: e, renewed: e.mint(t, "app"), revoked: e.mint(t, "app"), brief: e.mint(t, "brief")}
	h.briefEnds = time.Now().Add(time.Duration(h.brief.seconds) * time.Second) // its lease may be over before one can ask
	return h
}

func TestLeasesOutliveInterruptions(t *testing.T) {
	var engines []*engine
	for _, version := range versions {
		engines = append(engines, connectedEngine(t, influxOf(t, version)))
	}
	for _, way := range interruptions() {
		t.Run(way.name, func(t *testing.T) {
			var all []held
			for _, e := range engines {
				all = append(all, e.hold(t))
			}
			require.NoError(t, way.begin(t.Context()))
			for _, h := range all {
				assertWorks(t, h.engine.influx, h.renewed.token)
				awaitMoment(t, h.briefEnds)
			}
			require.NoError(t, way.end(t.Context()))
			for _, h := range all {
				t.Run(h.engine.influx.Version, h.assertGoesOn)
			}
		})
	}
}

// assertGoesOn asserts that after an interruption leases end by themselves, are renewed and revoked, and that
// new ones begin.
func (h held) assertGoesOn(t *testing.T) {
	e := h.engine
	// First, so that in Vault's own name alone the engine is asked to do something.
	awaitDeath(t, e.influx, h.brief, 2*lateness)

	assert.Equal(t, 1200, e.renew(t, h.renewed.lease, 1200))
	assertWorks(t, e.influx, h.renewed.token)
	e.revoke(t, h.revoked.lease)
	assertDead(t, e.influx, h.revoked)
	assertWorks(t, e.influx, h.renewed.token)

	fresh := e.mint(t, "app")
	assertWorks(t, e.influx, fresh.token)
	for _, m := range []minted{fresh, h.renewed} {
		e.revoke(t, m.lease)
		assertDead(t, e.influx, m)
	}
	assert.Empty(t, e.inInflux(t), "nothing is left behind")
}

// Vault fails the calls of the moment in which it learns that its plugin died; then it starts the next one,
// whatever it is asked first.
func TestKilledPluginIsReplacedByTheNextCall(t *testing.T) {
	onBothInfluxes(t, func(t *testing.T, e *engine) {
		h := e.hold(t)
		logical, sys := e.vault.Logical(), e.vault.Sys()
		for _, call := range []struct {
			name string
			do   func(context.Context) error
		}{
			{"mint", func(ctx context.Context) error {
				_, err := logical.ReadWithContext(ctx, e.path+"/creds/app")
				return err
			}},
			{"renew", func(ctx context.Context) error {
				_, err := sys.RenewWithContext(ctx, h.renewed.lease, 1200)
				return err
			}},
			{"revoke", func(ctx context.Context) error {
				return sys.RevokeWithOptionsWithContext(ctx, &api.RevokeOptions{LeaseID: h.revoked.lease, Sync: true})
			}},
			{"read a role", func(ctx context.Context) error {
				_, err := logical.ReadWithContext(ctx, e.path+"/roles/app")
				return err
			}},
		} {
			t.Run(call.name, func(t *testing.T) {
				require.NoError(t, shared.vault.KillPlugins(t.Context()))
				require.NoError(t, lab.Await(t.Context(), time.Minute, "an answer", call.do))
				running, err := shared.vault.PluginPIDs(t.Context())
				require.NoError(t, err)
				assert.Len(t, running, 1)
			})
		}
		assertDead(t, e.influx, h.revoked)
		assertWorks(t, e.influx, h.renewed.token)
		assert.Len(t, e.tokensOf(t, "app"), 2, "what was renewed and what was minted")
	})
}
