package config

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/lease"
	"vault-plugin-secrets-influxdb/backend/mount"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/tidy"
	"vault-plugin-secrets-influxdb/backend/token"
)

// replace makes the candidate the current connection. Where it reaches the same InfluxDB as a connection that is known,
// it takes over that one's ID, and with it its leases. Where it reaches another, nothing may be outstanding on the old
// one: the new server's "not found" would pass for a revocation on the old one.
func (w *Writer) replace(ctx context.Context, s logical.Storage, old, candidate *store.Connection, ch Change) ([]string, error) {
	var warnings []string
	former, err := w.findFormer(ctx, s, candidate)
	switch {
	case err != nil:
		return nil, err
	case old != nil && sameInfluxDB(old, candidate):
		candidate.ID = old.ID
		former = ""
	case old != nil:
		if warnings, err = w.retireCurrent(ctx, s, old, ch); err != nil {
			return nil, err
		}
	}
	if former != "" {
		candidate.ID = former
	}
	if err := store.Config.PutConfirmed(ctx, s, candidate); err != nil {
		return nil, err
	}
	if old == nil || candidate.ID != old.ID {
		w.counter.Reset() // the tokens that it has counted are another connection's
	}
	if former != "" {
		if err := store.FormerConnections.Delete(ctx, s, former); err != nil {
			// The write is done. The current connection goes before its old copy, which CollectFormer deletes.
			w.mount.Log.Warn("the old copy of a connection that is current again is still in storage", "connection", former, "error", err)
		}
	}
	return warnings, nil
}

// sameInfluxDB compares the IDs of organizations and of the root token's user: they are random, so that two InfluxDBs share
// none. Where one side was never seen, the address has to do.
func sameInfluxDB(a, b *store.Connection) bool {
	if a.Product.IsV2() != b.Product.IsV2() {
		return false
	}
	if a.Cluster() != "" && b.Cluster() != "" {
		return strings.EqualFold(a.Cluster(), b.Cluster())
	}
	if a.Found == nil || b.Found == nil || len(a.Found.OrgIDs) == 0 || len(b.Found.OrgIDs) == 0 {
		return influx.CleanURL(a.URL) == influx.CleanURL(b.URL)
	}
	return a.Found.RootUserID != "" && a.Found.RootUserID == b.Found.RootUserID ||
		slices.ContainsFunc(a.Found.OrgIDs, func(id string) bool { return slices.Contains(b.Found.OrgIDs, id) })
}

// findFormer returns the ID of the former connection that the candidate makes current again; "" when there is none.
func (w *Writer) findFormer(ctx context.Context, s logical.Storage, candidate *store.Connection) (string, error) {
	ids, err := store.FormerConnections.List(ctx, s)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		former, err := store.FormerConnections.Get(ctx, s, id)
		if err != nil && !store.IsUnreadable(err) {
			return "", err
		}
		if former != nil && sameInfluxDB(former, candidate) {
			return id, nil
		}
	}
	return "", nil
}

// retireCurrent keeps the old connection as a former one in favour of one to another InfluxDB, if nothing is outstanding
// on it or it is given up.
func (w *Writer) retireCurrent(ctx context.Context, s logical.Storage, old *store.Connection, ch Change) ([]string, error) {
	left, err := w.outstanding(ctx, s, old)
	if err != nil {
		return nil, err
	}
	if left != "" && !ch.AbandonPrevious {
		return nil, problem.BadInput("url: this is another InfluxDB than %s, where %s%s. End them first (vault lease revoke -prefix %[4]screds/, vault delete %[4]sstatic-roles/<name>), or give them up with abandon_previous=true", old.URL, left, unchanged, ch.MountPath)
	}
	if err := w.keepFormer(ctx, s, old, left != ""); err != nil {
		return nil, err
	}
	if left == "" {
		return nil, nil
	}
	return []string{fmt.Sprintf("abandon_previous: %s at %s; what can't be revoked there lives on until you delete it", left, old.URL)}, nil
}

// outstanding says what a connection is still needed for, or "". One that can't be asked counts as needed.
func (w *Writer) outstanding(ctx context.Context, s logical.Storage, old *store.Connection) (string, error) {
	if err := w.revoker.Load(ctx, s); err != nil {
		return "", err
	}
	if n := w.revoker.CountOn(old.ID); n > 0 {
		return fmt.Sprintf("%d deletions are pending", n), nil
	}
	if err := w.statics.Load(ctx, s); err != nil {
		return "", err
	}
	if tokens := w.statics.TokensOn(old.ID); len(tokens) > 0 {
		return "the tokens of static roles live: " + problem.NameSome(slices.Sorted(maps.Values(tokens))), nil
	}
	c, err := w.pool.Open(old)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, mount.WriteTimeout)
	defer cancel()
	var live []string
	now := w.mount.Now()
	err = w.issuer.ListDefault(ctx, c, func(a *influx.Listed) {
		if stamp, ok := token.FindStamp(a.Description); ok && w.issuer.LiveLease(stamp, now) {
			live = append(live, string(a.ID)+" (role "+stamp.Role+")")
		}
	})
	if err != nil {
		return fmt.Sprintf("tokens may still live: the old root token can't tell (%v)", err), nil
	}
	known, _ := w.counter.Last(w.mount.Now())
	switch {
	case len(live) > 0:
		return fmt.Sprintf("%d tokens of this mount still live: %s", len(live), problem.NameSome(live)), nil
	case known > 0:
		return fmt.Sprintf("%d tokens may still live", known), nil
	}
	return "", nil
}

// keepFormer keeps a connection for what it has issued, until the last of it is past its deadline.
func (w *Writer) keepFormer(ctx context.Context, s logical.Storage, c *store.Connection, abandoned bool) error {
	longest := w.mount.System.MaxLeaseTTL()
	if longest <= 0 {
		return lease.ErrNoMountLimits
	}
	until := w.mount.Now().Add(longest + mount.DeadlineMargin)
	// The mount's limit may have been lowered since the longest of them was issued.
	if _, last := w.counter.Last(w.mount.Now()); last.After(until) {
		until = last
	}
	former := *c
	former.Revision = rand.Text() // or the open connection would not know that it is a former one
	former.Former = &store.Former{At: w.mount.Now().UTC(), KeepUntil: until.Add(time.Hour).UTC(), Abandoned: abandoned}
	return store.FormerConnections.Put(ctx, s, former.ID, &former)
}

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
