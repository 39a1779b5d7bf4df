package rotation

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/revoke"
	"vault-plugin-secrets-influxdb/backend/store"
)

// script is a change that notes its steps, and fails in those that it has an error for.
type script struct {
	errs  map[string]error
	steps []string
}

func (c *script) step(name string) error {
	c.steps = append(c.steps, name)
	return c.errs[name]
}

func (c *script) Record(context.Context) error        { return c.step("record") }
func (c *script) Create(context.Context) error        { return c.step("create") }
func (c *script) Verify(context.Context) error        { return c.step("verify") }
func (c *script) EnsureCurrent(context.Context) error { return c.step("ensure current") }
func (c *script) Store(context.Context) error         { return c.step("store") }
func (c *script) Discard(context.Context) error       { return c.step("discard") }
func (c *script) Clear(context.Context)               { _ = c.step("clear") }

// Wherever a change fails, either the new token is discarded and then the intention cleared, or the intention stays.
func TestRun(t *testing.T) {
	down := errors.New("down")
	maybe := fmt.Errorf("%w; %w", down, store.ErrWriteUnknown)
	for name, c := range map[string]struct {
		errs map[string]error
		want []string
	}{
		"all is well":                   {nil, []string{"record", "create", "verify", "ensure current", "store"}},
		"no intention":                  {map[string]error{"record": down}, []string{"record"}},
		"not created":                   {map[string]error{"create": down}, []string{"record", "create", "discard", "clear"}},
		"unknown, and not written down": {map[string]error{"create": errors.Join(down, revoke.ErrNotRecorded)}, []string{"record", "create", "discard"}},
		"does not work":                 {map[string]error{"verify": down}, []string{"record", "create", "verify", "discard", "clear"}},
		"not discarded":                 {map[string]error{"verify": down, "discard": revoke.ErrNotRecorded}, []string{"record", "create", "verify", "discard"}},
		"taken over":                    {map[string]error{"ensure current": ErrTakenOver}, []string{"record", "create", "verify", "ensure current", "discard"}},
		"not stored":                    {map[string]error{"store": down}, []string{"record", "create", "verify", "ensure current", "store", "discard", "clear"}},
		"neither stored nor discarded":  {map[string]error{"store": down, "discard": revoke.ErrNotRecorded}, []string{"record", "create", "verify", "ensure current", "store", "discard"}},
		"maybe stored":                  {map[string]error{"store": maybe}, []string{"record", "create", "verify", "ensure current", "store"}},
	} {
		t.Run(name, func(t *testing.T) {
			change := &script{errs: c.errs}
			err := Run(t.Context(), change)
			require.Equal(t, c.want, change.steps)
			if c.errs == nil {
				require.NoError(t, err)
			}
			for _, cause := range c.errs {
				require.ErrorIs(t, err, cause)
			}
		})
	}
}
