package tidy

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

// ReconcileUnknown looks for what creations of unknown outcome have created: one scan for each connection on which one is
// old enough, unless its InfluxDB was just seen to be out of reach. The error says how many are left. It creates nothing
// but probes: a mount that is being disabled looks, too.
func (t *Tidier) ReconcileUnknown(ctx context.Context, s logical.Storage) error {
	if err := t.revoker.Load(ctx, s); err != nil {
		return err
	}
	for id, unknown := range t.unknownByConnection() {
		if ctx.Err() != nil || t.revoker.Unreachable(id) || !t.anyDue(unknown) {
			continue
		}
		c, err := t.pool.ByID(ctx, s, id)
		if err == nil {
			if !c.Visibility.Ready(t.mount.Now()) && !t.mount.Tainted() {
				continue
			}
			_, err = t.Scan(ctx, s, c, Options{Unknown: unknown})
			t.recordVisibility(c, err)
		}
		switch {
		case err == nil || ctx.Err() != nil:
		case c != nil && c.Former != nil && c.Former.Abandoned:
			t.dropAbandoned(ctx, s, c, unknown, err)
		default:
			t.mount.Log.Warn("mints that InfluxDB did not answer are still unsettled", "count", len(unknown), "error", err)
		}
	}
	left := 0
	for _, unknown := range t.unknownByConnection() {
		left += len(unknown)
	}
	if left > 0 {
		return fmt.Errorf("%d mints of unknown outcome are still to be settled", left)
	}
	return nil
}

// unknownByConnection are the creations of unknown outcome by nonce, by the ID of their connection.
func (t *Tidier) unknownByConnection() map[string]map[string]store.Pending {
	byConnection := map[string]map[string]store.Pending{}
	for _, entry := range t.revoker.All() {
		if entry.Nonce == "" {
			continue
		}
		if byConnection[entry.Connection] == nil {
			byConnection[entry.Connection] = map[string]store.Pending{}
		}
		byConnection[entry.Connection][entry.Nonce] = entry
	}
	return byConnection
}

// anyDue reports whether a list can prove of any of them that nothing was created.
func (t *Tidier) anyDue(unknown map[string]store.Pending) bool {
	for _, entry := range unknown {
		if t.isDue(entry) {
			return true
		}
	}
	return false
}

func (t *Tidier) isDue(entry store.Pending) bool {
	return t.mount.Now().Sub(entry.Since) >= mount.UnknownAge
}

// recordVisibility has the next scan wait where the root token was not shown all tokens: that does not change by itself,
// and a list of 100,000 tokens is expensive. Other failures are tried again each minute.
func (t *Tidier) recordVisibility(c *connection.Connection, err error) {
	var incomplete *token.IncompleteListError
	if err == nil || errors.As(err, &incomplete) {
		c.Visibility.Done(err, t.mount.Now())
	}
}

// dropAbandoned removes the unknown outcomes of an abandoned connection that can't be asked: its operator gave up what
// may live there.
func (t *Tidier) dropAbandoned(ctx context.Context, s logical.Storage, c *connection.Connection, unknown map[string]store.Pending, cause error) {
	for nonce, entry := range unknown {
		if !t.isDue(entry) {
			continue
		}
		err := t.revoker.Remove(ctx, s, entry.Key())
		t.mount.Log.Error("whether an abandoned connection made a token is not known; look for the nonce in descriptions in that InfluxDB",
			"nonce", nonce, "role", entry.Role, "url", c.URL, "error", errors.Join(cause, err))
	}
}
