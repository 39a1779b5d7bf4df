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

// Unseal unseals it and waits until it is active, which is when its mounts answer.
func (v *Vault) Unseal(ctx context.Context) error {
	if _, err := v.Client().Sys().UnsealWithContext(ctx, v.unsealKey); err != nil {
		return fmt.Errorf("unsealing Vault: %w", err)
	}
	return v.process.await(ctx, vaultStart, "Vault to become active", func(ctx context.Context) error {
		health, err := v.Client().Sys().HealthWithContext(ctx)
		switch {
		case err != nil:
			return err
		case !health.Initialized || health.Sealed || health.Standby:
			return fmt.Errorf("its health: initialized %t, sealed %t, standby %t",
				health.Initialized, health.Sealed, health.Standby)
		}
		return nil
	})
}
