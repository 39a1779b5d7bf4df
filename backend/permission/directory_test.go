package permission_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// IDs of the InfluxDB that the tests look things up in.
const (
	acme      = "0000000000000a01" // the role's organization
	elsewhere = "0000000000000a02"
	vault     = "0000000000000b01" // the token's owner
	admin     = "0000000000000b02"
	metrics   = "0000000000000c01"
	alerts    = "0000000000000c02"
	foreign   = "0000000000000c03" // a bucket of the other organization, also named metrics
	telegraf  = "0000000000000d01"
	stranger  = "0000000000000d02" // a telegraf of the other organization
	nothing   = "0000000000000eff"
)

var scope = permission.Scope{OrgID: acme, OrgName: "acme", OwnerID: vault}

// directory is a small InfluxDB.
type directory struct {
	types   []string
	similar []string
	down    error // what every look-up fails with
	asked   []string
}

var buckets = map[string]struct{ name, orgID string }{
	metrics: {"metrics", acme}, alerts: {"alerts", acme}, foreign: {"metrics", elsewhere},
}

var resources = map[string]string{"telegrafs/" + telegraf: acme, "telegrafs/" + stranger: elsewhere}

func (d *directory) ask(what string) error {
	d.asked = append(d.asked, what)
	return d.down
}

func (d *directory) BucketID(_ context.Context, orgID, name string) (string, error) {
	if err := d.ask("bucket " + name); err != nil {
		return "", err
	}
	for id, bucket := range buckets {
		if bucket.name == name && bucket.orgID == orgID {
			return id, nil
		}
	}
	return "", &permission.NoBucket{Similar: d.similar}
}

func (d *directory) Bucket(_ context.Context, id string) (name, orgID string, err error) {
	if err := d.ask("bucket " + id); err != nil {
		return "", "", err
	}
	if bucket, ok := buckets[id]; ok {
		return bucket.name, bucket.orgID, nil
	}
	return "", "", &permission.NoBucket{}
}

func (d *directory) ResourceOrg(_ context.Context, _, resourceType, id string) (string, error) {
	if err := d.ask(resourceType + " " + id); err != nil {
		return "", err
	}
	if orgID, ok := resources[resourceType+"/"+id]; ok {
		return orgID, nil
	}
	return "", &permission.NoResource{}
}

func (d *directory) ResourceTypes(context.Context) ([]string, error) {
	if err := d.ask("types"); err != nil {
		return nil, err
	}
	if d.types == nil {
		return append([]string{"instance"}, permission.KnownTypes...), nil
	}
	return d.types, nil
}

// words are permissions as InfluxDB writes them in its messages; where one has a name, it follows.
func words(permissions []permission.Permission) []string {
	texts := make([]string, 0, len(permissions))
	for _, p := range permissions {
		texts = append(texts, strings.TrimSpace(p.String()+" "+p.Name))
	}
	return texts
}

// api is an object of the permissions field.
func api(action string, resource map[string]any) []map[string]any {
	return []map[string]any{{"action": action, "resource": resource}}
}

// requireProblems compares an error with the lines that it must have, in their order.
func requireProblems(t *testing.T, want []string, err error) {
	t.Helper()
	if len(want) == 0 {
		require.NoError(t, err)
		return
	}
	require.EqualError(t, err, strings.Join(want, "\n"))
}
