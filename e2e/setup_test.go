package e2e

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// founding is what a fresh InfluxDB is set up with here.
func founding(url string) map[string]any {
	return map[string]any{"url": url, "username": user, "org": org, "bucket": bucket, "password": "for this test alone", "retention_period": "24h"}
}

// The operator token of an InfluxDB that the engine sets up is seen by nobody: it is in no answer, no log and no audit
// log, and neither is the one that takes its place.
func TestAFreshInfluxDBIsSetUp(t *testing.T) {
	t.Parallel()
	all := map[string]lab.InfluxOptions{"in clear": {Args: []string{"--use-hashed-tokens=false"}}}
	for _, version := range versions {
		all[version] = lab.InfluxOptions{Version: version}
	}
	for name, options := range all {
		t.Run(name, func(t *testing.T) {
			influx := freshInflux(t, options)
			e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}
			assert.Contains(t, e.refuses(t, "config/setup", map[string]any{"url": influx.URL, "username": user, "org": org, "bucket": bucket, "retention_period": "59m"}),
				"retention_period: must be 1h or more")

			answer, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/config/setup", founding(influx.URL))
			require.NoError(t, err)
			assert.Empty(t, answer.Warnings)
			assert.Equal(t, []any{influx.URL, org, user}, []any{answer.Data["url"], answer.Data["org"], answer.Data["user"]})
			assert.Equal(t, e.config(t)["authorization_id"], answer.Data["authorization_id"])
			e.role(t, "app", bucketRole(nil))
			first := e.mint(t, "app")
			assertWorks(t, influx, first.token)
			e.assertRootUnseen(t, user+"'s Token")

			assert.Empty(t, e.write(t, "config/rotate-root", nil), "its ID is known")
			assertWorks(t, influx, first.token)
			e.assertRootUnseen(t, user+"'s Token "+e.stampStart(t)+"root:")
			assert.Contains(t, e.refuses(t, "config/setup", founding(influx.URL)), "the mount is connected to "+influx.URL)
			other := &engine{path: mountEngine(t), influx: influx, vault: e.vault}
			assert.Contains(t, other.refuses(t, "config/setup", founding(influx.URL)), "is set up already")
			assert.Empty(t, e.problems(t))
		})
	}
}

// assertRootUnseen finds the root token in InfluxDB by its description, and searches all that Vault has said for its
// value; where InfluxDB hides it, for every value that is nobody's.
func (e *engine) assertRootUnseen(t *testing.T, description string) {
	t.Helper()
	e.role(t, "operator", map[string]any{"token_type": "operator", "allow_privileged": true})
	operator := e.mint(t, "operator")
	e.influx.Operator = operator.token
	root := e.authorization(t, e.config(t)["authorization_id"].(string))
	require.True(t, strings.HasPrefix(root.Description, description), root.Description)
	log, err := os.ReadFile(shared.vault.LogPath())
	require.NoError(t, err)
	assert.False(t, wholeToken.Match(log), "a token stands in the log")
	if root.Token == "" {
		e.assertOnlyMintedTokens(t)
		return
	}
	assert.Equal(t, http.StatusOK, accepted(t, e.influx, root.Token))
	wanted := newTokenSet()
	wanted.add(root.Token)
	require.NoError(t, wanted.searchFile(shared.vault.LogPath()))
	require.NoError(t, wanted.searchFile(shared.vault.AuditPath))
}

// assertOnlyMintedTokens asserts that what looks like a token in the answers of this mount is one that was minted.
func (e *engine) assertOnlyMintedTokens(t *testing.T) {
	t.Helper()
	audit, err := os.ReadFile(shared.vault.AuditPath)
	require.NoError(t, err)
	looked := 0
	for line := range strings.Lines(string(audit)) {
		if !strings.Contains(line, `"path":"`+e.path+"/") {
			continue
		}
		looked++
		if !strings.Contains(line, `"path":"`+e.path+"/creds/") {
			assert.False(t, wholeToken.MatchString(line), "a token stands in it")
		}
	}
	assert.Positive(t, looked)
}

// Where the answer to a setup is lost, the same call again finishes it: the token was written down before.
func TestASetupWhoseAnswerIsLostIsFinished(t *testing.T) {
	t.Parallel()
	influx := freshInflux(t, lab.InfluxOptions{})
	p := startProxy(t, influx, "", nil)
	e := &engine{path: mountEngine(t), influx: influx, vault: shared.vault.Client()}
	fields := founding(p.URL)
	fields["request_timeout"] = "5s"
	p.failSetups(losesAnswer)
	_, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/config/setup", fields)
	require.ErrorContains(t, err, "whether InfluxDB is set up now is not known: call config/setup again, or wait some minutes")
	p.mend()
	answer, err := e.vault.Logical().WriteWithContext(t.Context(), e.path+"/config/setup", fields)
	require.NoError(t, err)
	assert.Equal(t, org, answer.Data["org"])
	e.role(t, "app", bucketRole(nil))
	assertWorks(t, influx, e.mint(t, "app").token)

	// The lost answer held the authorization's ID, and there is no other token that it could be.
	assert.Contains(t, e.refuses(t, "config/rotate-root", nil), user+"'s Token")
}
