package store

import (
	"strings"
	"time"
)

// Connection is how to reach one InfluxDB, as an operator wrote it, and what was found out about it. The
// current one lies under ConfigKey; a replaced or deleted one is kept under its ID for what it minted.
type Connection struct {
	Version int `json:"version"`
	// ID names this InfluxDB in leases and pending deletions. It stays the same as long as the same InfluxDB
	// is meant, however it is reached.
	ID string `json:"id"`
	// Revision is new with each write; what is cached about a connection is cached under it.
	Revision string `json:"revision"`

	URL         string `json:"url"`
	ExternalURL string `json:"external_url,omitempty"`
	// Token is the root token: secret.
	Token           string `json:"token"`
	AuthorizationID string `json:"authorization_id,omitempty"`
	// Org, OrgID, User and UserID are as written; at most one of each pair.
	Org    string `json:"org,omitempty"`
	OrgID  string `json:"org_id,omitempty"`
	User   string `json:"user,omitempty"`
	UserID string `json:"user_id,omitempty"`

	CACert     string `json:"ca_cert,omitempty"`
	ClientCert string `json:"client_cert,omitempty"`
	// ClientKey is secret.
	ClientKey     string `json:"client_key,omitempty"`
	TLSServerName string `json:"tls_server_name,omitempty"`
	TLSMinVersion string `json:"tls_min_version,omitempty"`
	TLSSkipVerify bool   `json:"tls_skip_verify,omitempty"`

	// RequestTimeout is in seconds.
	RequestTimeout     int `json:"request_timeout"`
	MaxOpenConnections int `json:"max_open_connections"`
	// TidyInterval is in seconds; 0 means that tidy runs by hand only.
	TidyInterval int `json:"tidy_interval"`

	RotationPlan
	// DisableAutomatedRotation leaves the root token's rotation to rotate-root.
	DisableAutomatedRotation bool `json:"disable_automated_rotation,omitempty"`

	// RootNonce stands in the stamp of a root token that we made; empty for one that an operator wrote.
	RootNonce string `json:"root_nonce,omitempty"`
	// RotatedAway are the SHA-256 sums of root tokens that an operator wrote and that were rotated away, in hex.
	RotatedAway []string `json:"rotated_away,omitempty"`
	RotationTimes

	// Found is what the last verified write saw; nil when none was verified.
	Found *Found `json:"found,omitempty"`
	// Former is set once the connection is no longer the current one.
	Former *Former `json:"retired,omitempty"`
}

// Found is what a connection was seen to be when it was verified.
type Found struct {
	// OrgIDs are the first hundred organizations that the root token sees, and the default one. IDs are random, so
	// that two InfluxDBs share none.
	OrgIDs []string `json:"org_ids"`
	// DefaultOrg and DefaultOrgID are the organization of roles that name none.
	DefaultOrg   string `json:"default_org,omitempty"`
	DefaultOrgID string `json:"default_org_id,omitempty"`
	// Owner and OwnerID are the user that owns the tokens of roles that name none.
	Owner   string `json:"owner,omitempty"`
	OwnerID string `json:"owner_id,omitempty"`
	// RootUser and RootUserID own the root token.
	RootUser   string `json:"root_user,omitempty"`
	RootUserID string `json:"root_user_id,omitempty"`
	// RootAuthorizationID is the root token's authorization, where it was found.
	RootAuthorizationID string `json:"root_authorization_id,omitempty"`
	ServerVersion       string `json:"server_version,omitempty"`
}

// Former says since when and until when a connection is kept that is no longer the current one.
type Former struct {
	At time.Time `json:"at"`
	// KeepUntil is after the last deadline of anything it minted.
	KeepUntil time.Time `json:"keep_until"`
	// Abandoned says that the operator gave its tokens up: a deletion that fails there is not tried again.
	Abandoned bool `json:"abandoned,omitempty"`
}

func (c *Connection) setVersion() { c.Version = Version }

// RootID is the ID of the authorization that the root token is, in small letters; "" where it is not known.
func (c *Connection) RootID() string {
	if c.AuthorizationID == "" && c.Found != nil {
		return c.Found.RootAuthorizationID
	}
	return strings.ToLower(c.AuthorizationID)
}

// RootUserID is the ID of the user that owns the root token; "" where it was not found.
func (c *Connection) RootUserID() string {
	if c.Found == nil {
		return ""
	}
	return c.Found.RootUserID
}
