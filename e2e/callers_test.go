package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// caller is a client with a token of its own that may read every creds of the mount and make tokens. by is
// who makes it, and so its parent.
func (e *engine) caller(t *testing.T, by *api.Client, request api.TokenCreateRequest) *api.Client {
	t.Helper()
	require.NoError(t, e.vault.Sys().PutPolicyWithContext(t.Context(), e.path, fmt.Sprintf(`
		path "%s/creds/*"         { capabilities = ["read", "update"] }
		path "auth/token/create" { capabilities = ["update"] }`, e.path)))
	request.Policies = []string{e.path}
	made, err := by.Auth().Token().CreateWithContext(t.Context(), &request)
	require.NoError(t, err)
	client := shared.vault.Client()
	client.SetToken(made.Auth.ClientToken)
	return client
}

// wrapped reads creds under response wrapping, and returns the wrapping token.
func (e *engine) wrapped(t *testing.T, role, ttl string) string {
	t.Helper()
	client := shared.vault.Client()
	client.SetWrappingLookupFunc(func(string, string) string { return ttl })
	answer, err := client.Logical().ReadWithContext(t.Context(), e.path+"/creds/"+role)
	require.NoError(t, err)
	require.NotNil(t, answer.WrapInfo)
	require.Empty(t, answer.Data, "the token is wrapped")
	return answer.WrapInfo.Token
}

// stampStart begins the stamp of every token that the mount makes.
func (e *engine) stampStart(t *testing.T) string {
	t.Helper()
	config, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/config")
	require.NoError(t, err)
	return fmt.Sprintf("[vault:v1:%s:", config.Data["mount_uuid"])
}

// inInflux are all tokens of the mount that InfluxDB has.
func (e *engine) inInflux(t *testing.T) []lab.Authorization {
	t.Helper()
	all, err := e.influx.Authorizations(t.Context())
	require.NoError(t, err)
	start := e.stampStart(t)
	for i := range all {
		all[i].Token = "" // a test that fails prints them
	}
	return slices.DeleteFunc(all, func(a lab.Authorization) bool { return !strings.Contains(a.Description, start) })
}

// tokensOf are the tokens of one role that InfluxDB has.
func (e *engine) tokensOf(t *testing.T, role string) []lab.Authorization {
	t.Helper()
	return slices.DeleteFunc(e.inInflux(t), func(a lab.Authorization) bool {
		return !strings.Contains(a.Description, ":lease:"+role+":")
	})
}

// descriptions are those of all tokens.
func descriptions(all []lab.Authorization) []string {
	var texts []string
	for _, one := range all {
		texts = append(texts, one.Description)
	}
	return texts
}

// exceeds asks for one token more than role few may have, and gives it back where it gets one.
func (e *engine) exceeds(t *testing.T) error {
	t.Helper()
	answer, err := e.vault.Logical().ReadWithContext(t.Context(), e.path+"/creds/few")
	var refused *api.ResponseError
	if errors.As(err, &refused) && refused.StatusCode == http.StatusTooManyRequests {
		return err
	}
	require.NoError(t, err)
	e.revoke(t, answer.LeaseID)
	return nil
}

// assertCounted asserts that a process counts the tokens of role few that another one minted, once it has looked.
func (e *engine) assertCounted(t *testing.T) {
	require.NoError(t, lab.Await(t.Context(), drainLimit, "max_leases to count what was minted before", func(context.Context) error {
		if e.exceeds(t) == nil {
			return errors.New("one more was minted")
		}
		return nil
	}))
}
