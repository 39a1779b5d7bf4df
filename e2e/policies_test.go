package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// TestDocumentedPolicies holds every policy of docs/policies.md, as it is printed, to what its readers are
// told: what it allows works, and what it must not allow is refused.
func TestDocumentedPolicies(t *testing.T) {
	t.Parallel()
	policies := documentedPolicies(t)
	for name := range policyTests {
		assert.Contains(t, policies, name, "there is a test of it")
	}
	vault := newVault(t)
	for name, rules := range policies {
		t.Run(name, func(t *testing.T) {
			test := policyTests[name]
			require.NotNil(t, test, "there is no test of the policy")
			test(t, newBearer(t, vault, name, rules))
		})
	}
}

var (
	hclBlock   = regexp.MustCompile("(?ms)^```hcl\n(.*?)^```$")
	policyName = regexp.MustCompile(`\A# policy: (\S+)\n`)
)

func documentedPolicies(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../docs/policies.md")
	require.NoError(t, err)
	blocks := hclBlock.FindAllStringSubmatch(string(text), -1)
	require.Len(t, blocks, strings.Count(string(text), "```hcl"), "every block is found")
	policies := map[string]string{}
	for _, block := range blocks {
		name := policyName.FindStringSubmatch(block[1])
		require.NotNil(t, name, "a block says whose policy it is:\n%s", block[1])
		require.NotContains(t, policies, name[1], "a policy is printed once")
		policies[name[1]] = block[1]
	}
	return policies
}

// bearer holds a token with one policy and Vault's default one, beside an engine at influxdb/ that has roles
// for everybody.
type bearer struct {
	*engine
	server *lab.Vault
	client *api.Client
}

func newBearer(t *testing.T, vault *lab.Vault, policy, rules string) *bearer {
	t.Helper()
	b := &bearer{engine: engineIn(t, vault, "influxdb", shared.influx), server: vault, client: vault.Client()}
	t.Cleanup(func() { assert.NoError(t, vault.Client().Sys().Unmount("influxdb")) })
	for _, role := range []string{"app", "other", "team-a-reader"} {
		b.role(t, role, bucketRole(nil))
	}
	for _, role := range []string{"app", "other"} {
		b.staticRole(t, role, nil)
	}
	require.NoError(t, b.vault.Sys().PutPolicyWithContext(t.Context(), policy, rules))
	made, err := b.vault.Auth().Token().CreateWithContext(t.Context(), &api.TokenCreateRequest{Policies: []string{policy}})
	require.NoError(t, err)
	b.client.SetToken(made.Auth.ClientToken)
	return b
}

// may asserts that a request is allowed and works.
func (b *bearer) may(t *testing.T, method, path string, fields map[string]any) {
	t.Helper()
	status, said := b.try(t, method, path, fields)
	assert.Equal(t, 2, status/100, "%s %s %v: %d %s", method, path, fields, status, said)
}

// mayNot asserts that the policy refuses a request.
func (b *bearer) mayNot(t *testing.T, method, path string, fields map[string]any) {
	t.Helper()
	status, said := b.try(t, method, path, fields)
	assert.Equal(t, http.StatusForbidden, status, "%s %s %v: %s", method, path, fields, said)
	assert.Contains(t, said, "permission denied")
}

// mayNotAny asserts that the policy refuses each of the methods on each of the paths.
func (b *bearer) mayNotAny(t *testing.T, methods []string, paths ...string) {
	t.Helper()
	for _, method := range methods {
		for _, path := range paths {
			b.mayNot(t, method, path, nil)
		}
	}
}

// list is the method of `vault list`.
const list = "LIST"

// try makes a request, with its fields in the query where the method has no body. It answers the errors that
// Vault told. Not with Vault's client, which has no verb for a query beside a body.
func (b *bearer) try(t *testing.T, method, path string, fields map[string]any) (status int, errors string) {
	t.Helper()
	address, err := url.Parse(b.server.Address + "/v1/" + path)
	require.NoError(t, err)
	var body io.Reader
	switch method {
	case http.MethodGet, http.MethodDelete, list:
		query := address.Query()
		for name, value := range fields {
			query.Set(name, value.(string))
		}
		address.RawQuery = query.Encode()
	default:
		encoded, err := json.Marshal(fields)
		require.NoError(t, err)
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, address.String(), body)
	require.NoError(t, err)
	request.Header.Set("X-Vault-Token", b.client.Token())
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var answer struct {
		Errors []string `json:"errors"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); response.StatusCode != http.StatusNoContent {
		require.NoError(t, err)
	}
	return response.StatusCode, strings.Join(answer.Errors, "\n")
}

// leaseOf is a lease of a role, which somebody else asked for.
func (b *bearer) leaseOf(t *testing.T, role string) string {
	t.Helper()
	return b.mint(t, role).lease
}
