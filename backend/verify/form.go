// Package verify tries a connection: the form of its settings, and whether the InfluxDB behind it does what they need.
package verify

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"time"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
)

// maxConnections bounds max_open_connections.
const maxConnections = 10000

// Form checks the form of a connection's fields; before is the plan that is stored, whose schedule is not refused. The
// error holds every problem.
func Form(c *store.Connection, before store.RotationPlan, now time.Time) error {
	problems := rotation.ValidatePlan(c.RotationPlan, before, now)
	switch {
	case c.Token == "":
		problems.Add("token", "missing; the root token of InfluxDB, see docs/root-token.md")
	case !influx.ValidToken(c.Token):
		problems.Add("token", "holds a character that no token has; allowed: printable ASCII without spaces")
	}
	for _, id := range []struct{ field, value, otherwise string }{
		{"authorization_id", writtenID(c), "; InfluxDB 3 has none, leave it out there"}, {"org_id", c.OrgID, "; a name is written to org"}, {"user_id", c.UserID, "; a name is written to user"},
	} {
		if id.value != "" && !permission.IsID(id.value) {
			// Not repeated: a token could have been written here by mistake.
			problems.Add(id.field, "must be an ID of 16 hexadecimal digits%s", id.otherwise)
		}
	}
	if c.Product != "" && !slices.Contains(permission.Products, c.Product) {
		problems.Add("product", "%q is not known; allowed: v2, core, enterprise", string(c.Product))
	}
	if c.Org != "" && c.OrgID != "" {
		problems.Add("org", "give either org or org_id")
	}
	if c.User != "" && c.UserID != "" {
		problems.Add("user", "give either user or user_id")
	}
	return errors.Join(ReachForm(c), problems.Err())
}

// ReachForm checks the form of the fields that say how InfluxDB is reached.
func ReachForm(c *store.Connection) error {
	var problems problem.List
	if c.URL == "" {
		problems.Add("url", "missing; the base URL of InfluxDB, such as https://influxdb.example:8086")
	} else if reason := urlProblem(c.URL); reason != "" {
		problems.Add("url", "%s", reason)
	}
	if reason := urlProblem(c.ExternalURL); c.ExternalURL != "" && reason != "" {
		problems.Add("external_url", "%s", reason)
	}
	if c.RequestTimeout < 1 || c.RequestTimeout > mount.MaxRequestTimeout {
		problems.Add("request_timeout", "must be 1s to 1m")
	}
	if c.MaxOpenConnections < 1 || c.MaxOpenConnections > maxConnections {
		problems.Add("max_open_connections", "must be 1 to %d", maxConnections)
	}
	fileNames := problem.List{}
	for _, file := range []struct{ field, content string }{
		{"ca_cert", c.CACert}, {"client_cert", c.ClientCert}, {"client_key", c.ClientKey},
	} {
		if problem.LooksLikeFile(file.content) {
			fileNames.Add(file.field, "%s", problem.SendFile(file.field))
		}
	}
	_, tlsProblems := connection.TLSConfig(c)
	return errors.Join(problems.Err(), cmp.Or(fileNames.Err(), tlsProblems))
}

// urlProblem says why a text is no URL that InfluxDB can be reached at, or "".
func urlProblem(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return "must be an http or https URL, such as https://influxdb.example:8086"
	case u.User != nil:
		return "holds a user name; the token is written to the token field"
	case u.RawQuery != "" || u.Fragment != "":
		return "holds a query or a fragment; write the base URL alone"
	}
	return ""
}
