// Package store is what lies in Vault's storage: typed entries, their keys and their form. It decides
// nothing.
//
//	config              Connection   the current connection; seal-wrapped
//	connection/<id>     Connection   one that was replaced or deleted, kept for what it minted; seal-wrapped
//	role/<name>         Role
//	static-role/<name>  StaticRole   with its current token; seal-wrapped
//	intention/static/<name> StaticIntention  a token of a static role that is being made; seal-wrapped
//	intention/root      RootIntention  a change of the root token that is under way; seal-wrapped
//	pending/<id>        Pending      a deletion that InfluxDB still owes; local to the cluster
//	trial               what Try writes, and deletes again
//
// Entries are JSON. Each carries the schema's version, so that a later one can tell what it reads; the
// golden files in testdata are entries of every version and must decode for ever.
package store

import (
	"context"

	"github.com/hashicorp/vault/sdk/logical"
)

// Version is the schema's version, written into every entry.
const Version = 1

// Keys and prefixes in storage. A prefix ends in a slash.
const (
	ConfigKey        = "config"
	ConnectionPrefix = "connection/"
	RolePrefix       = "role/"
	IntentionPrefix  = "intention/"
	StaticRolePrefix = "static-role/"

	staticIntentionPrefix = IntentionPrefix + "static/"
	rootIntentionKey      = IntentionPrefix + "root"
	PendingPrefix         = "pending/"
	trialKey              = "trial"
)

// Try looks whether storage takes a write now, for what can't be undone where it takes none.
func Try(ctx context.Context, s logical.Storage) error {
	if err := s.Put(ctx, &logical.StorageEntry{Key: trialKey, Value: []byte("{}")}); err != nil {
		return err
	}
	return s.Delete(ctx, trialKey)
}
