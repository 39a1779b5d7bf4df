package backend

import (
	"context"
	"fmt"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-influxdb/backend/connection"
	"vault-plugin-secrets-influxdb/backend/influx"
	"vault-plugin-secrets-influxdb/backend/permission"
	"vault-plugin-secrets-influxdb/backend/problem"
	"vault-plugin-secrets-influxdb/backend/store"
	"vault-plugin-secrets-influxdb/backend/token"
)

func (b *backend) pathTokens() []*framework.Path {
	return []*framework.Path{
		listPath("tokens", "List the live tokens of this mount.", "What InfluxDB holds of this mount's tokens, by authorization ID, with the role, the organization and the deadline of each.", b.pathTokensList, tokensResponse),
		{
			Pattern:      "tokens/(?P<authorization_id>.+)",
			Fields:       fields{"authorization_id": {Type: framework.TypeString, Required: true, Description: "ID of the token's authorization."}},
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationSuffix: "token"},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation:   activeNode(b.pathTokensRead, "Read what is known of a token; never its value.", tokenResponse),
				logical.DeleteOperation: activeNode(b.pathTokensDelete, "Delete a token at once; its lease ends cleanly later.", noFields),
			},
			HelpSynopsis: "One token of this mount.",
			HelpDescription: `
To end a lease token that has leaked: it is refused from then on, and its lease ends cleanly when it is revoked or
runs out. Static tokens that a role has, and root tokens, are not deleted here; the error names the command for them. One
that came back with an InfluxDB restored from a backup, and that no role has any more, is.`,
		},
	}
}

var tokenResponse = fields{
	"authorization_id": {Type: framework.TypeString, Description: "ID of the token's authorization."},
	"role":             {Type: framework.TypeString, Description: "The role it was minted for."},
	"kind":             {Type: framework.TypeString, Description: "lease, static or root."},
	"org":              {Type: framework.TypeString, Description: "Name of the organization."},
	"issued":           {Type: framework.TypeString, Description: "When it was made, RFC 3339."},
	"deadline":         {Type: framework.TypeString, Description: "The last moment a lease token can rightly live, RFC 3339; empty for the others."},
	"description":      {Type: framework.TypeString, Description: "Its description in InfluxDB."},
}

var tokensResponse = mergeFields(listResponse, fields{
	"key_info": {Type: framework.TypeMap, Description: "By authorization ID: role, kind, org, issued, deadline."},
})

// tokenInfo is what a LIST says of a token.
func tokenInfo(a *influx.Authorization, stamp token.Stamp) map[string]any {
	return map[string]any{
		"role": stamp.Role, "kind": stamp.Kind, "org": a.Org, "issued": problem.RFC3339(a.CreatedAt), "deadline": problem.RFC3339(stamp.Deadline),
	}
}

func (b *backend) pathTokensList(ctx context.Context, req request) (*logical.Response, error) {
	c, err := b.connections.Current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return nil, err
	}
	info := map[string]any{}
	page := newPager(req.data, func(id string) { delete(info, id) })
	shownAny := false
	err = c.Client.EachAuthorization(ctx, func(a *influx.Authorization) error {
		shownAny = true
		if stamp, ours := b.issuer.Owned(a); ours && stamp.Role != token.ProbeRole {
			info[a.ID] = tokenInfo(a, stamp)
			if !page.add(a.ID) {
				delete(info, a.ID)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	resp := logical.ListResponseWithInfo(page.names(), info)
	if !shownAny && !c.Client.ListsAll() { // there is at least its own
		resp.AddWarning("the root token is shown no token at all, not even itself: it lacks read on authorizations of the org or on users; see docs/root-token.md")
	}
	return resp, nil
}

// found is a token that bears this mount's stamp.
type found struct {
	*influx.Authorization
	token.Stamp
	connection *connection.Connection
}

// findToken reads a token that is this mount's; others are none of ours.
func (b *backend) findToken(ctx context.Context, req request) (*found, error) {
	id := req.data.Get("authorization_id").(string)
	c, err := b.connections.Current(ctx, req.Storage, req.MountPoint)
	if err != nil {
		return nil, err
	}
	if _, stamped := token.ParseStamp("[" + id + "]"); c.Product.IsV2() && !permission.IsID(id) {
		return nil, problem.InField("authorization_id", "must be 16 hexadecimal digits")
	} else if !c.Product.IsV2() && !stamped {
		return nil, problem.InField("authorization_id", "must be the name of a token of this engine in %s, such as those that vault list %stokens shows", c.Product, req.MountPoint)
	}
	a, err := c.Client.GetAuthorization(ctx, id)
	if influx.IsNotFound(err) {
		if _, unknown := c.Identify(ctx); connection.IsForeign(unknown) {
			return nil, unknown
		}
		return nil, problem.NotFound("no token of this mount has the authorization ID %s", id)
	}
	if err != nil {
		return nil, err
	}
	stamp, ours := b.issuer.Owned(a)
	if !ours {
		return nil, problem.NotFound("authorization %s was not made by this mount; it is left alone", id)
	}
	return &found{a, stamp, c}, nil
}

func (b *backend) pathTokensRead(ctx context.Context, req request) (*logical.Response, error) {
	t, err := b.findToken(ctx, req)
	if err != nil {
		return nil, err
	}
	info := tokenInfo(t.Authorization, t.Stamp)
	info["authorization_id"], info["description"] = t.ID, t.Description
	return &logical.Response{Data: info}, nil
}

func (b *backend) pathTokensDelete(ctx context.Context, req request) (*logical.Response, error) {
	t, err := b.findToken(ctx, req)
	if err != nil {
		return nil, err
	}
	if deleted, err := b.statics.DeleteStray(ctx, req.Storage, t.connection, t.ID, t.Stamp); deleted || err != nil {
		return nil, err
	}
	if t.Kind != token.Lease {
		return nil, problem.BadInput("authorization %s is not a lease's: %s", req.data.Get("authorization_id"), instead(req.MountPoint, t.Stamp))
	}
	if err := b.revoker.Load(ctx, req.Storage); err != nil {
		return nil, err
	}
	// The ID as InfluxDB writes it: a pending deletion goes by it.
	return nil, b.revoker.Revoke(ctx, req.Storage, store.Pending{AuthorizationID: t.ID, Connection: t.connection.ID, Role: t.Role})
}

// instead says how to be rid of a token that belongs to no lease.
func instead(mountPath string, stamp token.Stamp) string {
	switch stamp.Kind {
	case token.Static:
		return fmt.Sprintf("it is a static role's; to replace it at once run vault write -f %srotate-role/%s grace_period=0", mountPath, stamp.Role)
	case token.Root:
		return fmt.Sprintf("it is the root token; to replace it run vault write -f %sconfig/rotate-root", mountPath)
	}
	return fmt.Sprintf("a %s token is not deleted here", stamp.Kind)
}
