package store

import "vault-plugin-secrets-influxdb/backend/permission"

// Role is what tokens of one name may do and how long they live, as it was written: lists keep their order
// and their duplicates.
type Role struct {
	Version int `json:"version"`

	Org            string           `json:"org,omitempty"`
	OrgID          string           `json:"org_id,omitempty"`
	TokenType      string           `json:"token_type"`
	ReadBuckets    []string         `json:"read_buckets,omitempty"`
	WriteBuckets   []string         `json:"write_buckets,omitempty"`
	ReadResources  []string         `json:"read_resources,omitempty"`
	WriteResources []string         `json:"write_resources,omitempty"`
	Permissions    []map[string]any `json:"permissions,omitempty"`
	// CloneFrom is the authorization that Cloned was copied from; it may be gone.
	CloneFrom       string                  `json:"clone_from,omitempty"`
	Cloned          []permission.Permission `json:"cloned,omitempty"`
	User            string                  `json:"user,omitempty"`
	UserID          string                  `json:"user_id,omitempty"`
	Description     string                  `json:"description,omitempty"`
	AllowPrivileged bool                    `json:"allow_privileged,omitempty"`
	// TTL and MaxTTL are in seconds; 0 means the mount's.
	TTL    int `json:"ttl,omitempty"`
	MaxTTL int `json:"max_ttl,omitempty"`
	// MaxLeases is the most live tokens; 0 means no cap.
	MaxLeases int `json:"max_leases,omitempty"`
}

// Definition is the part of the role that says what its tokens may do.
func (r *Role) Definition() permission.Definition {
	return permission.Definition{
		TokenType:      r.TokenType,
		ReadBuckets:    r.ReadBuckets,
		WriteBuckets:   r.WriteBuckets,
		ReadResources:  r.ReadResources,
		WriteResources: r.WriteResources,
		Permissions:    r.Permissions,
		Cloned:         r.Cloned,
	}
}

func (r *Role) setVersion() { r.Version = Version }
