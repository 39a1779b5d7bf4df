// Package role is what tokens of one name may do: its name, its templates, its form, and whether InfluxDB would issue a
// token for it.
package role

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
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
			problems = append(problems, connection.NotAnID(id.field, id.value))
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

// ValidateAgainst asks the InfluxDB of a connection for everything that the role names and needs, with nothing cached. Where
// it is not known whether a probe was created, that is written down, and the error is a token.UnknownOutcome.
func (r *Roles) ValidateAgainst(ctx context.Context, s logical.Storage, config *store.Connection, role *store.Role) ([]string, error) {
	c, err := r.pool.Uncached(config)
	if err != nil {
		return nil, err
	}
	warnings, err := r.DryRun(ctx, c, role)
	return warnings, r.revoker.RecordUnknown(ctx, s, c, token.ProbeRole, err)
}

// WarnUnseen makes a warning of an error of ValidateAgainst that says nothing of the role: that InfluxDB is down is no
// reason to refuse one, because a mint would fail.
func WarnUnseen(warnings []string, err error) ([]string, error) {
	if failed, ok := errors.AsType[*influx.Error](err); ok && !problem.HasField(err) {
		switch failed.Kind {
		case influx.Unavailable, influx.RateLimited, influx.BadToken, influx.InactiveToken, influx.InactiveUser:
			return []string{fmt.Sprintf("stored without a look at InfluxDB: %v", err)}, nil
		}
	}
	return warnings, err
}

// CopyClone copies the permissions of the authorization that clone_from names, when it names another one than the stored
// role did: the source may be long gone when a token is issued.
func (r *Roles) CopyClone(ctx context.Context, s logical.Storage, mountPath string, role, stored *store.Role) error {
	switch {
	case role.CloneFrom == "":
		role.Cloned = nil
		return nil
	case stored != nil && stored.CloneFrom == role.CloneFrom:
		role.Cloned = stored.Cloned
		return nil
	case !permission.IsID(role.CloneFrom):
		return problem.InField("clone_from", "must be an authorization's ID of 16 hexadecimal digits")
	}
	c, err := r.pool.Current(ctx, s, mountPath)
	if err != nil {
		return err
	}
	if !c.Product.IsV2() {
		return problem.InField("clone_from", "this is %s, whose tokens can't be copied", c.Product)
	}
	source, err := c.Client.GetAuthorization(ctx, role.CloneFrom)
	if influx.IsNotFound(err) {
		return problem.InField("clone_from", "no authorization has the ID %s, or its owner or organization is gone", role.CloneFrom)
	}
	if err != nil {
		return fmt.Errorf("clone_from: %w", err)
	}
	orgID, orgName, err := c.OrgOf(ctx, role)
	if err != nil {
		return err
	}
	if source.OrgID != orgID {
		return problem.InField("clone_from", "authorization %s belongs to another organization than %q; set org or org_id to its own", role.CloneFrom, orgName)
	}
	role.Cloned = token.Permissions(source)
	if len(role.Cloned) == 0 { // InfluxDB creates no such tokens; an empty copy would be none
		return problem.InField("clone_from", "authorization %s grants nothing", role.CloneFrom)
	}
	return nil
}
