package root

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-influxdb/backend/rotation"
	"vault-plugin-secrets-influxdb/backend/store"
)

// KeepRotated puts the current root token into a candidate that brings back one that was rotated away, as Terraform does
// with each apply: that one is deleted, and so is what it could do. The write's other fields apply. It returns warnings.
func KeepRotated(old, candidate *store.Connection) (warnings []string) {
	switch {
	case old == nil:
	case candidate.Token != old.Token && slices.Contains(candidate.RotatedAway, rotation.Hash(candidate.Token)):
		candidate.Token, candidate.AuthorizationID, candidate.RootNonce = old.Token, old.AuthorizationID, old.RootNonce
		warnings = append(warnings, "token: this one was rotated away; the current root token stays, and the other fields apply. Leave token out of what writes this configuration")
	case old.RootNonce != "" && candidate.Token == old.Token && !strings.EqualFold(candidate.AuthorizationID, old.AuthorizationID):
		candidate.AuthorizationID = old.AuthorizationID
		warnings = append(warnings, fmt.Sprintf("authorization_id: the root token was made by a rotation and is %s, which stays; the other fields apply. Leave authorization_id out of what writes this configuration", old.AuthorizationID))
	}
	return warnings
}

// Plan sets when a candidate's root token is rotated next. A plan that did not change goes on, unless the token is new.
func (r *Root) Plan(old, candidate *store.Connection) {
	switch {
	case candidate.DisableAutomatedRotation:
		candidate.NextRotation, candidate.Skipped = time.Time{}, nil
	case old == nil || old.RotationPlan != candidate.RotationPlan || old.DisableAutomatedRotation || old.Token != candidate.Token:
		candidate.NextRotation, candidate.Skipped = rotation.Next(candidate.RotationPlan, r.mount.Now()), nil
	}
}
