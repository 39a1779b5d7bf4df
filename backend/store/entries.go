package store

import (
	"strings"
	"time"

	"vault-plugin-secrets-influxdb/backend/permission"
)

// Header begins every entry.
type Header struct {
	// Version is the schema's version that the entry was written in.
	Version int `json:"version"`
}

func (h *Header) setVersion() { h.Version = Version }

// Connection is how to reach one InfluxDB, as an operator wrote it, and what was found out about it. The
// current one lies under ConfigKey; a replaced or deleted one is kept under its ID for what it minted.
type Connection struct {
	Header
	// ID names this InfluxDB in leases and pending deletions. It stays the same as long as the same InfluxDB
	// is meant, however it is reached.
	ID string `json:"id"`
	// Revision is new with each write; what is cached about a connection is cached under it.
	Revision string `json:"revision"`

	// Product is what the URL leads to; empty means InfluxDB 2.
	Product permission.Product `json:"product,omitempty"`

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
	// Cluster is the ID of an InfluxDB 3.
	Cluster       string `json:"cluster,omitempty"`
	ServerVersion string `json:"server_version,omitempty"`
}

// Former says since when and until when a connection is kept that is no longer the current one.
type Former struct {
	At time.Time `json:"at"`
	// KeepUntil is after the last deadline of anything it minted.
	KeepUntil time.Time `json:"keep_until"`
	// Abandoned says that the operator gave its tokens up: a deletion that fails there is not tried again.
	Abandoned bool `json:"abandoned,omitempty"`
}

// RootID is the ID of the authorization that the root token is, in small letters; "" where it is not known.
func (c *Connection) RootID() string {
	if c.AuthorizationID == "" && c.Found != nil {
		return c.Found.RootAuthorizationID
	}
	return strings.ToLower(c.AuthorizationID)
}

// Cluster is the ID of the InfluxDB 3 that was found; "" where it is another product, or was not seen.
func (c *Connection) Cluster() string {
	if c.Found == nil {
		return ""
	}
	return c.Found.Cluster
}

// RootUserID is the ID of the user that owns the root token; "" where it was not found.
func (c *Connection) RootUserID() string {
	if c.Found == nil {
		return ""
	}
	return c.Found.RootUserID
}

// Role is what tokens of one name may do and how long they live, as it was written: lists keep their order
// and their duplicates.
type Role struct {
	Header

	Org            string           `json:"org,omitempty"`
	OrgID          string           `json:"org_id,omitempty"`
	TokenType      string           `json:"token_type"`
	ReadBuckets    []string         `json:"read_buckets,omitempty"`
	WriteBuckets   []string         `json:"write_buckets,omitempty"`
	ReadResources  []string         `json:"read_resources,omitempty"`
	WriteResources []string         `json:"write_resources,omitempty"`
	ReadDatabases  []string         `json:"read_databases,omitempty"`
	WriteDatabases []string         `json:"write_databases,omitempty"`
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
		ReadDatabases:  r.ReadDatabases,
		WriteDatabases: r.WriteDatabases,
		Permissions:    r.Permissions,
		Cloned:         r.Cloned,
	}
}

// StaticRole is one long-lived token, and how it is rotated.
type StaticRole struct {
	Header
	// Role is what the token may do. Its lease times and its cap are not used.
	Role Role `json:"role"`
	RotationPlan
	// GracePeriod is how long the previous token goes on working, in seconds.
	GracePeriod int `json:"grace_period"`
	RotationTimes
	// Mount is the mount's path when the role was last written, for descriptions.
	Mount string `json:"mount"`

	Current StaticToken `json:"current"`
	// Previous is the token before; nil once its deletion is confirmed.
	Previous *PreviousToken `json:"previous,omitempty"`
	// Imported is the SHA-256 sum of the authorization ID and the token that were imported when the role was made, in
	// hex; empty for a role whose first token we made.
	Imported string `json:"adopted,omitempty"`
	// Deleted says that the role is gone for everybody who asks, and its tokens are still to be deleted.
	Deleted bool `json:"deleted,omitempty"`
}

// StaticToken is a token that is handed out again and again.
type StaticToken struct {
	// Token is secret.
	Token           string `json:"token"`
	AuthorizationID string `json:"authorization_id"`
	// Nonce stands in its stamp; empty for one that was imported.
	Nonce string `json:"nonce,omitempty"`
	// Connection is the ID of the connection that it belongs to.
	Connection  string `json:"connection"`
	Org         string `json:"org"`
	OrgID       string `json:"org_id"`
	Description string `json:"description"`
	// Expires is when InfluxDB ends it by itself; zero where it does not.
	Expires time.Time `json:"expires,omitzero"`
}

// PreviousToken is a token that was rotated away and still works for a while.
type PreviousToken struct {
	AuthorizationID string    `json:"authorization_id"`
	Connection      string    `json:"connection"`
	Ends            time.Time `json:"ends"`
	// Grace is how long it was to go on working when it was rotated away, in seconds. Earlier versions stored none.
	Grace int `json:"grace,omitempty"`
}

