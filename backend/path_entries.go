package backend

import (
	"context"
	"strings"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathEntries() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "entries/(?P<key>.+)",
		Fields:       fields{"key": {Type: framework.TypeString, Required: true, Description: "The entry's key in the mount's storage, as check names it."}},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "entry"},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.DeleteOperation: activeNode(b.pathEntriesDelete, "Remove an entry of storage that can't be read.", noFields),
		},
		HelpSynopsis: "An entry of storage that can't be read.",
		HelpDescription: `
After a half restore or a downgrade an entry of this mount's storage may be none that this version of the plugin knows. It
spoils nothing but itself, and check names its key. Where it can't be restored, this removes it: a role is then gone, a
deletion that was pending is no longer tried, and a rotation that was cut off is forgotten.

An entry that can be read is not removed here.`,
	}}
}

// pathEntriesDelete leaves replicated storage to the primary, and what is pending is each cluster's own.
func (b *backend) pathEntriesDelete(ctx context.Context, req request) (*logical.Response, error) {
	var key string
	req.set("key", &key)
	pending, isPending := strings.CutPrefix(key, store.PendingPrefix)
	if !isPending && !b.mount.WriteSafe() {
		return nil, logical.ErrReadOnly
	}
	found, err := store.Probe(ctx, req.Storage, key)
	switch {
	case store.IsUnreadable(err):
	case err != nil:
		return nil, err
	case found:
		return nil, problem.BadInput("%s can be read; entries/ removes only what can't be", key)
	default:
		return nil, problem.BadInput("there is no entry %s; entries/ removes only what is there and can't be read", key)
	}
	if err := req.Storage.Delete(ctx, key); err != nil {
		return nil, err
	}
	b.mount.Log.Warn("an entry of storage that could not be read was removed", "key", key)
	b.revoker.Forget(pending)
	b.invalidate(ctx, key)
	return nil, nil
}
