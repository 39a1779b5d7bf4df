package store

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// Pending is a deletion that failed and is still to be done.
type Pending struct {
	Version int `json:"version"`
	// AuthorizationID is what is to be deleted.
	AuthorizationID string `json:"authorization_id,omitempty"`
	// Nonce finds by its stamp what is to be deleted, where the ID is not known: InfluxDB did not answer when it
	// was asked to make it. It stands instead of AuthorizationID.
	Nonce string `json:"nonce,omitempty"`
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

// Key is the entry's name in storage, below PendingPrefix.
func (p *Pending) Key() string {
	if p.Nonce != "" {
		return "nonce-" + p.Nonce
	}
	return p.AuthorizationID
}

// GetPending reads one pending deletion by its key; nil when there is none.
func GetPending(ctx context.Context, s logical.Storage, key string) (*Pending, error) {
	return get[Pending](ctx, s, PendingPrefix+key)
}

// PutPending writes one down.
func PutPending(ctx context.Context, s logical.Storage, p *Pending) error {
	p.Version = Version
	return put(ctx, s, PendingPrefix+p.Key(), p)
}

// DeletePending strikes one off.
func DeletePending(ctx context.Context, s logical.Storage, key string) error {
	return remove(ctx, s, PendingPrefix+key)
}

// ListPending lists the keys of all pending deletions.
func ListPending(ctx context.Context, s logical.Storage) ([]string, error) {
	return list(ctx, s, PendingPrefix)
}
