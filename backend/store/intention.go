package store

import (
	"context"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// rootIntentionKey is one key: changes of the root token come one after another.
const rootIntentionKey = IntentionPrefix + "root"

// RootIntention is a change of the root token that is under way. It is written before InfluxDB is asked to make
// the new token, and goes when the old one is deleted, or its deletion pending.
type RootIntention struct {
	Version int `json:"version"`
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

// GetRootIntention reads it; nil when no change is under way.
func GetRootIntention(ctx context.Context, s logical.Storage) (*RootIntention, error) {
	return get[RootIntention](ctx, s, rootIntentionKey)
}

// PutRootIntention writes it down.
func PutRootIntention(ctx context.Context, s logical.Storage, i *RootIntention) error {
	i.Version = Version
	return put(ctx, s, rootIntentionKey, i)
}

// DeleteRootIntention strikes it off.
func DeleteRootIntention(ctx context.Context, s logical.Storage) error {
	return remove(ctx, s, rootIntentionKey)
}
