package e2e

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// engine is a mount of one test's own, connected to one InfluxDB.
type engine struct {
	path   string
	influx *lab.Influx
	// vault is a client with Vault's root token.
	vault *api.Client
}

// patient is the request_timeout of mounts here: a busy machine is no outage.
const patient = "1m"

// connectedEngine mounts the engine and connects it with the operator token; roles live in org by default.
func connectedEngine(t *testing.T, influx *lab.Influx) *engine {
	t.Helper()
	e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}
	e.write(t, "config", map[string]any{"url": influx.URL, "token": influx.Operator, "org": org, "request_timeout": patient})
	return e
}

// onBothInfluxes runs a test once for each of the versions, with an engine connected to it.
func onBothInfluxes(t *testing.T, test func(t *testing.T, e *engine)) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) { test(t, connectedEngine(t, influxOf(t, version))) })
	}
}

// write writes to a path of the mount, and returns the warnings.
func (e *engine) write(t *testing.T, path string, fields map[string]any) []string {
	t.Helper()
	answer, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/"+path, fields)
	require.NoError(t, err)
	if answer == nil {
		return nil
	}
	return answer.Warnings
}

// role writes a role.
func (e *engine) role(t *testing.T, name string, fields map[string]any) {
	t.Helper()
	e.write(t, "roles/"+name, fields)
}

// refuses asserts that a write is a 400, and returns what it says.
func (e *engine) refuses(t *testing.T, path string, fields map[string]any) string {
	t.Helper()
	_, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/"+path, fields)
	var refused *api.ResponseError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, http.StatusBadRequest, refused.StatusCode)
	return refused.Error()
}

// minted is a token that the engine handed out, with its lease.
type minted struct {
	token, id, description string
	lease                  string
	seconds                int
	warnings               []string
}

// mint reads creds of a role.
func (e *engine) mint(t *testing.T, role string) minted {
	t.Helper()
	return e.mintAs(t, e.vault, role)
}

// mintAs reads creds of a role as another caller.
func (e *engine) mintAs(t *testing.T, caller *api.Client, role string) minted {
	t.Helper()
	answer, err := caller.Logical().ReadWithContext(t.Context(), e.path+"/creds/"+role)
	require.NoError(t, err)
	return mintedFrom(t, answer)
}

// mintWith asks for creds with a method of HTTP: GET with the fields in the query, or with a body.
func (e *engine) mintWith(t *testing.T, method, role string, fields map[string]string) minted {
	t.Helper()
	request := e.vault.NewRequest(method, "/v1/"+e.path+"/creds/"+role)
	if method == http.MethodGet {
		request.Params = url.Values{}
		for name, value := range fields {
			request.Params.Set(name, value)
		}
	} else {
		require.NoError(t, request.SetJSONBody(fields))
	}
	response, err := e.vault.RawRequestWithContext(t.Context(), request) //nolint:staticcheck // Logical never POSTs
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := api.ParseSecret(response.Body)
	require.NoError(t, err)
	return mintedFrom(t, answer)
}

// mintedFrom takes an answer of creds apart.
func mintedFrom(t *testing.T, answer *api.Secret) minted {
	t.Helper()
	require.NotNil(t, answer)
	field := func(name string) string {
		value, ok := answer.Data[name].(string)
		require.True(t, ok, "%s is a string", name)
		return value
	}
	require.NotEmpty(t, answer.LeaseID)
	require.True(t, answer.Renewable, "the lease is renewable")
	return minted{
		token: field("token"), id: field("authorization_id"), description: field("description"),
		lease: answer.LeaseID, seconds: answer.LeaseDuration, warnings: answer.Warnings,
	}
}

// revoke revokes a lease and waits until it is done, as `vault lease revoke -sync` does.
func (e *engine) revoke(t *testing.T, lease string) {
	t.Helper()
	require.NoError(t, e.vault.Sys().RevokeWithOptionsWithContext(t.Context(), &api.RevokeOptions{LeaseID: lease, Sync: true}))
}

// renew asks for a lease of so many seconds from now, and returns how many it got.
func (e *engine) renew(t *testing.T, lease string, seconds int) int {
	t.Helper()
	renewed, err := e.vault.Sys().RenewWithContext(t.Context(), lease, seconds)
	require.NoError(t, err)
	return renewed.LeaseDuration
}

// granted is what InfluxDB itself says that a token may do.
func (e *engine) granted(t *testing.T, m minted) []lab.Permission {
	t.Helper()
	return e.authorization(t, m.id).Permissions
}

func (e *engine) authorization(t *testing.T, id string) lab.Authorization {
	t.Helper()
	found, err := e.influx.Authorization(t.Context(), id)
	require.NoError(t, err)
	return found
}
