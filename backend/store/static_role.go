package store

import "time"

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
