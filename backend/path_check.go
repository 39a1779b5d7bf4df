package backend

import (
	"context"
	"maps"
	"slices"
	"time"

	"vault-plugin-secrets-influxdb/backend/problem"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

func (b *backend) pathCheck() []*framework.Path {
	return []*framework.Path{{
		Pattern:      "check",
		Fields:       fields{"role": {Type: framework.TypeString, Query: true, Description: "Check this role as well."}},
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix, OperationVerb: "check"},
		Operations: map[logical.Operation]framework.OperationHandler{
			// It makes a token that can't be used, and deletes it: not twice, on a standby and on the active node.
			logical.ReadOperation: activeNode(b.pathCheckRead, "Check the connection, and one role.", checkResponse),
		},
		HelpSynopsis: "What is wrong, and what to do about it.",
		HelpDescription: `
Tries the stored connection as a write of config does: the server, the root token, the organization, and
whether tokens can be made and deleted. With role=<name> it tries that role, too.`,
	}}
}

var checkResponse = fields{
	"healthy":             {Type: framework.TypeBool, Description: "Whether there are no problems."},
	"problems":            {Type: framework.TypeStringSlice, Description: "What is wrong and what to do, at most 100 sentences."},
	"server_version":      {Type: framework.TypeString, Description: "InfluxDB's version."},
	"product":             {Type: framework.TypeString, Description: "Which InfluxDB it is: v2, core or enterprise."},
	"server_build":        {Type: framework.TypeString, Description: "InfluxDB's build, such as OSS."},
	"latency_ms":          {Type: framework.TypeInt, Description: "How long InfluxDB took to answer a ping, in milliseconds."},
	"token_values_hidden": {Type: framework.TypeBool, Description: "Whether InfluxDB hides the values of tokens, as 2.9 does; false where the root token may not look."},
	"mount_uuid":          {Type: framework.TypeString, Description: "UUID of this mount, which marks its tokens in InfluxDB."},
	"pending_deletions":   {Type: framework.TypeInt, Description: "Deletions that failed and are tried again each minute, and mints that were not answered."},
	"oldest_pending":      {Type: framework.TypeString, Description: "When the oldest of them failed first, RFC 3339; empty when there is none."},
	"orphaned_tokens":     {Type: framework.TypeInt, Description: "Tokens deleted since the plugin started because no lease held them: their callers hung up."},
	"next_vault_rotation": planTimes["next_vault_rotation"],
	"roles":               {Type: framework.TypeSlice, Description: "Of each role, also of one that was deleted with tokens left, its name and live_tokens; the first 1,000 by name. Empty until they are counted, by the first run of tidy after a start."},
	"static_roles":        {Type: framework.TypeSlice, Description: "Of each static role its name and next_vault_rotation, which is empty where none is planned; the first 1,000 by name."},
}

func (b *backend) pathCheckRead(ctx context.Context, req request) (*logical.Response, error) {
	var role string
	req.set("role", &role)
	report, err := b.health.Check(ctx, req.Storage, req.MountPoint, role)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"healthy":             len(report.Problems) == 0,
		"problems":            append([]string{}, report.Problems...),
		"server_version":      report.Server.Version,
		"product":             string(report.Product),
		"server_build":        report.Server.Build,
		"latency_ms":          report.Latency.Milliseconds(),
		"token_values_hidden": report.ValuesHidden,
		"mount_uuid":          b.mount.UUID,
		"pending_deletions":   report.Pending,
		"oldest_pending":      problem.RFC3339(report.OldestPending),
		"orphaned_tokens":     report.Orphans,
		"next_vault_rotation": problem.RFC3339(report.NextRotation),
		"roles":               byName(report.LiveTokens, "live_tokens", func(count int) any { return count }),
		"static_roles":        byName(report.NextRotations, "next_vault_rotation", func(at time.Time) any { return problem.RFC3339(at) }),
	}}, nil
}

// byName lists what is known of things with names, sorted by those.
func byName[T any](known map[string]T, field string, encode func(T) any) []any {
	list := []any{}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		list = append(list, map[string]any{"name": name, field: encode(known[name])})
	}
	return list
}
