package lab

import (
	"bytes"
	"context"
)

// Snapshot is a copy of all that a Vault on raft has stored.
func (v *Vault) Snapshot(ctx context.Context) ([]byte, error) {
	var snapshot bytes.Buffer
	err := v.Client().Sys().RaftSnapshotWithContext(ctx, &snapshot)
	return snapshot.Bytes(), err
}

// Restore puts a snapshot of this Vault in the place of what is stored, and waits until it is active again.
func (v *Vault) Restore(ctx context.Context, snapshot []byte) error {
	if err := v.Client().Sys().RaftSnapshotRestoreWithContext(ctx, bytes.NewReader(snapshot), false); err != nil {
		return err
	}
	return v.Unseal(ctx)
}
