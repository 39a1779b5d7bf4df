package store

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// StaticRole is one long-lived token, and how it is rotated.
type StaticRole struct {
	Version int `json:"version"`
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
	// Adopted is the SHA-256 sum of the authorization ID and the token that were taken over when the role was made, in
	// hex; empty for a role whose first token we made.
	Adopted string `json:"adopted,omitempty"`
	// Deleted says that the role is gone for everybody who asks, and its tokens are still to be deleted.
	Deleted bool `json:"deleted,omitempty"`
}

// StaticToken is a token that is handed out again and again.
type StaticToken struct {
	// Token is secret.
	Token           string `json:"token"`
	AuthorizationID string `json:"authorization_id"`
	// Nonce stands in its stamp; empty for one that was taken over.
	Nonce string `json:"nonce,omitempty"`
	// Connection is the ID of the connection that it belongs to.
	Connection  string `json:"connection"`
	Org         string `json:"org"`
	OrgID       string `json:"org_id"`
	Description string `json:"description"`
}

// PreviousToken is a token that was rotated away and still works for a while.
type PreviousToken struct {
	AuthorizationID string    `json:"authorization_id"`
	Connection      string    `json:"connection"`
	Ends            time.Time `json:"ends"`
}

// GetStaticRole reads a static role; nil when there is none.
func GetStaticRole(ctx context.Context, s logical.Storage, name string) (*StaticRole, error) {
	return get[StaticRole](ctx, s, StaticRolePrefix+name)
}

// PutStaticRole writes a static role.
func PutStaticRole(ctx context.Context, s logical.Storage, name string, r *StaticRole) error {
	r.Version, r.Role.Version = Version, Version
	return put(ctx, s, StaticRolePrefix+name, r)
}

// DeleteStaticRole forgets a static role.
func DeleteStaticRole(ctx context.Context, s logical.Storage, name string) error {
	return remove(ctx, s, StaticRolePrefix+name)
}

// ListStaticRoles lists the names of all static roles, sorted.
func ListStaticRoles(ctx context.Context, s logical.Storage) ([]string, error) {
	return list(ctx, s, StaticRolePrefix)
}

// StaticIntention is a token of a static role that InfluxDB is being asked for. It is written before the call, and
// goes when the token is the role's current one, or is deleted, or its deletion pending.
type StaticIntention struct {
	Version int `json:"version"`
	// Nonce stands in the token's stamp.
	Nonce string    `json:"nonce"`
	Since time.Time `json:"since"`
	// Connection is where it is made, and OrgID and UserID the place there.
	Connection string `json:"connection"`
	OrgID      string `json:"org_id"`
	UserID     string `json:"user_id,omitempty"`
}

// GetStaticIntention reads the intention of a static role; nil when there is none.
func GetStaticIntention(ctx context.Context, s logical.Storage, name string) (*StaticIntention, error) {
	return get[StaticIntention](ctx, s, staticIntentionPrefix+name)
}

// PutStaticIntention writes it down.
func PutStaticIntention(ctx context.Context, s logical.Storage, name string, i *StaticIntention) error {
	i.Version = Version
	return put(ctx, s, staticIntentionPrefix+name, i)
}

// DeleteStaticIntention strikes it off.
func DeleteStaticIntention(ctx context.Context, s logical.Storage, name string) error {
	return remove(ctx, s, staticIntentionPrefix+name)
}

// ListStaticIntentions lists the names of the static roles that have one.
func ListStaticIntentions(ctx context.Context, s logical.Storage) ([]string, error) {
	return list(ctx, s, staticIntentionPrefix)
}
