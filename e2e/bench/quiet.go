package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"vault-plugin-secrets-influxdb/e2e/lab"
)

// timeSeal measures a seal, and unseals again.
func (s *stand) timeSeal(ctx context.Context, f *figures) error {
	started := time.Now()
	if err := s.vault.Seal(ctx); err != nil {
		return err
	}
	f.seal = append(f.seal, milliseconds(time.Since(started)))
	if err := s.vault.Unseal(ctx); err != nil {
		return err
	}
	return s.awaitMounts(ctx)
}

// timeStepDown measures how long the active node takes until it is a standby, and waits until it is active again:
// alone as it is, Vault lets ten seconds pass.
func (s *stand) timeStepDown(ctx context.Context, f *figures) error {
	started := time.Now()
	if err := s.vaultAPI.call(ctx, http.MethodPut, "sys/step-down", nil, nil); err != nil {
		return err
	}
	for {
		standby, err := s.isStandby(ctx)
		if err != nil {
			return err
		}
		if standby {
			break
		}
	}
	f.stepDown = append(f.stepDown, milliseconds(time.Since(started)))
	return s.awaitMounts(ctx)
}

func (s *stand) isStandby(ctx context.Context) (bool, error) {
	var health struct{ Standby bool }
	err := s.vaultAPI.call(ctx, http.MethodGet, "sys/health?standbyok=true", nil, &health)
	return health.Standby, err
}

// awaitMounts waits until the node is active and its mounts answer.
func (s *stand) awaitMounts(ctx context.Context) error {
	return lab.Await(ctx, time.Minute, "the active node", func(ctx context.Context) error {
		standby, err := s.isStandby(ctx)
		if err == nil && standby {
			err = errors.New("it is a standby")
		}
		if err != nil {
			return err
		}
		return s.vaultAPI.call(ctx, http.MethodGet, stalledPath+"/config", nil, nil)
	})
}
