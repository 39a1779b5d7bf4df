package lab

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/api"
)

// initializeOnce makes the unseal key and the root token of a new Vault.
func (v *Vault) initializeOnce(ctx context.Context) error {
	if v.unsealKey != "" {
		return nil
	}
	made, err := v.Client().Sys().InitWithContext(ctx, &api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		return fmt.Errorf("initializing Vault: %w", err)
	}
	v.unsealKey, v.rootToken = made.KeysB64[0], made.RootToken
	return nil
}

// Seal seals it.
func (v *Vault) Seal(ctx context.Context) error { return v.Client().Sys().SealWithContext(ctx) }

// Unseal unseals it and waits until its mounts answer: until it is active or, in a cluster, knows who is.
func (v *Vault) Unseal(ctx context.Context) error {
	// A new node of a cluster takes the key when it has found the others.
	err := v.process.await(ctx, vaultStart, "Vault to take its unseal key", func(ctx context.Context) error {
		_, err := v.Client().Sys().UnsealWithContext(ctx, v.unsealKey)
		return err
	})
	if err != nil {
		return err
	}
	return v.process.await(ctx, vaultStart, "Vault to become active", v.serves)
}

// serves is an error until its mounts answer.
func (v *Vault) serves(ctx context.Context) error {
	health, err := v.Client().Sys().HealthWithContext(ctx)
	switch {
	case err != nil:
		return err
	case !health.Initialized || health.Sealed || health.Standby && !v.inCluster:
		return fmt.Errorf("its health: initialized %t, sealed %t, standby %t",
			health.Initialized, health.Sealed, health.Standby)
	case !v.inCluster:
		return nil
	}
	// A write is the active node's to do, whatever standbys answer by themselves.
	_, err = v.Client().Logical().WriteWithContext(ctx, "cubbyhole/serves", map[string]any{"by": v.Address})
	return err
}
