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
//
// Entries are JSON. Each carries the schema's version, so that a later one can tell what it reads; the
// golden files in testdata are entries of every version and must decode for ever.
package store

import (
	"context"
	"encoding/json"
	"fmt"

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
	PendingPrefix         = "pending/"
)

// get reads one entry; nil when there is none.
func get[T any](ctx context.Context, s logical.Storage, key string) (*T, error) {
	raw, err := s.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s from storage: %w", key, err)
	}
	if raw == nil {
		return nil, nil
	}
	var header struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(raw.Value, &header) == nil && header.Version > Version {
		return nil, fmt.Errorf("read %s from storage: written by a newer version of this plugin (schema %d, this one knows %d); go back to that version", key, header.Version, Version)
	}
	entry := new(T)
	if err := json.Unmarshal(raw.Value, entry); err != nil {
		// The decoder's own words could repeat a secret.
		return nil, fmt.Errorf("read %s from storage: not an entry that this version knows", key)
	}
	return entry, nil
}

func put(ctx context.Context, s logical.Storage, key string, entry any) error {
	raw, err := logical.StorageEntryJSON(key, entry)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	if err := s.Put(ctx, raw); err != nil {
		return fmt.Errorf("write %s to storage: %w", key, err)
	}
	return nil
}

func remove(ctx context.Context, s logical.Storage, key string) error {
	if err := s.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s from storage: %w", key, err)
	}
	return nil
}

func list(ctx context.Context, s logical.Storage, prefix string) ([]string, error) {
	keys, err := s.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list %s in storage: %w", prefix, err)
	}
	return keys, nil
}
