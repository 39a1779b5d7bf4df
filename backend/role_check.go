package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

// longLived is the maximum from which a role is warned about: a token is at most as leaked as it is old.
const longLived = 30 * 24 * time.Hour

// checkRole refuses a role that could not mint, or should not, and says all that is wrong with it.
// cloning is what was wrong with its clone_from.
func (b *backend) checkRole(ctx context.Context, req *logical.Request, name string, role *store.Role, cloning error, verify bool) ([]string, error) {
	if role.Definition().Empty() && cloning == nil {
		return nil, badInput("role %q would grant nothing: a write replaces the whole role; to change one field use vault patch %sroles/%s ttl=5m", name, req.MountPoint, name)
	}
	config, err := store.GetConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	problems := permission.Problems{cloning, checkForm(role, config)}
	s, err := b.spanOf(role)
	if err != nil {
		return nil, err
	}
	var warnings []string
	if s.max > longLived {
		warnings = append(warnings, fmt.Sprintf("max_ttl: a lease of this role can live for %s; set max_ttl to bound it", s.max))
	}
	switch {
	case !verify:
		warnings = append(warnings, "verify: stored without a look at InfluxDB; what is wrong with it will show when creds is read")
	case config == nil:
		warnings = append(warnings, fmt.Sprintf("%sconfig is not written yet: the role was stored without a look at InfluxDB", req.MountPoint))
	default:
		more, err := b.checkUpstream(ctx, config, role)
		problems = append(problems, err)
		warnings = append(warnings, more...)
	}
	return warnings, problems.Err()
}

// checkForm finds what is wrong with a role whatever InfluxDB says.
func checkForm(role *store.Role, config *store.Connection) error {
	var problems permission.Problems
	problem := problems.Add
	if _, err := role.Definition().Grants(); err != nil {
		problems = append(problems, err)
	}
	if !role.AllowPrivileged {
		for _, danger := range role.Definition().Privileged(orgLabel(role, config)) {
			problems = append(problems, badInput("%v", danger))
		}
	}
	for _, id := range []struct{ field, value string }{{"org_id", role.OrgID}, {"user_id", role.UserID}} {
		if id.value != "" && !permission.IsID(id.value) {
			problem(id.field, "%q is not an ID of 16 hexadecimal digits", clip(id.value))
		}
	}
	if role.Org != "" && role.OrgID != "" {
		problem("org", "give either org or org_id")
	}
	if role.User != "" && role.UserID != "" {
		problem("user", "give either user or user_id")
	}
	problems = append(problems, checkTemplates(role)...)
	if role.MaxTTL > 0 && role.TTL > role.MaxTTL {
		problem("ttl", "%ds is longer than max_ttl, %ds", role.TTL, role.MaxTTL)
	}
	if err := checkDescription(role.Description); err != nil {
		problems = append(problems, err)
	}
	return problems.Err()
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

// checkUpstream looks at InfluxDB for everything that the role names and needs, afresh. InfluxDB being down is
// no reason to refuse a role: a mint would.
func (b *backend) checkUpstream(ctx context.Context, config *store.Connection, role *store.Role) ([]string, error) {
	e, err := b.fresh(config)
	if err != nil {
		return nil, err
	}
	warnings, err := b.tryRole(ctx, e, role)
	var failed *influx.Error
	if errors.As(err, &failed) && !isProblem(err) {
		switch failed.Kind {
		case influx.Unavailable, influx.RateLimited, influx.BadToken, influx.InactiveToken, influx.InactiveUser:
			return []string{fmt.Sprintf("stored without a look at InfluxDB: %v", err)}, nil
		}
	}
	return warnings, err
}

// suggesting is a directory that looks for similar names where one is not found.
type suggesting struct {
	*directory
	buckets []influx.Bucket
	// searches counts the names that look-alikes were searched for.
	searches int
}

// For how many names look-alikes are searched and among how many buckets, how many are named, and how long a name may
// be: each comparison takes time by the square of it.
const (
	maxSearches  = 20
	maxSearched  = 1000
	maxSimilar   = 5
	maxLookAlike = 128
)

// BucketID adds look-alikes to a *permission.NoBucket error.
func (s *suggesting) BucketID(ctx context.Context, orgID, name string) (string, error) {
	if isTemplate(name) { // which bucket it is depends on the caller
		return name, nil
	}
	id, err := s.directory.BucketID(ctx, orgID, name)
	var none *permission.NoBucket
	if !errors.As(err, &none) {
		return id, err
	}
	if s.searches++; s.searches > maxSearches || len(name) > maxLookAlike {
		return "", none
	}
	if s.buckets == nil {
		// A failure here only leaves the hint out.
		s.buckets, _ = s.client.Buckets(ctx, orgID, maxSearched)
	}
	var names []string
	for _, bucket := range s.buckets {
		if len(bucket.Name) <= maxLookAlike {
			names = append(names, bucket.Name)
		}
	}
	return "", &permission.NoBucket{Similar: similar(name, names)}
}

// similar picks the names that differ from the wanted one by a typing error or two, or by case.
func similar(wanted string, names []string) []string {
	distance := func(name string) int {
		return levenshtein.Distance(strings.ToLower(wanted), strings.ToLower(name), nil)
	}
	var close []string
	for _, name := range names {
		if distance(name) <= max(1, len(wanted)/3) {
			close = append(close, name)
		}
	}
	sort.SliceStable(close, func(i, j int) bool { return distance(close[i]) < distance(close[j]) })
	return close[:min(len(close), maxSimilar)]
}
