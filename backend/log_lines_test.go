package backend

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ofAToken recognizes a message that speaks of one token.
var ofAToken = regexp.MustCompile(`\b(token|mint|revocation|deletion)\b`)

// idUnknown recognizes what is said of a root token also while nobody knows its ID.
var idUnknown = regexp.MustCompile(`nobody knows its operator token|a rotation of the root token was skipped`)

// assertTokensAreNamed asserts of every line about a token that it can be joined with Vault's audit log and InfluxDB's:
// it says which token, of which role, of which mount. A token whose ID is not known is known by its nonce. Every mount
// of every test ends with it.
func assertTokensAreNamed(t testing.TB, log string) {
	t.Helper()
	for line := range strings.Lines(log) {
		var said map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &said), line)
		message, _ := said["@message"].(string)
		if !ofAToken.MatchString(message) {
			continue
		}
		names := func(field string) bool {
			value, _ := said[field].(string)
			return value != ""
		}
		assert.True(t, names("mount_uuid") && names("role") && (names("authorization_id") || names("nonce") || idUnknown.MatchString(message)), line)
	}
}
