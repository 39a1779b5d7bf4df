package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// What lies in storage, by kind.
var (
	// Config is the current connection.
	Config = single[Connection, *Connection]{ConfigKey}
	// FormerConnections are those that are not current any more, by ID.
	FormerConnections = collection[Connection, *Connection]{ConnectionPrefix}
	// Roles are the roles of leases, by name.
	Roles = collection[Role, *Role]{RolePrefix}
	// StaticRoles are the static roles with their tokens, by name.
	StaticRoles = collection[StaticRole, *StaticRole]{StaticRolePrefix}
	// StaticIntentions are the tokens of static roles that are being made, by the role's name.
	StaticIntentions = collection[StaticIntention, *StaticIntention]{staticIntentionPrefix}
	// RootIntentions holds the change of the root token that is under way: they come one after another.
	RootIntentions = single[RootIntention, *RootIntention]{rootIntentionKey}
	// PendingDeletions are the deletions that are still to be done, by Pending.Key.
	PendingDeletions = collection[Pending, *Pending]{PendingPrefix}
)

// entry is what every kind of entry can do: say that it has this version's form.
type entry[T any] interface {
	*T
	setVersion()
}

// collection is the entries of one kind, each under a name.
type collection[T any, P entry[T]] struct{ prefix string }

// Get reads an entry; nil when there is none of the name.
func (c collection[T, P]) Get(ctx context.Context, s logical.Storage, name string) (P, error) {
	return get[T, P](ctx, s, c.prefix+name)
}

// Put writes an entry.
func (c collection[T, P]) Put(ctx context.Context, s logical.Storage, name string, e P) error {
	return put[T](ctx, s, c.prefix+name, e)
}

// PutConfirmed writes an entry, and is sure of it: an error is ErrWriteUnknown where it may be stored all the same.
func (c collection[T, P]) PutConfirmed(ctx context.Context, s logical.Storage, name string, e P) error {
	return putConfirmed[T](ctx, s, c.prefix+name, e)
}

// Delete forgets an entry; that there is none is no error.
func (c collection[T, P]) Delete(ctx context.Context, s logical.Storage, name string) error {
	return remove(ctx, s, c.prefix+name)
}

// List lists the names of all entries, sorted.
func (c collection[T, P]) List(ctx context.Context, s logical.Storage) ([]string, error) {
	return list(ctx, s, c.prefix)
}

// single is a kind of which there is one entry.
type single[T any, P entry[T]] struct{ key string }

// Get reads the entry; nil when there is none.
func (o single[T, P]) Get(ctx context.Context, s logical.Storage) (P, error) {
	return get[T, P](ctx, s, o.key)
}

// Put writes the entry.
func (o single[T, P]) Put(ctx context.Context, s logical.Storage, e P) error {
	return put[T](ctx, s, o.key, e)
}

// PutConfirmed writes the entry, and is sure of it: an error is ErrWriteUnknown where it may be stored all the same.
func (o single[T, P]) PutConfirmed(ctx context.Context, s logical.Storage, e P) error {
	return putConfirmed[T](ctx, s, o.key, e)
}

// Delete forgets the entry; that there is none is no error.
func (o single[T, P]) Delete(ctx context.Context, s logical.Storage) error {
	return remove(ctx, s, o.key)
}

// kinds are all kinds of entries, for whoever asks only whether one can be read: the prefix of their keys, or the one key.
var kinds = []struct {
	at    string
	probe func(ctx context.Context, s logical.Storage, key string) (found bool, err error)
}{
	{ConfigKey, probe[Connection]}, {ConnectionPrefix, probe[Connection]},
	{RolePrefix, probe[Role]}, {StaticRolePrefix, probe[StaticRole]},
	{staticIntentionPrefix, probe[StaticIntention]}, {rootIntentionKey, probe[RootIntention]},
	{PendingPrefix, probe[Pending]},
}

