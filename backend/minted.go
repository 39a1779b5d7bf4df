package backend

import (
	"fmt"

	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// minted is a token that was made.
type minted struct {
	endpoint      *endpoint
	authorization *domain.Authorization
	permissions   []permission.Permission
	org, orgID    string
}

func (m *minted) id() string { return *m.authorization.Id }

// buckets are the names of the buckets that the token may read or write; * for all of the organization.
func (m *minted) buckets(action string) []string {
	names := []string{}
	for _, p := range m.permissions {
		switch {
		case p.Type != permission.Buckets || p.Action != action:
		case p.ID == "":
			names = append(names, permission.All)
		default:
			names = append(names, p.Name)
		}
	}
	return names
}

// staleName compares what was asked for by name with what InfluxDB says it granted: it echoes the name of
// each bucket that exists, the organization's and the owner's. It says what differs, or "".
func staleName(org, user string, asked []permission.Permission, created *domain.Authorization) string {
	if org != "" && created.Org != nil && *created.Org != org {
		return fmt.Sprintf("org %q", org)
	}
	if user != "" && created.User != nil && *created.User != user {
		return fmt.Sprintf("user %q", user)
	}
	echoed := map[string]string{}
	if created.Permissions != nil {
		for _, p := range *created.Permissions {
			if p.Resource.Id != nil && p.Resource.Name != nil {
				echoed[*p.Resource.Id] = *p.Resource.Name
			}
		}
	}
	for _, p := range asked {
		if p.Type == permission.Buckets && p.ID != "" && echoed[p.ID] != p.Name {
			return fmt.Sprintf("bucket %q", p.Name)
		}
	}
	return ""
}
