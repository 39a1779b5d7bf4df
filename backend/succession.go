package backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-uuid"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/store"
)

// replace makes the candidate the current connection. Where it reaches the same InfluxDB as a connection
// that is known, it takes over that one's ID, and with it its leases. Where it reaches another, the old one
// must owe nothing: the new server's "not found" would pass for a revocation on the old one.
func (b *backend) replace(ctx context.Context, s logical.Storage, old, candidate *store.Connection, ch change) ([]string, error) {
	var warnings []string
	revived, err := b.predecessor(ctx, s, candidate)
	switch {
	case err != nil:
		return nil, err
	case old != nil && sameInfluxDB(old, candidate):
		candidate.ID = old.ID
		revived = ""
	case old != nil:
		if warnings, err = b.succeed(ctx, s, old, ch); err != nil {
			return nil, err
		}
	}
	if revived != "" {
		candidate.ID = revived
	}
	err = b.putConfig(ctx, s, candidate)
	if err == nil && old != nil && candidate.ID != old.ID {
		b.live.reset() // the next tokens are another connection's
	}
	if err != nil {
		return nil, err
	}
	if revived != "" {
		if err := store.DeleteRetired(ctx, s, revived); err != nil {
			// The write is done. The current connection goes before its old copy, which a purge takes away.
			b.log.Warn("the old copy of a connection that is current again is still in storage", "connection", revived, "error", err)
		}
	}
	return warnings, nil
}

// sameInfluxDB compares organizations: their IDs are random, so that two InfluxDBs share none. Where one
// side was never seen, the address has to do.
func sameInfluxDB(a, b *store.Connection) bool {
	if a.Found == nil || b.Found == nil || len(a.Found.OrgIDs) == 0 || len(b.Found.OrgIDs) == 0 {
		return strings.TrimRight(a.URL, "/") == strings.TrimRight(b.URL, "/")
	}
	return slices.ContainsFunc(a.Found.OrgIDs, func(id string) bool { return slices.Contains(b.Found.OrgIDs, id) })
}

// predecessor finds the retired connection that the candidate brings back, by its ID; "" when there is none.
func (b *backend) predecessor(ctx context.Context, s logical.Storage, candidate *store.Connection) (string, error) {
	ids, err := store.ListRetired(ctx, s)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		retired, err := store.GetRetired(ctx, s, id)
		if err != nil {
			return "", err
		}
		if retired != nil && sameInfluxDB(retired, candidate) {
			return id, nil
		}
	}
	return "", nil
}

// succeed retires the old connection in favour of one to another InfluxDB, if it owes nothing or is given up.
func (b *backend) succeed(ctx context.Context, s logical.Storage, old *store.Connection, ch change) ([]string, error) {
	left, err := b.outstanding(ctx, s, old)
	if err != nil {
		return nil, err
	}
	if left != "" && !ch.abandonPrevious {
		return nil, badInput("url: this is another InfluxDB than %s, where %s; the stored configuration is unchanged. End them first (vault lease revoke -prefix %[3]screds/, vault delete %[3]sstatic-roles/<name>), or give them up with abandon_previous=true", old.URL, left, ch.mount)
	}
	if err := b.keepRetired(ctx, s, old, left != ""); err != nil {
		return nil, err
	}
	if left == "" {
		return nil, nil
	}
	return []string{fmt.Sprintf("abandon_previous: %s at %s; what can't be revoked there lives on until you delete it", left, old.URL)}, nil
}

// namedTokens bounds how many tokens an answer names.
const namedTokens = 20

// outstanding says what a connection still owes, or "". It counts as owing where it can't be asked.
func (b *backend) outstanding(ctx context.Context, s logical.Storage, old *store.Connection) (string, error) {
	if err := b.pending.load(ctx, s); err != nil {
		return "", err
	}
	if n := b.pending.on(old.ID); n > 0 {
		return fmt.Sprintf("%d deletions are pending", n), nil
	}
	if err := b.loadStatics(ctx, s); err != nil {
		return "", err
	}
	if tokens := b.statics.tokensOn(old.ID); len(tokens) > 0 {
		return "the tokens of static roles live: " + nameSome(slices.Sorted(maps.Values(tokens))), nil
	}
	e, err := b.endpoints.open(old)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	var ids []string
	visit := b.visitLive(func(id string, st stamp) { ids = append(ids, id+" (role "+st.role+")") })
	if err := b.surveyUsual(ctx, e, visit); err != nil {
		return fmt.Sprintf("tokens may still live: the old root token can't tell (%v)", err), nil
	}
	if known, _ := b.live.last(b.now()); len(ids) == 0 && known > 0 {
		return fmt.Sprintf("%d tokens may still live", known), nil
	}
	return nameTokens(ids), nil
}

func nameTokens(ids []string) string {
	if len(ids) == 0 {
		return ""
	}
	return fmt.Sprintf("%d tokens of this mount still live: %s", len(ids), nameSome(ids))
}

// nameSome names the first of some things.
func nameSome(names []string) string {
	named := strings.Join(names[:min(len(names), namedTokens)], ", ")
	if more := len(names) - namedTokens; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return named
}

// keepRetired keeps a connection for what it minted, until the last of it is past its deadline.
func (b *backend) keepRetired(ctx context.Context, s logical.Storage, c *store.Connection, abandoned bool) error {
	longest := b.System().MaxLeaseTTL()
	if longest <= 0 {
		return errNoLimits
	}
	keep := b.now().Add(longest + deadlineGrace)
	// The mount's limit may have been lowered since the longest of them was minted.
	if _, last := b.live.last(b.now()); last.After(keep) {
		keep = last
	}
	revision, err := uuid.GenerateUUID()
	if err != nil {
		return err
	}
	retired := *c
	retired.Revision = revision // an endpoint that is open knows nothing of the retirement
	retired.Retired = &store.Retired{At: b.now().UTC(), KeepUntil: keep.Add(time.Hour).UTC(), Abandoned: abandoned}
	return store.PutRetired(ctx, s, &retired)
}
