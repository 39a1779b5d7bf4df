package config

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
)

const (
	// collectInterval is how often the former connections are looked at.
	collectInterval = time.Hour
	// unverifiedRetention is how long after the last deadline a connection is kept whose InfluxDB can't be asked what is
	// left of its tokens: it may be away for a while, or for good. Where something is known to be left it stays longer.
	unverifiedRetention = 30 * 24 * time.Hour
)

// CollectFormer deletes the expired tokens of the former connections, when that is due, and the connections that nothing
// needs any more.
func (w *Writer) CollectFormer(ctx context.Context, s logical.Storage) error {
	if !w.mount.WriteSafe() {
		return nil
	}
	ids, err := store.FormerConnections.List(ctx, s)
	if err != nil || len(ids) == 0 || !w.collection.Due(w.mount.Now(), collectInterval) {
		return err
	}
	var problems []error
	for _, id := range ids {
		switch err := w.collect(ctx, s, id); {
		case store.IsUnreadable(err):
			w.mount.LogUnreadable(err)
		case err != nil:
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

func (w *Writer) collect(ctx context.Context, s logical.Storage, id string) error {
	former, err := store.FormerConnections.Get(ctx, s, id)
	if err != nil || former == nil || former.Former == nil {
		return err
	}
	config, err := store.Config.Get(ctx, s)
	if err != nil { // it may be the one
		return err
	}
	if config != nil && config.ID == id { // it became current again, and its old copy was left behind
		return store.FormerConnections.Delete(ctx, s, id)
	}
	empty := w.tidyFormer(ctx, s, former)
	needed, err := w.inUse(ctx, s, former)
	if err != nil || needed {
		return err
	}
	until := former.Former.KeepUntil
	if !empty && !former.Former.Abandoned {
		until = until.Add(unverifiedRetention)
	}
	if w.mount.Now().Before(until) {
		return nil
	}
	w.mount.Log.Info("forgetting a connection: nothing that it minted is known to live", "connection", id, "url", former.URL, "proven", empty)
	w.pool.Close(id)
	return store.FormerConnections.Delete(ctx, s, id)
}

// tidyFormer scans the tokens of a former connection, and reports whether it was seen that no lease's is left.
func (w *Writer) tidyFormer(ctx context.Context, s logical.Storage, former *store.Connection) bool {
	var counts tidy.Counts
	c, err := w.pool.Open(former)
	if err == nil {
		counts, err = w.tidier.Scan(ctx, s, c, tidy.Options{MountUUID: w.mount.UUID})
	}
	if err != nil && !former.Former.Abandoned {
		w.mount.Log.Warn("what is left of the tokens of a connection that is not current any more could not be seen",
			"connection", former.ID, "url", former.URL, "error", err)
	}
	return err == nil && counts.Left == 0
}

// inUse reports whether something is known that only this connection can do.
func (w *Writer) inUse(ctx context.Context, s logical.Storage, former *store.Connection) (bool, error) {
	if err := w.revoker.Load(ctx, s); err != nil {
		return false, err
	}
	if err := w.statics.Load(ctx, s); err != nil {
		return false, err
	}
	intention, err := store.RootIntentions.Get(ctx, s)
	if store.IsUnreadable(err) { // it may be of this connection
		return true, nil
	}
	if err != nil {
		return false, err
	}
	rotating := intention != nil && intention.Previous != nil && intention.Previous.ID == former.ID
	return rotating || w.revoker.CountOn(former.ID) > 0 || w.statics.Uses(former.ID), nil
}
