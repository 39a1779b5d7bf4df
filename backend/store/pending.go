package store

import "time"

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

// NoncePrefix starts the names of entries that have a nonce.
const NoncePrefix = "nonce-"

// Key is the entry's name in storage, below PendingPrefix.
func (p *Pending) Key() string {
	if p.Nonce != "" {
		return NoncePrefix + p.Nonce
	}
	return p.AuthorizationID
}

func (p *Pending) setVersion() { p.Version = Version }
