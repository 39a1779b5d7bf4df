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
	AuthorizationID string `json:"authorization_id"`
	// Connection is the ID of the connection that minted it.
	Connection string `json:"connection"`
	// Role is the role it was minted for, for log lines; the role may be gone.
	Role string `json:"role"`
	// Since is when the deletion first failed.
	Since time.Time `json:"since"`
}

// GetPending reads one pending deletion by authorization ID; nil when there is none.
func GetPending(ctx context.Context, s logical.Storage, id string) (*Pending, error) {
	return get[Pending](ctx, s, PendingPrefix+id)
}

// PutPending writes one down.
func PutPending(ctx context.Context, s logical.Storage, p *Pending) error {
	p.Version = Version
	return put(ctx, s, PendingPrefix+p.AuthorizationID, p)
}

// DeletePending strikes one off.
func DeletePending(ctx context.Context, s logical.Storage, id string) error {
	return remove(ctx, s, PendingPrefix+id)
}

// ListPending lists the authorization IDs of all pending deletions.
func ListPending(ctx context.Context, s logical.Storage) ([]string, error) {
	return list(ctx, s, PendingPrefix)
}