func probe[T any, P entry[T]](ctx context.Context, s logical.Storage, key string) (bool, error) {
	e, err := get[T, P](ctx, s, key)
	return e != nil, err
}

// Probe reads an entry by its key, whatever its kind, and reports whether there is one. The error of one that can't be
// read is an UnreadableError.
func Probe(ctx context.Context, s logical.Storage, key string) (found bool, err error) {
	for _, kind := range kinds {
		if name, has := strings.CutPrefix(key, kind.at); has && strings.HasSuffix(kind.at, "/") == (name != "") {
			return kind.probe(ctx, s, key)
		}
	}
	return false, nil
}

// Unreadable reads every entry, and returns those that can't be read. A read that fails ends it, unless it is of a pending
// deletion: whoever retries those counts them.
func Unreadable(ctx context.Context, s logical.Storage) ([]*UnreadableError, error) {
	var all []*UnreadableError
	for _, kind := range kinds {
		names := []string{""}
		if strings.HasSuffix(kind.at, "/") {
			var err error
			if names, err = list(ctx, s, kind.at); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			_, err := kind.probe(ctx, s, kind.at+name)
			if unreadable, ok := errors.AsType[*UnreadableError](err); ok {
				all = append(all, unreadable)
			} else if err != nil && kind.at != PendingPrefix {
				return nil, err
			}
		}
	}
	return all, nil
}

// IsUnreadable reports whether err is of an entry that can't be read.
func IsUnreadable(err error) bool {
	_, unreadable := errors.AsType[*UnreadableError](err)
	return unreadable
}

// UnreadableError is an entry that was read and is none that this version knows: a half restore, or a newer version's
// before a downgrade. A read that fails is another error.
type UnreadableError struct {
	// Key is the entry's key in the mount's storage.
	Key string
	// Reason says what is wrong with it. It repeats nothing of the entry, which may hold a secret.
	Reason string
}

// Error names the key and the reason.
func (e *UnreadableError) Error() string {
	return fmt.Sprintf("read %s from storage: %s", e.Key, e.Reason)
}

func get[T any, P entry[T]](ctx context.Context, s logical.Storage, key string) (P, error) {
	raw, err := s.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s from storage: %w", key, err)
	}
	if raw == nil {
		return nil, nil
	}
	var header Header
	if json.Unmarshal(raw.Value, &header) == nil && header.Version > Version {
		return nil, &UnreadableError{key, fmt.Sprintf("written by a newer version of this plugin (schema %d, this one knows %d); go back to that version", header.Version, Version)}
	}
	e := P(new(T))
	if json.Unmarshal(raw.Value, e) != nil { // its own words could repeat a secret
		return nil, &UnreadableError{key, "not an entry that this version knows"}
	}
	return e, nil
}

func list(ctx context.Context, s logical.Storage, prefix string) ([]string, error) {
	names, err := s.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list %s in storage: %w", prefix, err)
	}
	return names, nil
}

func put[T any, P entry[T]](ctx context.Context, s logical.Storage, key string, e P) error {
	e.setVersion()
	raw, err := logical.StorageEntryJSON(key, e)
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

// ErrWriteUnknown is a write that failed, where it can't be read whether it was done all the same.
var ErrWriteUnknown = errors.New("whether it was stored is not known")

// putConfirmed writes an entry. A write that fails may have been done all the same: then the entry is read again, and what
// counts is whether it is the one that was written.
func putConfirmed[T any, P entry[T]](ctx context.Context, s logical.Storage, key string, e P) error {
	err := put[T](ctx, s, key, e)
	if err == nil {
		return nil
	}
	stored, readErr := get[T, P](ctx, s, key)
	switch {
	case readErr != nil:
		return fmt.Errorf("%w; %w", err, ErrWriteUnknown)
	case stored != nil && Same(stored, e):
		return nil
	}
	return err
}

// Same reports whether two entries are the same in storage.
func Same(a, b any) bool {
	first, errA := json.Marshal(a)
	second, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(first, second)
}
