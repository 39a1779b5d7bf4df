package store

import "time"

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

func (i *RootIntention) setVersion() { i.Version = Version }

// StaticIntention is a token of a static role that InfluxDB is being asked for. It is written before the call, and
// goes when the token is the role's current one, or is deleted, or its deletion pending.
type StaticIntention struct {
	Version int `json:"version"`
	// Nonce stands in the token's stamp.
	Nonce string    `json:"nonce"`
	Since time.Time `json:"since"`
	// Connection is where it is made, and OrgID and UserID its organization and owner.
	Connection string `json:"connection"`
	OrgID      string `json:"org_id"`
	UserID     string `json:"user_id,omitempty"`
}

func (i *StaticIntention) setVersion() { i.Version = Version }
