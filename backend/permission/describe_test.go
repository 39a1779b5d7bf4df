package permission_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// The wording is the one of InfluxDB's own interface.
func TestDescribe(t *testing.T) {
	one := func(action, resourceType, id, name string) permission.Permission {
		return permission.Permission{Action: action, Type: resourceType, ID: id, Name: name, OrgID: acme}
	}
	many := strings.Repeat("x", 150)
	tests := map[string]struct {
		tokenType   string
		permissions []permission.Permission
		want        string
	}{
		"all-access":        {"all-access", []permission.Permission{one("read", "tasks", "", "")}, "All Access"},
		"operator":          {"operator", nil, "Operator"},
		"nothing":           {"custom", nil, ""},
		"a bucket":          {"custom", []permission.Permission{one("read", "buckets", metrics, "metrics")}, "Read buckets metrics"},
		"both":              {"", []permission.Permission{one("read", "buckets", metrics, "metrics"), one("write", "buckets", alerts, "alerts")}, "Read buckets metrics Write buckets alerts"},
		"writing first":     {"", []permission.Permission{one("write", "buckets", alerts, "alerts"), one("read", "buckets", metrics, "metrics")}, "Read buckets metrics Write buckets alerts"},
		"all buckets":       {"", []permission.Permission{one("write", "buckets", "", "")}, "Write buckets"},
		"several":           {"", []permission.Permission{one("read", "buckets", metrics, "metrics"), one("read", "tasks", "", ""), one("read", "buckets", alerts, "alerts")}, "Read buckets metrics, alerts tasks"},
		"an ID":             {"", []permission.Permission{one("read", "telegrafs", telegraf, "")}, "Read telegrafs " + telegraf},
		"at the bound":      {"", []permission.Permission{one("read", "buckets", metrics, strings.Repeat("x", 300-len("Read buckets ")))}, "Read buckets " + strings.Repeat("x", 300-len("Read buckets "))},
		"too much to read":  {"", []permission.Permission{one("read", "buckets", metrics, strings.Repeat("x", 301-len("Read buckets ")))}, "Read Multiple"},
		"too much":          {"", []permission.Permission{one("read", "buckets", metrics, many), one("write", "buckets", metrics, many)}, "Read Multiple Write Multiple"},
		"too much to write": {"", []permission.Permission{one("write", "buckets", metrics, many), one("write", "buckets", metrics, many)}, "Write Multiple"},
	}
	for says, test := range tests {
		t.Run(says, func(t *testing.T) {
			require.Equal(t, test.want, permission.Describe(test.tokenType, test.permissions))
		})
	}
}
