package backend

import (
	"context"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/influxdata/influxdb-client-go/v2/domain"

	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/store"
)

func (b *backend) pathTokens() []*framework.Path {
	return []*framework.Path{
		{
			Pattern:      "tokens/?$",
			Fields:       listFields,
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "tokens"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: operation{handle: b.pathTokensList, summary: "List the live tokens of this mount.", answer: tokensAnswer}.handler(),
			},
			HelpSynopsis:    "List the live tokens of this mount.",
			HelpDescription: "What InfluxDB holds of this mount's tokens, by authorization ID, with the role, the organization and the deadline of each. after and limit give them in pages.",
		},
		{
			Pattern: "tokens/(?P<authorization_id>.+)",
			Fields: map[string]*framework.FieldSchema{
				"authorization_id": {Type: framework.TypeString, Required: true, Description: "ID of the token's authorization."},
			},
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "token"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   operation{handle: b.pathTokensRead, summary: "Read what is known of a token; never its value.", answer: tokenAnswer}.handler(),
				logical.DeleteOperation: operation{handle: b.pathTokensDelete, summary: "Delete a token at once; its lease ends cleanly later.", mints: true}.handler(),
			},
			HelpSynopsis: "One token of this mount.",
			HelpDescription: `
To end a lease token that has leaked: it is refused from then on, and its lease ends cleanly when it is revoked or
runs out. Static and root tokens are not deleted here; the error names the command for them.`,
		},
	}
}

var tokenAnswer = map[string]*framework.FieldSchema{
	"authorization_id": {Type: framework.TypeString, Description: "ID of the token's authorization."},
	"role":             {Type: framework.TypeString, Description: "The role it was minted for."},
	"kind":             {Type: framework.TypeString, Description: "lease, static or root."},
	"org":              {Type: framework.TypeString, Description: "Name of the organization."},
	"issued":           {Type: framework.TypeString, Description: "When it was made, RFC 3339."},
	"deadline":         {Type: framework.TypeString, Description: "The last moment a lease token can rightly live, RFC 3339; empty for the others."},
	"description":      {Type: framework.TypeString, Description: "Its description in InfluxDB."},
}

var tokensAnswer = with(listAnswer, map[string]*framework.FieldSchema{
	"key_info": {Type: framework.TypeMap, Description: "By authorization ID: role, kind, org, issued, deadline."},
})

// tokenInfo is what a LIST says of a token.
func tokenInfo(a domain.Authorization, st stamp) map[string]any {
	org, issued := "", ""
	if a.Org != nil {
		org = *a.Org
	}
	if a.CreatedAt != nil {
		issued = rfc3339(*a.CreatedAt)
	}
	return map[string]any{"role": st.role, "kind": st.kind, "org": org, "issued": issued, "deadline": rfc3339(st.deadline)}
}

func (b *backend) pathTokensList(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	e, err := b.current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return nil, err
	}
	info := map[string]any{}
	ids := newPager(data, func(id string) { delete(info, id) })
	shownAny := false
	err = e.client.EachAuthorization(ctx, func(a domain.Authorization) error {
		shownAny = true
		if id, st, mine := stampOf(a, b.mountUUID); mine && st.role != probeRole {
			info[id] = tokenInfo(a, st)
			if !ids.add(id) {
				delete(info, id)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	resp := logical.ListResponseWithInfo(ids.page(), info)
	if !shownAny { // there is at least its own
		resp.AddWarning("the root token is shown no token at all, not even itself: it lacks read on authorizations of the org or on users; see docs/root-token.md")
	}
	return resp, nil
}

// ourToken reads a token that bears this mount's stamp; others are none of ours.
func (b *backend) ourToken(ctx context.Context, req *logical.Request, id string) (*endpoint, *domain.Authorization, stamp, error) {
	if !permission.IsID(id) {
		return nil, nil, stamp{}, badInput("authorization_id: must be 16 hexadecimal digits")
	}
	e, err := b.current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return nil, nil, stamp{}, err
	}
	a, err := e.client.GetAuthorization(ctx, id)
	if influx.Is(err, influx.Gone) || influx.Is(err, influx.NotFound) {
		return nil, nil, stamp{}, &told{status: http.StatusNotFound, text: fmt.Sprintf("no token of this mount has the authorization ID %s", id)}
	}
	if err != nil {
		return nil, nil, stamp{}, err
	}
	_, st, mine := stampOf(*a, b.mountUUID)
	if !mine {
		return nil, nil, stamp{}, &told{status: http.StatusNotFound, text: fmt.Sprintf("authorization %s was not made by this mount; it is left alone", id)}
	}
	return e, a, st, nil
}

func (b *backend) pathTokensRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	id := data.Get("authorization_id").(string)
	_, a, st, err := b.ourToken(ctx, req, id)
	if err != nil {
		return nil, err
	}
	info := tokenInfo(*a, st)
	info["authorization_id"], info["description"] = *a.Id, *a.Description
	return &logical.Response{Data: info}, nil
}

func (b *backend) pathTokensDelete(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	id := data.Get("authorization_id").(string)
	e, a, st, err := b.ourToken(ctx, req, id)
	if err != nil {
		return nil, err
	}
	if st.kind != kindLease {
		return nil, badInput("authorization %s is not a lease's: %s", id, instead(req.MountPoint, st))
	}
	if err := b.pending.load(ctx, req.Storage); err != nil {
		return nil, err
	}
	// The ID as InfluxDB writes it: a pending deletion goes by it.
	return nil, b.retire(ctx, req.Storage, store.Pending{AuthorizationID: *a.Id, Connection: e.ID, Role: st.role, Since: b.now()})
}

// instead says how to be rid of a token that belongs to no lease.
func instead(mount string, st stamp) string {
	switch st.kind {
	case kindStatic:
		return fmt.Sprintf("it is a static role's; to replace it at once run vault write -f %srotate-role/%s grace_period=0", mount, st.role)
	case kindRoot:
		return fmt.Sprintf("it is the root token; to replace it run vault write -f %sconfig/rotate-root", mount)
	}
	return fmt.Sprintf("a %s token is not deleted here", st.kind)
}