func (r *StaticRole) setVersion() { r.Version, r.Role.Version = Version, Version }

// RotationPlan says when a token is rotated by itself: every so often, or at the times of a schedule. Neither means
// by hand only.
type RotationPlan struct {
	// RotationPeriod is in seconds.
	RotationPeriod int `json:"rotation_period,omitempty"`
	// RotationSchedule is a cron expression of five fields, in UTC. One that an earlier version stored may have a time
	// zone before them, which is ignored.
	RotationSchedule string `json:"rotation_schedule,omitempty"`
	// RotationWindow is how long after a time of the schedule a rotation may still begin, in seconds; 0 means
	// until the next.
	RotationWindow int `json:"rotation_window,omitempty"`
}

// RotationTimes are a token's rotations: the last one, and the next one that is planned.
type RotationTimes struct {
	// LastRotation is zero for a token that was never rotated.
	LastRotation time.Time `json:"last_rotation,omitzero"`
	// NextRotation is zero where none is planned.
	NextRotation time.Time `json:"next_rotation,omitzero"`
	// Skipped is the last time of the schedule that passed without a rotation; nil after one that succeeded.
	Skipped *SkippedRotation `json:"skipped,omitempty"`
}

// SkippedRotation is a time of a schedule that passed, with its window, without a rotation.
type SkippedRotation struct {
	Due    time.Time `json:"due"`
	Reason string    `json:"reason"`
}

// ClockMargin is how far the clocks of two nodes, or of one before and after it was set, may differ: a moment that lies
// ahead by less comes by itself.
const ClockMargin = time.Minute

// NotAhead returns when something began, or now where that lies ahead: a clock was wrong then, and what has begun must age.
func NotAhead(began, now time.Time) time.Time {
	if began.After(now.Add(ClockMargin)) {
		return now.UTC()
	}
	return began
}

// RootIntention is a change of the root token that is under way. It is written before InfluxDB is asked to make
// the new token, and goes when the old one is deleted, or its deletion pending.
type RootIntention struct {
	Header
	// Nonce stands in the new token's stamp, and in RootNonce of the connection that holds it.
	Nonce string    `json:"nonce"`
	Since time.Time `json:"since"`

	// Previous is the connection as it was, with the old root token: secret.
	Previous *Connection `json:"previous,omitempty"`
	// OldID is the authorization that is to be deleted.
	OldID string `json:"old_id,omitempty"`
	// Proven says that OldID is known to be the old root token. Otherwise it is switched off for a moment, to see
	// whether the old root token then is.
	Proven bool `json:"proven,omitempty"`
	// OrgID and UserID are where the new token is made.
	OrgID  string `json:"org_id,omitempty"`
	UserID string `json:"user_id,omitempty"`

	// Setup is the connection to a fresh InfluxDB that is being set up with the token in it: secret. It stands
	// instead of all the others but Nonce and Since.
	Setup *Connection `json:"setup,omitempty"`
}

// StaticIntention is a token of a static role that InfluxDB is being asked for. It is written before the call, and
// goes when the token is the role's current one, or is deleted, or its deletion pending.
type StaticIntention struct {
	Header
	// Nonce stands in the token's stamp.
	Nonce string    `json:"nonce"`
	Since time.Time `json:"since"`
	// Connection is where it is made, and OrgID and UserID its organization and owner.
	Connection string `json:"connection"`
	OrgID      string `json:"org_id"`
	UserID     string `json:"user_id,omitempty"`
}

// Pending is a deletion that failed and is still to be done.
type Pending struct {
	Header
	// AuthorizationID is what is to be deleted.
	AuthorizationID string `json:"authorization_id,omitempty"`
	// Nonce finds by its stamp what is to be deleted, where the ID is not known: InfluxDB did not answer when it
	// was asked to make it. It stands instead of AuthorizationID.
	Nonce string `json:"nonce,omitempty"`
	// Stamp is all of its stamp, by which InfluxDB 3 is asked; empty in what earlier versions wrote.
	Stamp string `json:"stamp,omitempty"`
	// OrgID and UserID are where a token with that nonce would be; an empty UserID is the root token's own user.
	OrgID  string `json:"org_id,omitempty"`
	UserID string `json:"user_id,omitempty"`
	// Connection is the ID of the connection that minted it.
	Connection string `json:"connection"`
	// Role is the role it was minted for, for log lines; the role may be gone.
	Role string `json:"role"`
	// Since is when the deletion first failed.
	Since time.Time `json:"since"`
}

// NoncePrefix starts the names of entries that have a nonce.
const NoncePrefix = "nonce-"

// Key is the entry's name in storage, below PendingPrefix.
func (p *Pending) Key() string {
	if p.Nonce != "" {
		return NoncePrefix + p.Nonce
	}
	return p.AuthorizationID
}
