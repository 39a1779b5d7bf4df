package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vaultProvider are the versions of the Vault provider as Go knows them: its module never got a path for a later major one.
var vaultProvider = map[string]string{"5.9.0": "1.9.1-0.20260422134934-5e9fcd457a99"}

// openTofu tries OpenTofu with the Vault provider, from the making of a mount to its end.
func openTofu(t *testing.T, c consumer) func(*testing.T) {
	versions := strings.Split(c.version, ", ")
	tofu := fetched(t, "go", "github.com/opentofu/opentofu", versions[0], "cmd/tofu")
	provider := fetched(t, "go", "github.com/hashicorp/terraform-provider-vault", vaultProvider[versions[1]])
	return func(t *testing.T) {
		require.NoError(t, registered())
		e := &engine{path: unique("influxdb"), influx: shared.influx, vault: shared.vault.Client()}
		t.Cleanup(func() { assert.NoError(t, e.vault.Sys().UnmountWithContext(context.Background(), e.path)) }) // where the test gave up
		p := newProject(t, e, tofu, provider)
		main := recipe(t, "terraform", map[string]string{`path = "influxdb"`: `path = "` + e.path + `"`, "https://influxdb.example:8086": e.influx.URL})
		p.applies(t, main)

		p.mendsDrift(t, e)
		for documented, differing := range map[string]string{"= 86400": `= "86400"`, "grace_period    = 3600": "grace_period    = null"} {
			p.write(t, "main.tf", replaced(t, main, map[string]string{documented: differing}))
			p.run(t, "apply", "-auto-approve")
			assert.True(t, p.differs(t), "%s: each plan shows it again", differing)
		}
		p.applies(t, main)
		p.usesEphemeral(t, e)

		uuid := e.uuid(t)
		require.NotZero(t, e.leases(t.Context(), t, "app"))
		p.run(t, "destroy", "-auto-approve")
		assertNothingOf(t, e.influx, uuid)
	}
}

// project is a folder in which OpenTofu works.
type project struct {
	folder
	tofu string
}

func newProject(t *testing.T, e *engine, tofu, provider string) project {
	t.Helper()
	p := project{newFolder(t, "TF_VAR_influxdb_token="+e.influx.Operator), tofu}
	p.env = append(p.env, "TF_CLI_CONFIG_FILE="+filepath.Join(p.path, "tofu.rc"))
	require.NoError(t, os.Symlink(provider, filepath.Join(p.path, "terraform-provider-vault")))
	p.write(t, "tofu.rc", fmt.Sprintf("provider_installation {\n  dev_overrides { \"hashicorp/vault\" = %q }\n}\n", p.path))
	return p
}

func (p project) write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(p.path, name), []byte(content), 0o600))
}

// run runs one of its commands, which has to succeed.
func (p project) run(t *testing.T, command string, args ...string) {
	t.Helper()
	out, err := p.tries(t.Context(), p.tofu, append([]string{command, "-input=false", "-no-color"}, args...)...)
	require.NoError(t, err, out)
}

// applies applies a configuration, after which a plan is empty.
func (p project) applies(t *testing.T, main string) {
	t.Helper()
	p.write(t, "main.tf", main)
	p.run(t, "apply", "-auto-approve")
	require.False(t, p.differs(t), "a plan after an apply")
}

// differs reports whether a plan has changes.
func (p project) differs(t *testing.T) bool {
	t.Helper()
	out, err := p.tries(t.Context(), p.tofu, "plan", "-detailed-exitcode", "-input=false", "-no-color")
	var ended *exec.ExitError
	if errors.As(err, &ended) && ended.ExitCode() == 2 {
		return true
	}
	require.NoError(t, err, out)
	return false
}

// mendsDrift changes a static role and deletes a role by hand: both are put right, and the static role's token stays.
func (p project) mendsDrift(t *testing.T, e *engine) {
	t.Helper()
	token := e.stands(t, "telegraf")
	e.write(t, "static-roles/telegraf", map[string]any{"write_buckets": bucket, "rotation_period": "24h", "grace_period": "30m"})
	e.remove(t, "roles/app")
	require.True(t, p.differs(t), "drift is found")
	p.run(t, "apply", "-auto-approve")
	require.False(t, p.differs(t), "drift is mended")
	assert.Equal(t, "3600", fmt.Sprint(e.staticRoleNow(t, "telegraf")["grace_period"]))
	assert.Equal(t, token, e.stands(t, "telegraf"))
	e.mint(t, "app")
}

// usesEphemeral hands the tokens of the ephemeral resources to a program, which keeps them; the state does not. The one
// of creds is another one at each plan and each apply.
func (p project) usesEphemeral(t *testing.T, e *engine) {
	t.Helper()
	p.write(t, "ephemeral.tf", recipe(t, "terraform-ephemeral", map[string]string{`"influxdb/`: `"` + e.path + "/"})+`
resource "terraform_data" "program" {
  provisioner "local-exec" {
    command     = "printf %s \"$STATIC\" >static && printf %s \"$LEASED\" >leased"
    environment = {
      STATIC = ephemeral.vault_generic_secret.telegraf.data["token"]
      LEASED = ephemeral.vault_generic_secret.app.data["token"]
    }
  }
}
`)
	e.revokePrefix(t, "creds/app") // none may end by itself while they are counted
	before := e.leases(t.Context(), t, "app")
	p.run(t, "apply", "-auto-approve")
	assert.Equal(t, before+2, e.leases(t.Context(), t, "app"), "it plans, and applies")
	require.False(t, p.differs(t))
	assert.Equal(t, before+3, e.leases(t.Context(), t, "app"))
	assert.Len(t, e.staticTokens(t), 1)

	static, leased := p.read(t, "static"), p.read(t, "leased")
	assert.Equal(t, e.stands(t, "telegraf").token, static)
	assertWorks(t, e.influx, leased)
	state := p.read(t, "terraform.tfstate")
	for _, token := range []string{static, leased} {
		assert.False(t, strings.Contains(state, token), "a token stands in the state")
	}
}

func (p project) read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(p.path, name))
	require.NoError(t, err)
	return string(content)
}
