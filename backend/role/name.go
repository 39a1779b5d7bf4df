// Package role is what tokens of one name may do: its name, its templates, its form, and whether InfluxDB would issue a
// token for it.
package role

import (
	"regexp"
	"strings"

	"vault-plugin-secrets-influxdb/backend/problem"
)

// namePattern is what Vault's own engines take for names (framework.GenericNameRegex), anchored.
var namePattern = regexp.MustCompile(`^\w(([\w.-]+)?\w)?$`)

// maxName bounds a name in bytes: it stands in storage keys, lease IDs and each token's description.
const maxName = 128

// CheckName refuses a name that storage, lease IDs or the stamp could not hold.
func CheckName(name string) error {
	switch {
	case len(name) > maxName:
		return problem.InField("name", "too long: %d bytes; at most %d are allowed", len(name), maxName)
	case !namePattern.MatchString(name) || strings.Contains(name, ".."):
		return problem.InField("name", "%q can't be used; allowed: letters, digits and _, inside also - and single dots", problem.Clip(name))
	}
	return nil
}
