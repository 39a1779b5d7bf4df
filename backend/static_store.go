package backend

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// putStatic stores a static role. A write that fails may have been done all the same: it is read again.
func (b *backend) putStatic(ctx context.Context, s logical.Storage, name string, role *store.StaticRole) error {
	if err := store.PutStaticRole(ctx, s, name, role); err != nil {
		found, readErr := store.GetStaticRole(ctx, s, name)
		switch {
		case readErr != nil:
			b.statics.forget()
			return fmt.Errorf("%w; %w", err, errMaybeStored)
		case found == nil || !storedAlike(found, role):
			return err
		}
	}
	b.statics.note(name, role)
	return nil
}

// storedAlike reports whether two entries are the same in storage.
func storedAlike(a, b any) bool {
	first, errA := json.Marshal(a)
	second, errB := json.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(first, second)
}

// endPrevious deletes the token before the current one. It stays in the entry until InfluxDB has confirmed that it is
// gone.
func (b *backend) endPrevious(ctx context.Context, s logical.Storage, name string, role *store.StaticRole) error {
	if role.Previous == nil {
		return nil
	}
	entry := store.Pending{AuthorizationID: role.Previous.AuthorizationID, Connection: role.Previous.Connection, Role: name, Since: b.now()}
	if err := b.retire(ctx, s, entry); err != nil {
		return err
	}
	ended := *role
	ended.Previous = nil
	if err := b.putStatic(ctx, s, name, &ended); err != nil {
		return err
	}
	*role = ended
	return nil
}

// staticRole reads a static role; nil when there is none, or none any more.
func staticRole(ctx context.Context, s logical.Storage, name string) (*store.StaticRole, error) {
	role, err := store.GetStaticRole(ctx, s, name)
	if err != nil || role == nil || role.Deleted {
		return nil, err
	}
	return role, nil
}

// isCurrentStatic reports whether a token that is looked for by its nonce became a static role's current one after
// all: a process that was reloaded in the middle of the rotation may have stored it last.
func isCurrentStatic(ctx context.Context, s logical.Storage, st stamp) (bool, error) {
	if st.kind != kindStatic {
		return false, nil
	}
	role, err := staticRole(ctx, s, st.role)
	return role != nil && role.Current.Nonce == st.nonce, err
}

// deleteStatic deletes a static role and its tokens. It is gone for everybody first, so that wherever this is cut off
// nobody is handed a token that is deleted; the tick goes on with it.
func (b *backend) deleteStatic(ctx context.Context, s logical.Storage, name string) error {
	return b.withStatic(ctx, s, name, func(ctx context.Context, role *store.StaticRole) error {
		if role == nil {
			return nil
		}
		deleted := *role
		deleted.Deleted = true
		if err := b.putStatic(ctx, s, name, &deleted); err != nil {
			return err
		}
		return b.finishDeletion(ctx, s, name, &deleted)
	})
}

// finishDeletion deletes the tokens of a deleted role, and forgets it. What can't be deleted now is pending.
func (b *backend) finishDeletion(ctx context.Context, s logical.Storage, name string, role *store.StaticRole) error {
	tokens := []store.Pending{{AuthorizationID: role.Current.AuthorizationID, Connection: role.Current.Connection}}
	if role.Previous != nil {
		tokens = append(tokens, store.Pending{AuthorizationID: role.Previous.AuthorizationID, Connection: role.Previous.Connection})
	}
	for _, entry := range tokens {
		entry.Role, entry.Since = name, b.now()
		var owed *owedDeletion
		if err := b.retire(ctx, s, entry); err != nil && !errors.As(err, &owed) {
			return err
		}
	}
	if err := store.DeleteStaticRole(ctx, s, name); err != nil {
		return err
	}
	b.statics.remove(name)
	return nil
}
