package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Snapshot is all that a Vault on raft has stored.
func (v *Vault) Snapshot(ctx context.Context) ([]byte, error) {
	var snapshot bytes.Buffer
	err := v.Client().Sys().RaftSnapshotWithContext(ctx, &snapshot)
	return snapshot.Bytes(), err
}

// Restore puts a snapshot in the place of all that it has stored. Where it is another Vault's, it has that one's keys
// from then on.
func (v *Vault) Restore(ctx context.Context, snapshot []byte, of *Vault) error {
	// Vault answers before it begins: what was written last is gone only when it is done.
	const marker = "cubbyhole/before-restore"
	if _, err := v.Client().Logical().WriteWithContext(ctx, marker, map[string]any{"restored": "no"}); err != nil {
		return fmt.Errorf("marking what is to be replaced: %w", err)
	}
	if err := v.Client().Sys().RaftSnapshotRestoreWithContext(ctx, bytes.NewReader(snapshot), true); err != nil {
		return fmt.Errorf("restoring a snapshot: %w", err)
	}
	v.unsealKey, v.rootToken = of.unsealKey, of.rootToken
	return v.process.await(ctx, vaultStart, "Vault to serve the snapshot", func(ctx context.Context) error {
		// It seals itself in its own time, when the keys are not its own.
		if _, err := v.Client().Sys().UnsealWithContext(ctx, v.unsealKey); err != nil {
			return err
		}
		if _, err := v.Client().Auth().Token().LookupSelfWithContext(ctx); err != nil {
			return err
		}
		old, err := v.Client().Logical().ReadWithContext(ctx, marker)
		if err == nil && old != nil {
			err = errors.New("it serves what it had before")
		}
		return err
	})
}
