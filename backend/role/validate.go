package role

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

// ValidateForm finds what is wrong with a role whatever InfluxDB says. config is the mount's connection, or nil. That a
// role grants nothing at all is for the caller to say.
func ValidateForm(role *store.Role, config *store.Connection) error {
	var problems problem.List
	if _, err := role.Definition().Grants(); err != nil {
		problems = append(problems, err)
	}
	if !role.AllowPrivileged {
		for _, danger := range role.Definition().Privileged(orgLabel(role, config)) {
			problems = append(problems, problem.BadInput("%v", danger))
		}
	}
	for _, id := range []struct{ field, value string }{{"org_id", role.OrgID}, {"user_id", role.UserID}} {
		if id.value != "" && !permission.IsID(id.value) {
			problems.Add(id.field, "%q is not an ID of 16 hexadecimal digits", problem.Clip(id.value))
		}
	}
	if role.Org != "" && role.OrgID != "" {
		problems.Add("org", "give either org or org_id")
	}
	if role.User != "" && role.UserID != "" {
		problems.Add("user", "give either user or user_id")
	}
	problems = append(problems, validateTemplates(role)...)
	if role.MaxTTL > 0 && role.TTL > role.MaxTTL {
		problems.Add("ttl", "%ds is longer than max_ttl, %ds", role.TTL, role.MaxTTL)
	}
	return append(problems, ValidateDescription(role.Description)).Err()
}

// orgLabel is the role's organization as far as it is known without asking.
func orgLabel(role *store.Role, config *store.Connection) string {
	switch known := cmp.Or(role.Org, role.OrgID); {
	case known != "":
		return known
	case config == nil:
		return ""
	case config.Found != nil:
		return config.Found.DefaultOrg
	}
	return config.Org + config.OrgID
}

// ValidateAgainst asks the InfluxDB of a connection for everything that the role names and needs, with nothing cached.
// That InfluxDB is down is no reason to refuse a role: a mint would fail.
func (r *Roles) ValidateAgainst(ctx context.Context, config *store.Connection, role *store.Role) ([]string, error) {
	c, err := r.pool.Uncached(config)
	if err != nil {
		return nil, err
	}
	warnings, err := r.DryRun(ctx, c, role)
	var failed *influx.Error
	if errors.As(err, &failed) && !problem.HasField(err) {
		switch failed.Kind {
		case influx.Unavailable, influx.RateLimited, influx.BadToken, influx.InactiveToken, influx.InactiveUser:
			return []string{fmt.Sprintf("stored without a look at InfluxDB: %v", err)}, nil
		}
	}
	return warnings, err
}
