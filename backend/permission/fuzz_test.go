package permission_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// written is a role as a request holds it. Its seeds are in testdata/fuzz/FuzzDefinition.
type written struct {
	TokenType      string                  `json:"token_type"`
	ReadBuckets    []string                `json:"read_buckets"`
	WriteBuckets   []string                `json:"write_buckets"`
	ReadResources  []string                `json:"read_resources"`
	WriteResources []string                `json:"write_resources"`
	Permissions    []map[string]any        `json:"permissions"`
	Cloned         []permission.Permission `json:"cloned"`
}

// anything is an InfluxDB that has whatever is asked for: what has an odd ID belongs to another organization,
// and names that begin with "no" there are none of.
type anything struct{}

func orgOf(id string) string {
	if strings.ContainsRune("13579bdf", rune(id[len(id)-1])) {
		return elsewhere
	}
	return acme
}

func (anything) BucketID(_ context.Context, _, name string) (string, error) {
	switch {
	case strings.HasPrefix(name, "no"):
		return "", &permission.NoBucket{Similar: []string{"yes"}}
	case strings.HasPrefix(name, "down"):
		return "", errors.New("down")
	}
	return metrics, nil
}

func (anything) Bucket(_ context.Context, id string) (name, orgID string, err error) {
	return "bucket " + id, orgOf(id), nil
}

func (anything) ResourceOrg(_ context.Context, _, _, id string) (string, error) {
	return orgOf(id), nil
}

func (anything) ResourceTypes(context.Context) ([]string, error) { return served, nil }

// Whatever a role says: nothing panics, and what it resolves to keeps to what it says.
func FuzzDefinition(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		var w written
		if json.Unmarshal([]byte(text), &w) != nil {
			return
		}
		d := permission.Definition{
			TokenType: w.TokenType, ReadBuckets: w.ReadBuckets, WriteBuckets: w.WriteBuckets, ReadResources: w.ReadResources,
			WriteResources: w.WriteResources, Permissions: w.Permissions, Cloned: w.Cloned,
		}
		grants, err := d.Grants()
		privileged := d.Privileged("acme")
		_ = permission.CheckTypes(grants, served)
		_ = d.Empty()
		permissions, resolveErr := permission.Resolve(t.Context(), d, scope, anything{})
		if err != nil {
			require.ErrorContains(t, resolveErr, err.Error())
			return
		}
		require.LessOrEqual(t, len(permission.Describe(d.TokenType, permissions)), 300)
		for _, p := range permissions {
			if p.Place.List != "clone_from" { // a clone is what InfluxDB had, not what somebody wrote
				requireMeant(t, d, grants, p)
			}
			if p.ID == "" && p.OrgID == "" {
				require.NotEmpty(t, privileged, "%s", p)
			}
		}
	})
}

// requireMeant requires that a permission reaches no further than what the definition asks for.
func requireMeant(t *testing.T, d permission.Definition, grants []permission.Grant, p permission.Permission) {
	t.Helper()
	require.Contains(t, []string{permission.Read, permission.Write}, p.Action)
	require.NotContains(t, []string{"", "*", "instance"}, p.Type)
	if p.ID != "" {
		require.True(t, permission.IsID(p.ID), "%s", p)
	}
	asked := func(meant func(permission.Grant) bool) bool {
		return slices.ContainsFunc(grants, func(g permission.Grant) bool {
			return g.Action == p.Action && (g.Type == p.Type || g.Type == "*") && meant(g)
		})
	}
	whole := func(g permission.Grant) bool { return g.ID == "" && g.Name == "" && !g.AllOrgs }
	switch {
	case p.OrgID != "":
		require.Equal(t, acme, p.OrgID)
		require.True(t, p.ID != "" || d.TokenType == permission.AllAccess || asked(whole), "%s is for all of them", p)
	case p.ID == "":
		require.True(t, d.TokenType == permission.Operator || asked(func(g permission.Grant) bool { return g.AllOrgs }),
			"%s is for every organization", p)
	case p.Type == permission.Orgs:
		require.Equal(t, acme, p.ID)
	case p.Type == permission.Users:
		require.Equal(t, vault, p.ID)
	default:
		require.Fail(t, "no organization", "%s", p)
	}
}
