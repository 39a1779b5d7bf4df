package backend

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

func (b *backend) pathCheck() []*framework.Path {
	return []*framework.Path{{
		Pattern: "check",
		Fields: map[string]*framework.FieldSchema{
			"role": {Type: framework.TypeString, Query: true, Description: "Check this role as well."},
		},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "check"},
		Operations: map[logical.Operation]framework.OperationHandler{
			// It makes a token that can't be used, and deletes it: not twice, on a standby and on the active node.
			logical.ReadOperation: operation{handle: b.pathCheckRead, summary: "Check the connection, and one role.", answer: checkAnswer, mints: true}.handler(),
		},
		HelpSynopsis: "What is wrong, and what to do about it.",
		HelpDescription: `
Tries the stored connection as a write of config does: the server, the root token, the organization, and
whether tokens can be made and deleted. With role=<name> it tries that role, too.`,
	}}
}

var checkAnswer = map[string]*framework.FieldSchema{
	"healthy":             {Type: framework.TypeBool, Description: "Whether there are no problems."},
	"problems":            {Type: framework.TypeStringSlice, Description: "What is wrong and what to do, at most 100 sentences."},
	"server_version":      {Type: framework.TypeString, Description: "InfluxDB's version."},
	"server_build":        {Type: framework.TypeString, Description: "InfluxDB's build, such as OSS."},
	"latency_ms":          {Type: framework.TypeInt, Description: "How long InfluxDB took to answer a ping, in milliseconds."},
	"token_values_hidden": {Type: framework.TypeBool, Description: "Whether InfluxDB hides the values of tokens, as 2.9 does; false where the root token may not look."},
	"mount_uuid":          {Type: framework.TypeString, Description: "UUID of this mount, which marks its tokens in InfluxDB."},
	"pending_deletions":   {Type: framework.TypeInt, Description: "Deletions that failed and are tried again each minute, and mints that were not answered."},
	"oldest_pending":      {Type: framework.TypeString, Description: "When the oldest of them failed first, RFC 3339; empty when there is none."},
	"next_vault_rotation": planTimes["next_vault_rotation"],
}

func (b *backend) pathCheckRead(ctx context.Context, req *logical.Request, data *framework.FieldData) (*logical.Response, error) {
	var role string
	fields{data}.text("role", &role)
	h, err := b.examineHealth(ctx, req, role)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"healthy":             len(h.problems) == 0,
		"problems":            listed(h.problems[:min(len(h.problems), maxProblems)]),
		"server_version":      h.server.Version,
		"server_build":        h.server.Build,
		"latency_ms":          h.latency.Milliseconds(),
		"token_values_hidden": h.valuesHidden,
		"mount_uuid":          b.mountUUID,
		"pending_deletions":   h.pending,
		"oldest_pending":      rfc3339(h.oldestPending),
		"next_vault_rotation": rfc3339(h.nextRotation),
	}}, nil
}
